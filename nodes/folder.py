"""A folder of photos: each by itself, so that a bad one keeps no other from being made."""

import hashlib
import json
import logging
from dataclasses import replace
from pathlib import Path

import folder_paths
from comfy_api.latest import io

from ..revpers_core.datasets.folders import append_record, finished, is_finished, tasks
from ..revpers_core.faces import detect
from ..revpers_core.faces.insightface import as_face_model
from ..revpers_core.hosts import comfy as host
from ..revpers_core.hosts import comfy_prompt
from ..revpers_core.hosts.comfy_progress import Progress
from ..revpers_core.media import gallery, images, photo
from ..revpers_core.media.marks import NO_MARK, encoded
from ..revpers_core.media.strength import Target
from ..revpers_core.media.whole_file import digest, write_whole
from ..revpers_core.method import settings
from ..revpers_core.method.population import SAME
from ..revpers_core.method.settings import CUSTOM
from . import sockets
from .anonymize import AnonymizeFaces
from .ports import finders, kept_people, photo_ports
from .pseudonym import recipe_of
from .video import SHARED

EXAMPLE = "revpers example"
"""This folder makes itself: rendered faces, of nobody."""
SECRET = {"seed", "person", "key", "noise_seed"}
"""Inputs that no record may tell."""
SHOWN = 12


class AnonymizeFolder(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        one_photo = {socket.id: socket for socket in AnonymizeFaces.define_schema().inputs}
        return sockets.schema(
            "RevPersAnonymizeFolder",
            "Anonymize a Folder",
            description=(
                "Makes everyone in a folder's photos somebody else and saves them without metadata. A photo that "
                "cannot be made is named with the reason, the others are made; what is there already is not made again."
            ),
            advanced=("target", "likeness", "min_score", "smallest", "method", "student"),
            inputs=[
                io.String.Input(
                    "folder",
                    default=EXAMPLE,
                    tooltip=f"A folder inside ComfyUI's input folder, with all in it. '{EXAMPLE}' makes itself: three "
                    "rendered faces.",
                ),
                io.String.Input(
                    "save_to",
                    default="anonymous",
                    tooltip="A folder inside ComfyUI's output folder. What is there of the same photos and settings is "
                    "not made again: another seed, person or key alone needs another folder.",
                ),
                *(one_photo[name] for name in SHARED),
                *sockets.instead_inputs(),
                one_photo["student"],
            ],
            outputs=[
                io.String.Output("report", tooltip="A JSON line a photo: result or error, faces, verdict. No seed."),
                io.String.Output("verdict", tooltip="In words: what was made, what was not and why, who has checked."),
            ],
            hidden=[io.Hidden.unique_id, io.Hidden.dynprompt],
            is_output_node=True,
        )

    @classmethod
    def fingerprint_inputs(cls, folder: str = EXAMPLE, save_to: str = "", **_) -> str:
        """Files that came or went since the last run count, and results that were taken away."""
        try:
            homes = [_inside(*pair) for pair in _bases(folder, save_to)]
        except ValueError as error:  # of folders elsewhere, such as /, nothing is listed
            return str(error)
        return str(sorted((str(p), p.stat().st_mtime_ns) for home in homes for p in home.rglob("*") if p.is_file()))

    @classmethod
    def execute(
        cls, folder, save_to, model, clip, vae, adapter, face_model, strength, size, detector=None, attribute=None,
        preset=CUSTOM, steps=settings.STEPS.default, skip=settings.SKIP.default, seed=0,
        no_face=settings.NO_FACE.default, judge=(), target=0.0, keep_eyes_and_mouth=False, keep=None, likeness=0.4,
        match_colour=True, min_score=0.5, smallest=20.0, method=settings.METHOD.default, instead=None,
        who=settings.NOBODY, person=0, student=settings.STUDENT.default,
    ) -> io.NodeOutput:  # fmt: skip
        source, output = (_inside(*pair) for pair in _bases(folder, save_to))
        if folder.strip() == EXAMPLE:
            _make_example(source)
        if not source.is_dir():
            raise ValueError(
                f"folder: there is no {folder!r} in ComfyUI's input folder: make it and put photos into it"
            )
        photos = tasks([source], output)
        progress = Progress(model, len(photos))
        ports = photo_ports(
            model, clip, vae, adapter, face_model, finders(detector, model), attribute, size,
            (preset, steps, skip, student), seed, method, judge,
            detect.Search(min_score=min_score, smallest=smallest), progress.on_step,
        )  # fmt: skip
        population = as_face_model(face_model).population
        guidance = settings.guidance_from(strength)
        host.warn_student(student, guidance)
        options = photo.PhotoOptions(
            guidance=guidance,
            keep=kept_people(keep, ports, likeness),
            keep_parts=("eyes", "mouth") if keep_eyes_and_mouth else (),
            match=match_colour,
            aim=Target(target) if target else None,
            instead=recipe_of(instead, who, person, method, preset).start(population.same if population else SAME),
        )
        job = _Job(output, progress.watching(ports), options, no_face, host.is_pocket(model), _settings(cls.hidden))
        lines = [
            job.line(task, f"photo {i} of {len(photos)}, {task.name}")
            for i, task in enumerate(progress.over(photos), 1)
        ]
        return _report(lines, output)


class _Job:
    """What is the same for every photo of the folder."""

    def __init__(self, output, ports, options, no_face, marked, run_settings):
        self.output, self.ports, self.options, self.no_face, self.marked = output, ports, options, no_face, marked
        self.settings = run_settings
        output.mkdir(parents=True, exist_ok=True)
        self.finished = finished(output, run_settings)

    def line(self, task, name):
        """A photo's record; its error where it cannot be made."""
        entry = {"photo": name}
        try:
            if is_finished(task, self.finished):
                return {**entry, "output": str(task.output), "verdict": "made before"}
            source, record = digest(task.source), self._make(task)
        except (ValueError, OSError) as error:
            logging.warning(f"{name}: {error}")
            why = str(error).replace(f"{task.source.parent}/", "")
            append_record(self.output, task, self.settings, None, {"error": why})
            return {**entry, "error": why}
        append_record(self.output, task, self.settings, source, {"verdict": record["verdict"]})
        return {**entry, "output": str(task.output), **record}

    def _make(self, task):
        image = images.read(task.source)
        task.output.parent.mkdir(parents=True, exist_ok=True)
        task.output.unlink(missing_ok=True)  # where this run fails, an older result must not pass for its own
        result = photo.anonymize_or(self.no_face, image, self.ports, replace(self.options, place=task.name))
        picture = images.to_pil(result.image)
        write_whole(task.output, encoded(images.watermarked(picture) if self.marked else picture, ".png", NO_MARK))
        return {"verdict": photo.summary(result), "faces": result.faces, "kept": result.kept}


def _report(lines, output) -> io.NodeOutput:
    """Raises ValueError where no photo at all could be made."""
    results, failed = ([entry for entry in lines if ("error" in entry) is with_error] for with_error in (False, True))
    words = [f"{entry['photo']}: not made: {entry['error']}" for entry in failed]
    if not results:
        raise ValueError("no photo could be made: " + "; ".join(words))
    words = [f"{len(results)} of {len(lines)} photos are in {output.name}", *words]
    words += [f"{entry['photo']}: {entry['verdict']}" for entry in results]
    base = Path(folder_paths.get_output_directory())
    files = [Path(entry["output"]) for entry in results[-SHOWN:]]
    shown = [
        {"filename": path.name, "subfolder": path.parent.relative_to(base).as_posix(), "type": "output"}
        for path in files
    ]
    report = "\n".join(
        json.dumps({**entry, **({"output": Path(entry["output"]).name} if "output" in entry else {})})
        for entry in lines
    )
    return io.NodeOutput(report, "\n".join(words), ui={"images": shown})


def _bases(folder, save_to):
    """(ComfyUI's folder, name of one in it) of the photos and of the results."""
    return (folder_paths.get_input_directory(), folder), (folder_paths.get_output_directory(), save_to)


def _inside(base, name) -> Path:
    """A folder by its name within ComfyUI's; raises ValueError for one outside, or for that one itself."""
    root = Path(base).resolve()
    path = Path(root, name.strip())
    if ".." in Path(name).parts or Path(name).is_absolute() or not name.strip().strip("./"):
        raise ValueError(f"{name!r} must be the name of a folder inside {root.name}, such as photos")
    return path


def _make_example(folder) -> None:
    folder.mkdir(exist_ok=True)
    for person in (14, 8, 12):
        path = folder / f"person {person}.png"
        if not path.is_file():
            images.write_png(images.to_pil(gallery.aligned_face(person, 0)), path)


def _settings(hidden):
    """What decides a result, as a digest of the boxes above and of this one, without what must stay secret."""
    if hidden is None or hidden.dynprompt is None:
        return {}
    prompt, own = hidden.dynprompt, str(hidden.unique_id)
    boxes = [own, *comfy_prompt.upstream(prompt, list(prompt.get_node(own)["inputs"].values()))]
    inputs = []
    for box in boxes:
        node = prompt.get_node(box)
        values = {k: v for k, v in node["inputs"].items() if k not in SECRET and not comfy_prompt.is_link(v)}
        inputs.append([node["class_type"], sorted((key, str(value)) for key, value in values.items())])
    return {"workflow": hashlib.sha256(json.dumps(inputs).encode()).hexdigest()}
