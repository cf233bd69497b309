"""Stand-ins for other packs' loaders, in a file of ComfyUI's custom_nodes; their objects have the packs' own form."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

WEIGHTS = Path(__file__).resolve().parents[2] / "revpers_core" / "pocket" / "weights"


class StandInInsightFace:
    RETURN_TYPES = ("INSIGHTFACE",)
    FUNCTION, CATEGORY = "load", "stand-ins"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {}}

    def load(self) -> tuple[Any]:
        import onnxruntime

        session = onnxruntime.InferenceSession(WEIGHTS / "pocket_arcface.onnx")
        recogniser = SimpleNamespace(model_file="w600k_r50.onnx", session=session, input_mean=127.5, input_std=127.5)
        return (SimpleNamespace(models={"recognition": recogniser}),)


class StandInIPAdapter:
    RETURN_TYPES = ("IPADAPTER",)
    FUNCTION, CATEGORY = "load", "stand-ins"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {}}

    def load(self) -> tuple[Any]:
        from safetensors.torch import load_file

        made: dict[str, Any] = {"image_proj": {}, "ip_adapter": {}}
        for key, value in load_file(WEIGHTS / "pocket_faceid.safetensors").items():
            part, name = key.split(".", 1)
            made[part][name] = value
        return ({"ipadapter": {"file": "faceid", "model": made}},)


NODE_CLASS_MAPPINGS = {"StandInInsightFace": StandInInsightFace, "StandInIPAdapter": StandInIPAdapter}
