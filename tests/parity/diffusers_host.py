"""The golden cases through the diffusers host."""

from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from run import Case, Outcome

from revpers_core.adapters import weights as faceid
from revpers_core.hosts.diffusers_unet import Adapted, Conditions, unet_branches
from revpers_core.method.guidance import network_guidance, recorded_guidance
from revpers_core.method.schedule import sdxl_sigmas, sigmas
from revpers_core.method.trajectory import REFERENCE, Branches, Trajectory, alpha, invert, noise_maps, sample
from revpers_core.method.types import Identity


class DiffusersHost:
    def __init__(self, golden: Path, dtype: str):
        self.dtype = getattr(torch, dtype)
        self.unet = UNet2DConditionModel.from_pretrained(golden / "tiny_sdxl" / "unet").to(self.dtype)
        self.weights = faceid.load(golden / "faceid_adapter.safetensors")
        self.levels = sdxl_sigmas()

    def __call__(self, case: Case) -> Outcome:
        settings = case.settings
        adapted = Adapted.inject(self.unet, self.weights, settings["ip"], settings["lora"])
        try:
            with torch.inference_mode():
                return self.run(case, adapted)
        finally:
            adapted.eject()

    def run(self, case: Case, adapted: Adapted) -> Outcome:
        guidance, x0 = case.settings["cfg"], case.golden("x0")
        run_sigmas = sigmas(case.tensors["timesteps"].tolist(), self.levels.__getitem__)
        noise = list(case.tensors["noise"].flip(0)[:, None])
        null = self.branches(case, adapted, "inv")
        path = invert(null, x0, run_sigmas, noise)
        combine = recorded_guidance(guidance)
        predict = network_guidance(self.branches(case, adapted, "gen"), guidance)
        return Outcome(
            init=path.state(0) * alpha(run_sigmas[0]),
            zs=torch.cat(list(noise_maps(path, combine))),
            final=sample(predict, path, combine, quirks=REFERENCE),
            null_reset=self.null_replay(null, path, guidance),
        )

    def branches(self, case: Case, adapted: Adapted, phase: str) -> Branches:
        uncond, cond = (adapted.tokens(Identity(row[None])) for row in case.identity(phase))
        conditions = Conditions(*case.words(phase), case.time_ids(phase), (uncond, cond))
        return unet_branches(adapted.unet, conditions, self.levels, case.settings["pred"] == "v_prediction")

    def null_replay(self, null: Branches, path: Trajectory, guidance: float) -> torch.Tensor:
        return sample(network_guidance(null, guidance), path, recorded_guidance(guidance))
