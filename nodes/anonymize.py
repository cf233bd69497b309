"""One box for everyone in a photo."""

import json
from dataclasses import replace

import torch
from comfy_api.latest import io, ui

from ..revpers_core.faces import detect, select
from ..revpers_core.faces.faint import sure_and_faint
from ..revpers_core.faces.insightface import as_face_model
from ..revpers_core.hosts import comfy as host
from ..revpers_core.hosts.comfy_progress import Progress
from ..revpers_core.hosts.comfy_video import ClipProgress
from ..revpers_core.media import images, photo
from ..revpers_core.media.anonymize_frames import FramesResult, anonymize_images
from ..revpers_core.media.clip_report import summary
from ..revpers_core.media.overlay import overlay, small, tinted
from ..revpers_core.media.strength import Target
from ..revpers_core.media.video_ports import VideoOptions, VideoPorts
from ..revpers_core.method import settings
from ..revpers_core.method.population import SAME
from ..revpers_core.method.settings import CUSTOM
from . import sockets
from .convert import to_comfy, to_core, to_core_masks
from .ports import finders, kept_people, photo_ports, references
from .provenance import is_a_photo
from .pseudonym import recipe_of, with_stand_ins


def _inputs():
    return [
        io.Image.Input("image", tooltip="Photos of any size."),
        io.Model.Input("model", tooltip="An SDXL model."),
        io.Clip.Input("clip", tooltip="Its text encoders."),
        io.Vae.Input("vae", tooltip="Its VAE."),
        sockets.Adapter.Input("adapter", tooltip="From 'Load FaceID Adapter'."),
        sockets.face_model_input(tooltip="From 'Load Face Recognition Model'."),
        sockets.detector_input(
            optional=True,
            tooltip="From 'Load Everything' or 'Load Face Detector'. Without one, the first in ComfyUI's folders.",
        ),
        io.Conditioning.Input(
            "attribute", optional=True, tooltip="From 'New Face Looks Like': for every face. Without one, any look."
        ),
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
        *_by_the_picture(),
        sockets.choice("student", settings.STUDENT, optional=True),
    ]


def _by_the_picture() -> list[io.Input]:
    """What is set by a look at the box's picture: numbered faces, and where they changed."""
    return [
        io.String.Input(
            "numbers",
            optional=True,
            default="",
            tooltip="Whose faces, by the numbers in the box's picture, such as: 1, 3-5. Empty: everyone.",
        ),
        sockets.number("feather", settings.FEATHER, optional=True),
        sockets.number("crop_factor", settings.CROP_FACTOR, optional=True),
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
            advanced=(
                "target",
                "method",
                "likeness",
                "min_score",
                "smallest",
                "feather",
                "crop_factor",
                "student",
            ),
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
        cls, image, model, clip, vae, adapter, face_model, strength, size, detector=None, attribute=None,
        preset=CUSTOM, steps=settings.STEPS.default, skip=settings.SKIP.default, seed=0,
        no_face=settings.NO_FACE.default, judge=(), target=0.0, keep_eyes_and_mouth=False, keep=None, likeness=0.4,
        mask=None, match_colour=False, min_score=0.5, smallest=20.0, method=settings.METHOD.default,
        frames=False, instead=None, who=settings.NOBODY, person=0, numbers="", feather=settings.FEATHER.default,
        crop_factor=settings.CROP_FACTOR.default, student=settings.STUDENT.default,
    ) -> io.NodeOutput:  # fmt: skip
        photos = list(to_core(image))
        progress = ClipProgress(model) if frames else Progress(model, len(image))
        if not photos:
            raise ValueError("image: the batch is empty: connect at least one image")
        allowed, detectors = to_core_masks(mask, photos), finders(detector, model)
        search = detect.Search(min_score=min_score, smallest=smallest)
        fit = {"feather": feather, "crop_factor": settings.check_crop_factor(crop_factor, method)}
        recipe = recipe_of(instead, who, person, method, preset)
        tools = photo_ports(
            model, clip, vae, adapter, face_model, detectors, attribute, size, (preset, steps, skip, student), seed,
            method, judge, search, progress.on_step, None if frames else adapter.inversions,
        )  # fmt: skip
        population = as_face_model(face_model).population
        parts, aim = ("eyes", "mouth") if keep_eyes_and_mouth else (), Target(target) if target else None
        guidance, marked = settings.guidance_from(strength), host.is_pocket(model) and is_a_photo(cls.hidden)
        host.warn_student(student, guidance)
        if isinstance(progress, ClipProgress):
            if numbers.strip():
                raise ValueError("numbers: faces are chosen by number in photos, not in frames: leave it empty")
            tools = replace(tools, invert_face=with_stand_ins(tools.invert_face, recipe, population))
            ports = VideoPorts(tools, lambda frame: sure_and_faint(frame, detectors, search))
            people = tuple(select.reference_identities(*references(keep, tools), tools.embed))
            options = VideoOptions(guidance, people, likeness, parts, match_colour, aim, allowed.__getitem__, **fit)
            return _frames(anonymize_images(photos, ports, options, no_face, progress.on_frame), marked)
        shown = []
        options = photo.PhotoOptions(
            guidance=guidance,
            keep=select.keep_unless_numbered(
                numbers,
                kept_people(keep, tools, likeness),
                lambda found_in, faces: shown.append(small(overlay(found_in, faces))),
            ),
            keep_parts=parts,
            match=match_colour,
            aim=aim,
            instead=recipe.start(population.same if population else SAME),
            **fit,
        )
        with adapter.inversions.run():
            return _photos(photos, progress, tools, options, allowed, no_face, marked, shown)


def _photos(photos, progress, tools, options, allowed, no_face, marked, shown) -> io.NodeOutput:
    """shown: pictures of the found faces, for the box itself; tinted where the results may differ from them."""
    watched, results = progress.watching(tools), []
    for i, image in enumerate(progress.over(photos)):
        before = len(shown)
        try:
            results.append(
                photo.anonymize_or(no_face, image, watched, replace(options, where=allowed[i], place=str(i)))
            )
        except ValueError as error:
            raise type(error)(f"image {i + 1} of {len(photos)}: {error}") from error
        shown[before:] = [tinted(found_in, results[-1].mask) for found_in in shown[before:]]
    pictures = [images.with_demo(result.image) if marked else result.image for result in results]
    report = "\n".join(
        json.dumps({"image": i, "faces": result.faces, "kept": result.kept}) for i, result in enumerate(results)
    )
    verdict = "\n".join(f"image {i}: {photo.summary(result)}" for i, result in enumerate(results, 1))
    # cls=None keeps the workflow, seed included, out of the picture.
    preview = ui.PreviewImage(to_comfy(shown), cls=None) if shown else None
    masks = torch.cat([result.mask for result in results])
    return io.NodeOutput(to_comfy(pictures), masks, report, verdict, ui=preview)


def _frames(result: FramesResult, marked: bool) -> io.NodeOutput:
    pictures = [frame.image for frame in result.frames]
    pictures = [images.with_demo(picture) for picture in pictures] if marked else pictures
    masks = torch.cat([frame.mask for frame in result.frames])
    return io.NodeOutput(to_comfy(pictures), masks, json.dumps(result.record), summary(result.record))
