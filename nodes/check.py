"""The look at what the sampler made, on the canvas."""

from comfy_api.latest import io

from ..revpers_core.hosts.comfy_check import check_latent
from . import sockets


class CheckChange(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return sockets.schema(
            "RevPersCheckChange",
            "Did the Face Change? (Check)",
            description="Stops with an error where a face is still the person or hardly changed. 'Become Somebody "
            "Else' does so by itself; this is for latents that are changed afterwards.",
            inputs=[
                io.Latent.Input("latent", tooltip="From 'Become Somebody Else', or what was made of it, in its size."),
                io.Vae.Input("vae", tooltip="The VAE of the checkpoint."),
                sockets.Identity.Input("identity", tooltip="Who must not be there any more, from 'Who Is It'."),
                sockets.Trajectory.Input("trajectory", tooltip="From 'Take the Photo Apart': the photo as it was."),
                sockets.judge_input(),
            ],
            outputs=[io.Latent.Output("checked", display_name="latent", tooltip="The same latent. To 'VAE Decode'.")],
        )

    @classmethod
    def execute(cls, latent, vae, identity, trajectory, judge=()) -> io.NodeOutput:
        check_latent(latent, trajectory, identity, vae, judge)
        return io.NodeOutput(latent)
