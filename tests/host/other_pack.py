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
        return ({"ipadapter": {"file": "faceid", "model": adapter()}},)


class StandInOldIPAdapter(StandInIPAdapter):
    """Of the form of the adapter for SD 1.5: 16 blocks, width 768."""

    def load(self) -> tuple[Any]:
        result = adapter()
        parts, layers = result["image_proj"], result["ip_adapter"]
        parts["norm.weight"], parts["norm.bias"] = parts["norm.weight"].new_ones(768), parts["norm.bias"].new_zeros(768)
        parts["proj.2.weight"] = parts["proj.2.weight"].new_zeros(4 * 768, parts["proj.2.weight"].shape[1])
        parts["proj.2.bias"] = parts["proj.2.bias"].new_zeros(4 * 768)
        first = {key.split(".", 1)[1]: value for key, value in layers.items() if key.startswith(("0.", "1."))}
        first |= {key: value.new_zeros(len(value), 768) for key, value in first.items() if key.endswith("_ip.weight")}
        result["ip_adapter"] = {f"{number}.{key}": value for number in range(32) for key, value in first.items()}
        return ({"ipadapter": {"file": "faceid_sd15", "model": result}},)


class StandInModel:
    """The model made into what people connect by mistake, or what happens to it."""

    RETURN_TYPES = ("MODEL",)
    FUNCTION, CATEGORY = "load", "stand-ins"
    KINDS = ("SD 2", "FLUX", "patched", "full")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"model": ("MODEL",), "kind": (cls.KINDS,)}}

    def load(self, model: Any, kind: str) -> tuple[Any]:
        import comfy.model_base
        import torch

        def full(*_: Any) -> None:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 136 GiB")

        result = model.clone()
        if kind == "full":
            result.set_model_unet_function_wrapper(full)
        elif kind == "patched":
            (key, *_) = (key for key in result.model.state_dict() if key.endswith("attn1.to_q.weight"))
            result.add_patches({key: (torch.zeros_like(result.model.state_dict()[key]),)})
        else:
            other = comfy.model_base.Flux if kind == "FLUX" else comfy.model_base.BaseModel
            result.model = object.__new__(other)
            result.model.__dict__ = model.model.__dict__
        return (result,)


class StandInPressure:
    """What ComfyUI does where memory is short: the boxes that hold models forget them, and load them again."""

    RETURN_TYPES = ()
    FUNCTION, CATEGORY, OUTPUT_NODE = "forget", "stand-ins", True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"after": ("IMAGE",)}}

    def forget(self, after: Any) -> dict[str, Any]:
        import gc

        import execution
        from comfy.model_patcher import ModelPatcher

        calls = 0
        for executor in [one for one in gc.get_objects() if isinstance(one, execution.PromptExecutor)]:
            cache = executor.caches.outputs
            for key, entry in list(cache.cache.items()):
                flat = [
                    one
                    for some in getattr(entry, "outputs", entry) or []
                    for one in (some if isinstance(some, list) else [some])
                ]
                if any(isinstance(one, ModelPatcher) for one in flat):
                    del cache.cache[key]
                    calls += 1
        return {"ui": {"text": [str(calls)]}}


def adapter() -> dict[str, Any]:
    """The pocket adapter as IPAdapter_plus holds one."""
    from safetensors.torch import load_file

    result: dict[str, Any] = {"image_proj": {}, "ip_adapter": {}}
    for key, value in load_file(WEIGHTS / "pocket_faceid.safetensors").items():
        part, name = key.split(".", 1)
        result[part][name] = value
    return result


NODE_CLASS_MAPPINGS = {
    "StandInInsightFace": StandInInsightFace,
    "StandInIPAdapter": StandInIPAdapter,
    "StandInOldIPAdapter": StandInOldIPAdapter,
    "StandInModel": StandInModel,
    "StandInPressure": StandInPressure,
}
