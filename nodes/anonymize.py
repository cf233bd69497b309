"""One box for everyone in a photo."""

import json
from dataclasses import replace

import torch
from comfy_api.latest import io
from torch import Tensor

from ..revpers_core.faces import detect, select
from ..revpers_core.faces.faint import sure_and_faint
from ..revpers_core.faces.insightface import as_detectors, as_face_model
from ..revpers_core.hosts import comfy as host
from ..revpers_core.hosts.comfy_progress import Progress, interruptible
from ..revpers_core.hosts.comfy_video import ClipProgress
from ..revpers_core.media import images, photo
from ..revpers_core.media.anonymize_frames import FramesResult, anonymize_images
from ..revpers_core.media.clip_report import summary
from ..revpers_core.media.strength import Target
from ..revpers_core.media.video_ports import VideoOptions, VideoPorts
from ..revpers_core.method import settings
from ..revpers_core.method.population import SAME
from ..revpers_core.method.settings import CUSTOM, resolve_preset
from ..revpers_core.method.types import Method
from . import sockets
from .convert import to_comfy, to_core, to_core_masks
from .provenance import is_a_photo
from .pseudonym import wanted, with_stand_ins


def _inputs():
    return [
        io.Image.Input("image", tooltip="Photos of any size."),
        io.Model.Input("model", tooltip="An SDXL model."),
        io.Clip.Input("clip", tooltip="Its text encoders."),
        io.Vae.Input("vae", tooltip="Its VAE."),
        sockets.Adapter.Input("adapter", tooltip="From 'Load FaceID Adapter'."),
        sockets.face_model_input(tooltip="From 'Load Face Recognition Model'."),
        sockets.detector_input(tooltip="From 'Load Face Detector'."),
        io.Conditioning.Input("attribute", tooltip="From 'New Face Looks Like': for every face."),
        sockets.number("strength", settings.STRENGTH, low=0.05),
        sockets.number("size", settings.SIZE),
        sockets.choice("preset", settings.PRESET, optional=True),
        *sockets.own_steps(),
        sockets.noise_seed(),
        sockets.choice("no_face", settings.NO_FACE, optional=True),
        sockets.Judge.Input("judge", optional=True, tooltip="From 'Load Judge'. Without one nobody checks."),
        sockets.number("target", settings.TARGET, optional=True),
        io.Boolean.Input(
            "keep_eyes_and_mouth",
            optional=True,
            default=False,
            tooltip="Leave the eyes and the mouth of every face, in the new face's colours: more of the expression "
            "stays, and more of the person.",
        ),
        io.Image.Input("keep", optional=True, tooltip="Photos of people to leave alone: the largest face in each."),
        sockets.number("likeness", settings.LIKENESS, lead="For 'keep': ", optional=True),
        io.Mask.Input(
            "mask",
            optional=True,
            tooltip="Where the images may change at all; black stays bit for bit. At least a quarter of every "
            "face must be left to change.",
        ),
        io.Boolean.Input(
            "match_colour", optional=True, default=True, tooltip="Fit the colours to the face's surround."
        ),
        sockets.number("min_score", settings.MIN_SCORE, optional=True),
        sockets.number("smallest", settings.SMALLEST, optional=True),
        sockets.choice("method", settings.METHOD, optional=True),
        io.Boolean.Input(
            "frames",
            optional=True,
            default=False,
            tooltip="The images are the frames of one clip, in order: each person becomes the same stranger in "
            "all of them; a face that is lost in some is interpolated or blurred there.",
        ),
        *sockets.instead_inputs(),
    ]


class AnonymizeFaces(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return sockets.schema(
            "RevPersAnonymizeFaces",
            "Anonymize Everyone",
            description=(
                "Finds everyone in the images, makes each of them somebody else, puts them back and looks again: with "
                "a judge, a face that is still recognised is done again stronger, and then is an error."
            ),
            advanced=("target", "method", "likeness", "min_score", "smallest"),
            inputs=_inputs(),
            outputs=[
                io.Image.Output("anonymized", display_name="image", tooltip="The finished images."),
                io.Mask.Output("changed", display_name="mask", tooltip="Where the images may have changed."),
                io.String.Output("report", tooltip="A JSON line an image: faces, verdicts. No embedding, no seed."),
                io.String.Output("verdict", tooltip="In words: who was changed, and who has looked at the result."),
            ],
            hidden=[io.Hidden.unique_id, io.Hidden.dynprompt],
        )

    @classmethod
    def execute(
        cls, image, model, clip, vae, adapter, face_model, detector, attribute, strength, size, steps, skip, seed,
        no_face, preset=CUSTOM, judge=(), target=0.0, keep_eyes_and_mouth=False, keep=None, likeness=0.4, mask=None,
        match_colour=False, min_score=0.5, smallest=20.0, method=settings.METHOD.default,
        frames=False, instead=None, who=settings.NOBODY, person=0,
    ) -> io.NodeOutput:  # fmt: skip
        positive, recogniser = clip.encode_from_tokens_scheduled(clip.tokenize("")), as_face_model(face_model)
        photos = list(to_core(image))
        progress = ClipProgress(model) if frames else Progress(model, len(image))
        if not photos:
            raise ValueError("image: the batch is empty: connect at least one image")
        allowed, detectors = to_core_masks(mask, photos), interruptible(as_detectors(detector))
        search = detect.Search(min_score=min_score, smallest=smallest)
        population, recipe = recogniser.population, wanted(instead, who, person, method, preset)
        inversions = None if frames else adapter.inversions
        levels = host.levels(model, *resolve_preset(preset, steps, skip))
        tools = photo.PhotoPorts(
            detect=lambda one: detect.find_faces(one, detectors, search),
            embed=recogniser.identify_face,
            invert_face=host.face_inverter(
                model, vae, adapter, (positive, attribute), levels, seed, progress.on_step, Method(method), inversions
            ),
            size=size,
            judges=judge,
        )
        references = [] if keep is None else list(to_core(keep, "keep"))
        wishes = photo.PhotoOptions(
            guidance=settings.guidance_from(strength),
            keep=select.keep_people(references, [tools.detect(one) for one in references], tools.embed, likeness),
            keep_parts=("eyes", "mouth") if keep_eyes_and_mouth else (),
            match=match_colour,
            aim=Target(target) if target else None,
            instead=None if frames else recipe.start(population.same if population else SAME),
        )
        if isinstance(progress, ClipProgress):
            tools = replace(tools, invert_face=with_stand_ins(tools.invert_face, recipe, population))
            ports = VideoPorts(tools, lambda one: sure_and_faint(one, detectors, search))
            whom = select.reference_identities(references, [tools.detect(one) for one in references], tools.embed)
            options = VideoOptions(
                wishes.guidance, tuple(whom), likeness, wishes.keep_parts, match_colour, wishes.aim, allowed.__getitem__
            )
            marked = host.is_pocket(model) and is_a_photo(cls.hidden)
            return _frames(anonymize_images(photos, ports, options, no_face, progress.on_frame), marked)
        with adapter.inversions.run():
            each = [replace(wishes, where=where, place=str(i)) for i, where in enumerate(allowed)]
            done = _photos(photos, progress, progress.watching(tools), each, no_face)
        pictures = [one.image for one in done]
        if host.is_pocket(model) and is_a_photo(cls.hidden):
            pictures = [images.with_demo(one) for one in pictures]
        report = "\n".join(json.dumps({"image": i, "faces": one.faces, "kept": one.kept}) for i, one in enumerate(done))
        verdict = "\n".join(f"image {i}: {photo.summary(one)}" for i, one in enumerate(done, 1))
        return io.NodeOutput(to_comfy(pictures), torch.cat([one.mask for one in done]), report, verdict)


def _photos(
    photos: list[Tensor], progress: Progress, tools: photo.PhotoPorts, wishes: list[photo.PhotoOptions], no_face: str
) -> list[photo.PhotoResult]:
    """One after the other; errors say which."""
    results = list[photo.PhotoResult]()
    for i, image in enumerate(progress.over(photos)):
        try:
            results.append(photo.anonymize_or(no_face, image, tools, wishes[i]))
        except ValueError as error:
            raise type(error)(f"image {i + 1} of {len(photos)}: {error}") from error
    return results


def _frames(done: FramesResult, marked: bool) -> io.NodeOutput:
    pictures = [one.image for one in done.frames]
    pictures = [images.with_demo(one) for one in pictures] if marked else pictures
    masks = torch.cat([one.mask for one in done.frames])
    return io.NodeOutput(to_comfy(pictures), masks, json.dumps(done.record), summary(done.record))
