"""Nodes about faces in pictures."""

from comfy_api.latest import io
from einops import rearrange

from . import sockets


class FaceIDEmbed(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return sockets.schema(
            "FaceIDEmbed",
            "Who Is It (FaceID Embed)",
            description="Reads who is in an aligned face crop: the person to be led away from.",
            inputs=[
                sockets.FaceModel.Input("face_model", tooltip="From 'Load Face Recognition Model'."),
                io.Image.Input(
                    "image",
                    tooltip="Square crops with one face each, framed as in FFHQ: eyes just above the middle. "
                    "The same images, in the same order, as those that are inverted.",
                ),
                io.Float.Input(
                    "scale",
                    default=1.0,
                    min=0.0,
                    max=3.0,
                    step=0.05,
                    tooltip="Length of the identity vector, 0 to 3. The paper's value is 1; 0 is nobody.",
                ),
            ],
            outputs=[
                sockets.Identity.Output("identity", tooltip="Recognises this person: never share it. To the sampler.")
            ],
        )

    @classmethod
    def execute(cls, face_model, image, scale: float) -> io.NodeOutput:
        return io.NodeOutput(face_model.embed(rearrange(image[..., :3], "b h w c -> b c h w"), scale))
