"""From an adapter's file (or a loaded IPADAPTER dict) to a validated record."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

EMBEDDING = 512
TOKENS = 4
PROJECTIONS = ("to_q", "to_k", "to_v", "to_out")


@dataclass(frozen=True)
class FaceIDWeights:
    """IP-Adapter-FaceID for SDXL, checked against its own form.

    image_proj: ``proj.0`` 512 -> hidden, ``proj.2`` hidden -> 4 C, LayerNorm ``norm`` over C.
    ip_adapter: ``N.to_{q,k,v,out}_lora.{down,up}.weight`` for every N, ``N.to_{k,v}_ip.weight`` for odd N.
    """

    image_proj: Mapping[str, Tensor]
    ip_adapter: Mapping[str, Tensor]

    def __post_init__(self):
        _require(self.image_proj, ("proj.0.weight", "proj.0.bias", "proj.2.weight", "proj.2.bias", "norm.weight"))
        entry = self.image_proj["proj.0.weight"].shape[1]
        if entry != EMBEDDING:
            raise ValueError(f"a FaceID adapter takes {EMBEDDING}-d identities, this one {entry}-d: load {WANTED}")
        if self.image_proj["proj.2.weight"].shape[0] != TOKENS * self.context:
            raise ValueError(f"expected {TOKENS} identity tokens: load {WANTED}, not the Plus or Portrait variants")
        for slot in range(self.slots):
            _require(self.ip_adapter, (f"{2 * slot + 1}.to_k_ip.weight", f"{2 * slot + 1}.to_v_ip.weight"))
            _require(
                self.ip_adapter,
                [
                    f"{n}.{p}_lora.{d}.weight"
                    for n in (2 * slot, 2 * slot + 1)
                    for p in PROJECTIONS
                    for d in ("down", "up")
                ],
            )

    @property
    def context(self) -> int:
        """Width C of an identity token: the UNet's cross-attention width (SDXL 2048, SD 1.5 768)."""
        return self.image_proj["norm.weight"].shape[0]

    @property
    def slots(self) -> int:
        """Number of transformer blocks the adapter is made for (SDXL 70)."""
        return 1 + max(int(key.split(".")[0]) for key in self.ip_adapter) // 2

    def identity_projections(self, slot: int) -> tuple[Tensor, Tensor]:
        """(to_k, to_v) weights, each (inner, C), of the slot's identity attention."""
        n = 2 * slot + 1
        return self.ip_adapter[f"{n}.to_k_ip.weight"], self.ip_adapter[f"{n}.to_v_ip.weight"]

    def lora(self, slot: int, attention: int, projection: str) -> tuple[Tensor, Tensor]:
        """(down (rank, in), up (out, rank)) of attention 1 or 2 of the slot; applied at strength 1."""
        stem = f"{2 * slot + attention - 1}.{projection}_lora"
        return self.ip_adapter[f"{stem}.down.weight"], self.ip_adapter[f"{stem}.up.weight"]

    def check_fits(self, slots: int, context: int) -> None:
        """Raise ValueError unless the adapter is made for a UNet of that many slots and that context width."""
        if (self.slots, self.context) != (slots, context):
            made, there = _family(self.slots, self.context), _family(slots, context)
            raise ValueError(f"adapter: it is made for {made}, but the model is {there}: load {WANTED}")


FAMILIES = {(70, 2048): "SDXL", (16, 768): "SD 1.5"}


def _family(slots: int, context: int) -> str:
    known = FAMILIES.get((slots, context), "another model")
    return f"{known} ({slots} attention blocks of width {context})"


WANTED = "ip-adapter-faceid_sdxl.bin (h94/IP-Adapter-FaceID)"


def load(path: str | Path) -> FaceIDWeights:
    """Read a ``.bin`` (torch pickle of plain tensors, opened with weights_only) or flattened ``.safetensors``.

    Raises ValueError, naming the file, when it is not a FaceID adapter.
    """
    path = Path(path)
    try:
        return from_state(_read(path))
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error


def _read(path: Path) -> Any:
    """The file's content as the two dicts; ValueError where it is damaged or a pickle of more than plain tensors."""
    try:
        if path.suffix == ".safetensors":
            flat = load_file(path)
            return {part: _strip(flat, part + ".") for part in ("image_proj", "ip_adapter")}
        return torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, UnpicklingError, EOFError, RuntimeError) as error:
        raise ValueError(f"this is not a file of plain tensors, or it is damaged: load {WANTED}") from error


def from_state(state: Any) -> FaceIDWeights:
    """From the two dicts ``image_proj`` and ``ip_adapter``, as the file and other packs' IPADAPTER socket hold them;
    IPAdapter_plus's unified loaders wrap them as ``{"ipadapter": {"model": ...}}``."""
    if isinstance(state, Mapping) and isinstance(state.get("ipadapter"), Mapping):
        state = state["ipadapter"].get("model")
    if not isinstance(state, Mapping) or not state.get("image_proj") or not state.get("ip_adapter"):
        raise ValueError(f"this is not an IP-Adapter file (no image_proj and ip_adapter inside): load {WANTED}")
    return FaceIDWeights(state["image_proj"], state["ip_adapter"])


def _strip(flat: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in flat.items() if key.startswith(prefix)}


def _require(tensors: Mapping[str, Tensor], keys: list[str] | tuple[str, ...]) -> None:
    missing = [key for key in keys if key not in tensors]
    if missing:
        raise ValueError(f"this is not a FaceID adapter with its LoRA (no {missing[0]!r}): load {WANTED}")
