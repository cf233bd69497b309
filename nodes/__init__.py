"""The nodes: thin boxes over ``revpers_core``."""

import os

import folder_paths
from comfy_api.latest import ComfyExtension, io

from .anonymize import AnonymizeFaces
from .audit import Audit
from .check import CheckChange
from .compare import BeforeAfter, SeveralStrengths
from .everything import LoadEverything
from .faces import CropFaces, DetectFaces, FaceIDEmbed, PasteFaces, SelectFaces
from .folder import AnonymizeFolder
from .loaders import (
    AdapterFromIPAdapter,
    LoadFaceDetector,
    LoadFaceIDAdapter,
    LoadFaceModel,
    LoadJudge,
    LoadPocket,
    PocketFace,
)
from .method import AttributePrompt, NegativeIDGuidanceSampler, NullIDInvertDPMPP
from .missing import register
from .pseudonym import Pseudonym
from .save import Save
from .seal import Seal, Unseal
from .video import AnonymizeVideo, SaveVideo

FOLDERS = {"ipadapter": {".bin", ".safetensors"}, "insightface": {".onnx"}}
"""The community's model folders, which ComfyUI does not know by itself."""


class ReversePersonalization(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [
            LoadEverything,
            LoadFaceIDAdapter,
            AdapterFromIPAdapter,
            LoadFaceModel,
            LoadFaceDetector,
            LoadJudge,
            LoadPocket,
            PocketFace,
            FaceIDEmbed,
            AttributePrompt,
            Pseudonym,
            NullIDInvertDPMPP,
            NegativeIDGuidanceSampler,
            CheckChange,
            DetectFaces,
            SelectFaces,
            CropFaces,
            PasteFaces,
            AnonymizeFaces,
            Audit,
            SeveralStrengths,
            BeforeAfter,
            Save,
            Seal,
            Unseal,
            AnonymizeVideo,
            AnonymizeFolder,
            SaveVideo,
        ]


async def comfy_entrypoint() -> ComfyExtension:
    for folder, extensions in FOLDERS.items():
        folder_paths.add_model_folder_path(folder, os.path.join(folder_paths.models_dir, folder))
        folder_paths.folder_names_and_paths[folder][1].update(extensions)
    register()
    return ReversePersonalization()
