"""One box for everyone in a photo."""

import json
from dataclasses import replace

import torch
from comfy_api.latest import io

from ..revpers_core.faces import detect, select
from ..revpers_core.faces.detector import FLOOR
from ..revpers_core.faces.insightface import as_detectors, as_face_model
from ..revpers_core.hosts import comfy as host
from ..revpers_core.hosts.comfy_progress import Progress, interruptible
from ..revpers_core.media import photo
from ..revpers_core.media.strength import Target
from ..revpers_core.method.schedule import PAPER_SKIP, PAPER_STEPS
from ..revpers_core.method.settings import CUSTOM, resolve_preset
from ..revpers_core.method.types import PAPER_GUIDANCE
from . import sockets
from .convert import to_comfy, to_core, to_core_masks


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
            advanced=("target", "likeness", "min_score", "smallest"),
            inputs=[
                io.Image.Input("image", tooltip="Photos of any size."),
                io.Model.Input("model", tooltip="An SDXL model."),
                io.Clip.Input("clip", tooltip="Its text encoders."),
                io.Vae.Input("vae", tooltip="Its VAE."),
                sockets.Adapter.Input("adapter", tooltip="From 'Load FaceID Adapter'."),
                sockets.face_model_input(tooltip="From 'Load Face Recognition Model'."),
                sockets.detector_input(tooltip="From 'Load Face Detector'."),
                io.Conditioning.Input("attribute", tooltip="From 'New Face Looks Like': for every face."),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=0.05,
                    max=3.0,
                    step=0.05,
                    tooltip="How far from the person, 0.05 to 3: 1 is the paper's guidance of -10, 0.5 is -5. More is "
                    "safer and costs detail.",
                ),
                io.Int.Input(
                    "size",
                    default=1024,
                    min=64,
                    max=2048,
                    step=8,
                    tooltip="The model's own side in pixels, 64 to 2048: 1024 for SDXL, 128 for the pocket model.",
                ),
                io.Int.Input(
                    "steps",
                    default=PAPER_STEPS,
                    min=2,
                    max=999,
                    tooltip="For the preset 'custom': 2 to 999; the paper takes 100. Fewer are faster and follow "
                    "the photo less well.",
                ),
                io.Float.Input(
                    "skip",
                    default=PAPER_SKIP,
                    min=0.0,
                    max=0.99,
                    step=0.01,
                    tooltip="For the preset 'custom': share of the schedule left out, 0 to 0.99; the paper takes "
                    "0.7. Less changes more.",
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFFFFFFFFFF,
                    control_after_generate=True,
                    tooltip="Another seed gives other new faces. Keep it secret.",
                ),
                io.Combo.Input(
                    "no_face",
                    options=["raise", "blur", "pass"],
                    default="raise",
                    tooltip="An image without a face: stop with an error, blur it whole, or let it pass as it is.",
                ),
                sockets.preset_input(),
                sockets.Judge.Input("judge", optional=True, tooltip="From 'Load Judge'. Without one: 'unverified'."),
                io.Float.Input(
                    "target",
                    optional=True,
                    default=0.0,
                    min=0.0,
                    max=0.95,
                    step=0.05,
                    tooltip="0 takes strength as it is. Above 0 looks, for each face, for the weakest strength at "
                    "which every judge sees a stranger: this far on the way from its threshold to the likeness that "
                    "few strangers fall below. 0 to 0.95; needs a judge. The inversion is made once.",
                ),
                io.Boolean.Input(
                    "keep_eyes_and_mouth",
                    optional=True,
                    default=False,
                    tooltip="Leave the eyes and the mouth of every face as they were: more of the expression stays, "
                    "and more of the person.",
                ),
                io.Image.Input(
                    "keep", optional=True, tooltip="Photos of people to leave alone: the largest face in each."
                ),
                io.Float.Input(
                    "likeness",
                    optional=True,
                    default=0.4,
                    min=-1.0,
                    max=1.0,
                    step=0.01,
                    tooltip="For 'keep': from which similarity on it is the same person, -1 to 1.",
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="Where the images may change at all; black stays bit for bit. At least a quarter of every "
                    "face must be left to change.",
                ),
                io.Boolean.Input(
                    "match_colour", optional=True, default=False, tooltip="Fit the colours to the face's surround."
                ),
                io.Float.Input(
                    "min_score",
                    optional=True,
                    default=0.5,
                    min=FLOOR,
                    max=1.0,
                    step=0.05,
                    tooltip=f"{FLOOR} to 1: detections less sure than this are no faces. Lower it when someone is "
                    "missed.",
                ),
                io.Float.Input(
                    "smallest",
                    optional=True,
                    default=20.0,
                    min=4.0,
                    max=512.0,
                    step=1.0,
                    tooltip="Height in pixels of the smallest face that must be found, 4 to 512; smaller takes longer.",
                ),
            ],
            outputs=[
                io.Image.Output("anonymized", display_name="image", tooltip="The finished images."),
                io.Mask.Output("changed", display_name="mask", tooltip="Where the images may have changed."),
                io.String.Output("report", tooltip="A JSON line an image: faces, verdicts. No embedding, no seed."),
                io.String.Output("verdict", tooltip="In words: who was changed, and who has looked at the result."),
            ],
        )

    @classmethod
    def execute(
        cls, image, model, clip, vae, adapter, face_model, detector, attribute, strength, size, steps, skip, seed,
        no_face, preset=CUSTOM, judge=(), target=0.0, keep_eyes_and_mouth=False, keep=None, likeness=0.4, mask=None,
        match_colour=False, min_score=0.5, smallest=20.0,
    ) -> io.NodeOutput:  # fmt: skip
        positive, recogniser = clip.encode_from_tokens_scheduled(clip.tokenize("")), as_face_model(face_model)
        photos, progress = list(to_core(image)), Progress(model, len(image))
        if not photos:
            raise ValueError("image: the batch is empty: connect at least one image")
        allowed, detectors = to_core_masks(mask, photos), interruptible(as_detectors(detector))
        search = detect.Search(min_score=min_score, smallest=smallest)
        levels = host.levels(model, *resolve_preset(preset, steps, skip))
        tools = photo.PhotoPorts(
            detect=lambda one: detect.find_faces(one, detectors, search),
            embed=recogniser.identify_face,
            invert_face=host.face_inverter(model, vae, adapter, (positive, attribute), levels, seed, progress.on_step),
            size=size,
            judges=judge,
        )
        references = [] if keep is None else list(to_core(keep))
        wishes = photo.PhotoOptions(
            guidance=PAPER_GUIDANCE * strength,
            keep=select.keep_people(references, [tools.detect(one) for one in references], tools.embed, likeness),
            keep_parts=("eyes", "mouth") if keep_eyes_and_mouth else (),
            match=match_colour,
            aim=Target(target) if target else None,
        )
        watched = progress.watching(tools)
        done: list[photo.PhotoResult] = []
        for i, one in enumerate(progress.over(photos)):
            try:
                done.append(photo.anonymize_or(no_face, one, watched, replace(wishes, where=allowed[i])))
            except ValueError as error:
                raise type(error)(f"image {i + 1} of {len(photos)}: {error}") from error
        report = "\n".join(json.dumps({"image": i, "faces": one.faces, "kept": one.kept}) for i, one in enumerate(done))
        verdict = "\n".join(f"image {i}: {photo.summary(one)}" for i, one in enumerate(done, 1))
        return io.NodeOutput(
            to_comfy(one.image for one in done), torch.cat([one.mask for one in done]), report, verdict
        )
