"""Clips: one box for everyone in them, one that saves them without a word."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import folder_paths
from comfy_api.latest import io, ui

from ..revpers_core.faces import detect, select
from ..revpers_core.faces.faint import sure_and_faint
from ..revpers_core.faces.insightface import as_face_model
from ..revpers_core.hosts import comfy as host
from ..revpers_core.hosts import comfy_video
from ..revpers_core.media import images
from ..revpers_core.media.anonymize_clip import ClipJob, anonymize_clip
from ..revpers_core.media.clip_report import summary
from ..revpers_core.media.clip_writer import CONTAINERS, QUALITY, Encoding, clean_copy
from ..revpers_core.media.strength import Target
from ..revpers_core.media.video_ports import VideoOptions, VideoPorts
from ..revpers_core.method import settings
from ..revpers_core.method.settings import CUSTOM, resolve_preset
from . import sockets
from .anonymize import AnonymizeFaces
from .ports import finders, photo_ports, references
from .provenance import EDITED, check_made, is_a_photo
from .pseudonym import recipe_of, with_stand_ins

SHARED = (
    "model", "clip", "vae", "adapter", "face_model", "detector", "attribute", "strength", "size", "preset", "steps",
    "skip", "seed", "no_face", "judge", "target", "keep_eyes_and_mouth", "keep", "likeness", "match_colour",
    "min_score", "smallest", "method",
)  # fmt: skip
"""Inputs of *Anonymize Everyone* that mean the same for a clip."""


class AnonymizeVideo(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        photo = {socket.id: socket for socket in AnonymizeFaces.define_schema().inputs}
        return sockets.schema(
            "RevPersAnonymizeVideo",
            "Anonymize a Clip",
            description=(
                "Makes everyone in a clip somebody else, the same stranger in every frame, and keeps the sound. No "
                "frame stays uncovered: a face that is lost is interpolated, and blurred where even that is not sure."
            ),
            advanced=("target", "likeness", "min_score", "smallest", "quality", "student", "every"),
            inputs=[
                io.Video.Input("video", tooltip="A clip of any length: only some frames are in memory at a time."),
                *(photo[name] for name in SHARED),
                io.Int.Input(
                    "quality",
                    default=QUALITY,
                    min=0,
                    max=51,
                    optional=True,
                    tooltip="Rate factor of H.264, 0 (lossless) to 51; lower is better and larger.",
                ),
                *sockets.instead_inputs(),
                photo["student"],
                sockets.number("every", settings.EVERY, optional=True),
            ],
            outputs=[
                io.Video.Output("anonymized", display_name="video", tooltip="The finished clip, without metadata."),
                io.String.Output("report", tooltip="JSON: people, verdicts, where a place is blurred, what it took."),
                io.String.Output("verdict", tooltip="In words: who was changed, and who has looked at the result."),
            ],
            hidden=[io.Hidden.unique_id, io.Hidden.dynprompt],
        )

    @classmethod
    def execute(
        cls, video, model, clip, vae, adapter, face_model, strength, size, detector=None, attribute=None,
        preset=CUSTOM, steps=settings.STEPS.default, skip=settings.SKIP.default, seed=0,
        no_face=settings.NO_FACE.default, judge=(), target=0.0, keep_eyes_and_mouth=False, keep=None, likeness=0.4,
        match_colour=False, min_score=0.5, smallest=20.0, method=settings.METHOD.default, quality=QUALITY,
        instead=None, who=settings.NOBODY, person=0, student=settings.STUDENT.default,
        every=settings.EVERY.default,
    ) -> io.NodeOutput:  # fmt: skip
        progress, detectors = comfy_video.ClipProgress(model), finders(detector, model)
        search, run = detect.Search(min_score=min_score, smallest=smallest), (preset, steps, skip, student)
        photo = photo_ports(
            model, clip, vae, adapter, face_model, detectors, attribute, size, run, seed, method,
            judge, search, progress.on_step,
        )  # fmt: skip
        recipe, population = recipe_of(instead, who, person, method, preset), as_face_model(face_model).population
        photo = replace(photo, invert_face=with_stand_ins(photo.invert_face, recipe, population))
        ports = VideoPorts(photo, lambda frame: sure_and_faint(frame, detectors, search))
        guidance = settings.guidance_from(strength)
        host.warn_student(student, guidance)
        options = VideoOptions(
            guidance=guidance,
            keep=tuple(select.reference_identities(*references(keep, photo), photo.embed)),
            likeness=likeness,
            keep_parts=("eyes", "mouth") if keep_eyes_and_mouth else (),
            match=match_colour,
            aim=Target(target) if target else None,
            every=every,
        )

        def on_cost(cost) -> None:
            logging.info(f"clip: {cost}")
            comfy_video.say(cls.hidden.unique_id if cls.hidden else None, str(cost))
            progress.expect(cost.calls)

        marked = host.is_pocket(model) and is_a_photo(cls.hidden, "video")
        encoding = Encoding(lossless=True) if quality == 0 else Encoding(quality=quality)
        with comfy_video.stored(video) as (source, span):
            output, encoding = comfy_video.result_file(source, encoding)
            record = anonymize_clip(
                ClipJob(
                    source,
                    output,
                    lambda _: ports,
                    options,
                    {},
                    resolve_preset(*run).evaluations,
                    seed,
                    span,
                    encoding,
                    no_face,
                    images.with_demo if marked else None,
                    resumable=False,
                    on_cost=on_cost,
                    on_frame=progress.on_frame,
                )
            )
        public = {key: value for key, value in record.items() if key not in ("clip", "output", "settings")}
        return io.NodeOutput(comfy_video.as_video(output), json.dumps(public), summary(record))


class SaveVideo(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return sockets.schema(
            "RevPersSaveVideo",
            "Save Anonymous Clip",
            description=(
                "Saves pictures and sound as they are, and nothing else: no workflow, seed, place or device of the "
                "source. ComfyUI's own Save Video writes the workflow and the source's metadata into the file."
            ),
            inputs=[
                io.Video.Input("video", tooltip="The finished clip."),
                sockets.filename_prefix(),
                io.Boolean.Input(
                    "edited",
                    optional=True,
                    default=False,
                    tooltip="Save a clip too that no run of ours made, since you have seen that nobody is left in it.",
                ),
            ],
            outputs=[],
            hidden=[io.Hidden.unique_id, io.Hidden.dynprompt],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, video, filename_prefix: str, edited: bool = False) -> io.NodeOutput:
        if not edited:
            check_made(cls.hidden, "video", EDITED)
        width, height = video.get_dimensions()
        folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(
            filename_prefix, folder_paths.get_output_directory(), width, height
        )
        with comfy_video.stored(video, trimmed=True) as (source, _):
            suffix = source.suffix.lower() if source.suffix.lower() in CONTAINERS else ".mkv"
            file = f"{name}_{counter:05}_{suffix}"
            clean_copy(source, Path(folder) / file, comfy_video.stop_if_cancelled)
        return io.NodeOutput(ui=ui.PreviewVideo([ui.SavedResult(file, subfolder, io.FolderType.output)]))
