"""From an adapter's file (or a loaded IPADAPTER dict) to a validated record."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from .kinds import AUTO, KINDS, WANTED, Kind, Projection, kind_of
from .projections import projection

PROJECTIONS = ("to_q", "to_k", "to_v", "to_out")


@dataclass(frozen=True)
class AdapterWeights:
    """An identity adapter of one of ``kinds.KINDS``, checked against that kind's form.

    image_proj: the projection's tensors (adapters/projections.py).
    ip_adapter: ``N.to_{k,v}_ip.weight`` for odd N, and where the kind has a LoRA
    ``N.to_{q,k,v,out}_lora.{down,up}.weight`` for every N.
    """

    image_proj: Mapping[str, Tensor]
    ip_adapter: Mapping[str, Tensor]
    kind: Kind = KINDS["faceid"]

    def __post_init__(self):
        with torch.device("meta"):
            expected = projection(self.kind, self.image_proj).state_dict()
        _require(self.image_proj, list(expected), self.kind)
        for name, tensor in expected.items():
            if self.image_proj[name].shape != tensor.shape:
                actual, needed = tuple(self.image_proj[name].shape), tuple(tensor.shape)
                raise ValueError(
                    f"this is no {self.kind.name} adapter ({name} is {actual}, not {needed}): load {WANTED}"
                )
        for slot in range(self.slots):
            _require(self.ip_adapter, [f"{2 * slot + 1}.to_{x}_ip.weight" for x in "kv"], self.kind)
            if self.kind.lora:
                numbers = (2 * slot, 2 * slot + 1)
                lora = [
                    f"{n}.{p}_lora.{d}.weight" for n in numbers for p in PROJECTIONS for d in ("down", "up")
                ]  # fmt: skip
                _require(self.ip_adapter, lora, self.kind)

    @property
    def context(self) -> int:
        """Width C of an identity token: the UNet's cross-attention width (SDXL 2048, SD 1.5 768)."""
        norm = "norm_out" if self.kind.projection is Projection.RESAMPLER else "norm"
        return self.image_proj[f"{norm}.weight"].shape[0]

    @property
    def slots(self) -> int:
        """Number of transformer blocks the adapter is made for (SDXL 70)."""
        return 1 + max(int(key.split(".")[0]) for key in self.ip_adapter) // 2

    def identity_projections(self, slot: int) -> tuple[Tensor, Tensor]:
        """(to_k, to_v) weights, each (inner, C), of the slot's identity attention."""
        n = 2 * slot + 1
        return self.ip_adapter[f"{n}.to_k_ip.weight"], self.ip_adapter[f"{n}.to_v_ip.weight"]

    def lora(self, slot: int, attention: int, projection: str) -> tuple[Tensor, Tensor]:
        """(down (rank, in), up (out, rank)) of attention 1 or 2 of the slot; applied at strength 1. Only of kinds that
        have one."""
        stem = f"{2 * slot + attention - 1}.{projection}_lora"
        return self.ip_adapter[f"{stem}.down.weight"], self.ip_adapter[f"{stem}.up.weight"]

    def check_fits(self, slots: int, context: int) -> None:
        """Raise ValueError unless the adapter is made for a UNet of that many slots and that context width."""
        if (self.slots, self.context) != (slots, context):
            own, model = _family(self.slots, self.context), _family(slots, context)
            raise ValueError(
                f"adapter: it is made for {own}, but the model is {model}: load the file for this model, such as "
                f"{SUCH_AS.get(context, WANTED)}"
            )


FAMILIES = {(70, 2048): "SDXL", (16, 768): "SD 1.5"}
SUCH_AS = {2048: WANTED, 768: "ip-adapter-faceid_sd15.bin (h94/IP-Adapter-FaceID)"}


def _family(slots: int, context: int) -> str:
    family = FAMILIES.get((slots, context), "another model")
    return f"{family} ({slots} attention blocks of width {context})"


def load(path: str | Path, kind: str = AUTO) -> AdapterWeights:
    """Read a ``.bin`` (torch pickle of plain tensors, opened with weights_only) or flattened ``.safetensors``.

    kind: one of ``kinds.KINDS``, or "auto" for what tensors and name say. Raises ValueError, naming the file, when it
    is no identity adapter or of another kind.
    """
    path = Path(path)
    try:
        return from_state(_read(path), kind, path.name)
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error


def peek(path: str | Path, kind: str = AUTO) -> tuple[Kind, int]:
    """What an adapter's file is, and the context width it is made for, without reading its weights.

    Raises ValueError for what ``load`` refuses by its form.
    """
    path = Path(path)
    try:
        if path.suffix == ".safetensors":
            with safe_open(str(path), "pt") as file:
                shapes = {key: torch.empty(file.get_slice(key).get_shape(), device="meta") for key in file.keys()}  # noqa: SIM118
            state = {part: _strip(shapes, part + ".") for part in ("image_proj", "ip_adapter")}
        else:
            state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (SafetensorError, UnpicklingError, EOFError, RuntimeError) as error:
        raise ValueError(f"{path.name}: this is not a file of plain tensors, or it is damaged") from error
    weights = from_state(state, kind, path.name)
    return weights.kind, weights.context


def _read(path: Path) -> Any:
    """The file's content as the two dicts; ValueError where it is damaged or a pickle of more than plain tensors."""
    try:
        if path.suffix == ".safetensors":
            flat = load_file(path)
            return {section: _strip(flat, section + ".") for section in ("image_proj", "ip_adapter")}
        return torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, UnpicklingError, EOFError, RuntimeError) as error:
        raise ValueError(f"this is not a file of plain tensors, or it is damaged: load {WANTED}") from error


def from_state(state: Any, kind: str = AUTO, name: str = "") -> AdapterWeights:
    """From the two dicts ``image_proj`` and ``ip_adapter``, as the file and other packs' IPADAPTER socket hold them;
    IPAdapter_plus's unified loaders wrap them as ``{"ipadapter": {"model": ...}}``. name: the file's."""
    if isinstance(state, Mapping) and isinstance(state.get("ipadapter"), Mapping):
        state = state["ipadapter"].get("model")
    if not isinstance(state, Mapping) or not state.get("image_proj") or not state.get("ip_adapter"):
        raise ValueError(f"this is not an IP-Adapter file (no image_proj and ip_adapter inside): load {WANTED}")
    lora = any("_lora." in key for key in state["ip_adapter"])
    return AdapterWeights(state["image_proj"], state["ip_adapter"], kind_of(state["image_proj"], lora, name, kind))


def _strip(flat: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in flat.items() if key.startswith(prefix)}


def _require(tensors: Mapping[str, Tensor], keys: list[str], kind: Kind) -> None:
    missing = [key for key in keys if key not in tensors]
    if missing:
        with_lora = " with its LoRA" if kind.lora else ""
        raise ValueError(f"this is not a whole {kind.name} adapter{with_lora} (no {missing[0]!r}): load {WANTED}")
