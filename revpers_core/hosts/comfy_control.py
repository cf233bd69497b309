"""InstantID's ControlNet in ComfyUI: it sees a face's five points, and reads the identity instead of words."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..method.types import Identity
from .comfy_adapter import Adapter
from .comfy_backbone import Conditioning


class PointedControl(NamedTuple):
    """The ControlNet of a run, with its picture. Both branches get the same object, or they could not share a call."""

    control_net: Any
    adapter: Adapter

    @classmethod
    def of(cls, adapter: Adapter, hint: Tensor) -> "PointedControl | None":
        """hint: (B, 3, H, W), the five points. None where the adapter has no ControlNet."""
        if adapter.control_net is None:
            return None
        return cls(adapter.control_net.copy().set_cond_hint(hint, adapter.control_strength, (0.0, 1.0)), adapter)

    def on(self, conditioning: Conditioning, identity: Identity) -> Conditioning:
        """The conditioning with the ControlNet under this identity; words go on to the model alone."""
        tokens = self.adapter.modules.tokens(identity, torch.zeros(()), self.adapter.vision)
        control = {"control": self.control_net, "control_apply_to_uncond": False, "cross_attn_controlnet": tokens}
        return [[embeds, {**rest, **control}] for embeds, rest in conditioning]
