"""ComfyUI's guider in mid-run as the core's view of the model: branches, guided predictions, guidance on kept ones."""

from dataclasses import dataclass
from typing import Any

import comfy.samplers
from torch import Tensor

from ..method.trajectory import Need
from .comfy_adapter import IDENTITY_KV, IdentityKV, guides_plainly

COND, UNCOND = 0, 1
"""ComfyUI's numbers for the branches in ``cond_or_uncond``."""


@dataclass(frozen=True)
class Network:
    """The guider in mid-run, under one identity: the core's view of the model.

    plain: whether guidance is the formula and nothing else, so that a branch without weight need not run.
    """

    guider: Any
    model_options: dict[str, Any]
    seed: int | None
    plain: bool

    @classmethod
    def under(cls, cond: IdentityKV, uncond: IdentityKV, guider: Any, extra_args: dict[str, Any]) -> "Network":
        options = extra_args["model_options"]
        transformer_options = {**options.get("transformer_options", {}), IDENTITY_KV: (cond, uncond)}
        carrying = {**options, "transformer_options": transformer_options}
        return cls(guider, carrying, extra_args.get("seed"), guides_plainly(guider.model_patcher))

    @property
    def _conds(self) -> list[Any]:
        return [self.guider.conds["positive"], self.guider.conds["negative"]]

    def branches(self, x: Tensor, sigma: float | Tensor, need: Need = Need.BOTH) -> tuple[Tensor, Tensor]:
        """Both predictions before any guidance; every other pack's patch on the model is in force."""
        x, level = _fed(x, sigma)
        conds = self._conds
        for branch, alone in ((COND, Need.UNCOND), (UNCOND, Need.COND)):
            if need is alone:
                conds[branch] = None
        out = comfy.samplers.calc_cond_batch(self.guider.inner_model, conds, x, level, self.model_options)
        return out[COND if need is Need.COND else UNCOND], out[UNCOND if need is Need.UNCOND else COND]

    def predict(self, x: Tensor, sigma: float) -> Tensor:
        """The guided prediction as ComfyUI makes it, which itself leaves out the unconditional branch at guidance 1."""
        if self.plain and self.guider.cfg == 0:
            return self.branches(x, sigma, Need.UNCOND)[0]
        x, level = _fed(x, sigma)
        return self.guider(x, level, model_options=self.model_options, seed=self.seed)

    def guide(self, uncond: Tensor, cond: Tensor, x: Tensor, sigma: float) -> Tensor:
        """Guidance on kept predictions, through the same custom CFG functions that ``predict`` meets."""
        if self.plain and self.guider.cfg == 1:
            return cond
        x, level = _fed(x, sigma)
        conds, model, options = self._conds, self.guider.inner_model, self.model_options
        out = [cond, uncond]
        for function in options.get("sampler_pre_cfg_function", []):
            out = function(
                {
                    "conds": conds,
                    "conds_out": out,
                    "cond_scale": self.guider.cfg,
                    "timestep": level,
                    "input": x,
                    "sigma": level,
                    "model": model,
                    "model_options": options,
                }
            )
        return comfy.samplers.cfg_function(
            model, out[COND], out[UNCOND], self.guider.cfg, x, level, options, cond=conds[COND], uncond=conds[UNCOND]
        )


def _fed(x: Tensor, sigma: float | Tensor) -> tuple[Tensor, Tensor]:
    x = x.float()
    return x, sigma.to(x) if isinstance(sigma, Tensor) else x.new_full((len(x),), sigma)
