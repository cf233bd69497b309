"""The nodes: thin boxes over ``revpers_core``."""

import os

import folder_paths
from comfy_api.latest import ComfyExtension, io

from .anonymize import AttributePrompt, NegativeIDGuidanceSampler, NullIDInvertDPMPP
from .faces import FaceIDEmbed
from .loaders import LoadFaceIDAdapter, LoadFaceModel, LoadPocket, PocketFace

FOLDERS = {"ipadapter": {".bin", ".safetensors"}, "insightface": {".onnx"}}
"""The community's model folders, which ComfyUI does not know by itself."""


class ReversePersonalization(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [
            LoadFaceIDAdapter,
            LoadFaceModel,
            LoadPocket,
            PocketFace,
            FaceIDEmbed,
            AttributePrompt,
            NullIDInvertDPMPP,
            NegativeIDGuidanceSampler,
        ]


async def comfy_entrypoint() -> ComfyExtension:
    for folder, extensions in FOLDERS.items():
        folder_paths.add_model_folder_path(folder, os.path.join(folder_paths.models_dir, folder))
        folder_paths.folder_names_and_paths[folder][1].update(extensions)
    return ReversePersonalization()
