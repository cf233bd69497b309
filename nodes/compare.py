"""Before and after on the canvas, and several strengths at once."""

from comfy_api.latest import io, ui

from ..revpers_core.method.settings import STRENGTH
from . import sockets
from .convert import to_comfy, to_core


class BeforeAfter(io.ComfyNode):
    """web/js/before_after.js draws the slider."""

    @classmethod
    def define_schema(cls):
        return sockets.schema(
            "RevPersBeforeAfter",
            "Before and After",
            description="A slider between the photo and what was made of it. Both lie in ComfyUI's temp folder.",
            inputs=[
                io.Image.Input("before", tooltip="The photo."),
                io.Image.Input("after", tooltip="What was made of it; one picture for each photo."),
            ],
            outputs=[],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, before, after) -> io.NodeOutput:
        # cls=None keeps the workflow, seed included, out of the previews.
        previews = {
            key: ui.PreviewImage(to_comfy(to_core(images, key)), cls=None).as_dict()["images"]
            for key, images in (("before", before), ("after", after))
        }
        return io.NodeOutput(ui=previews)


class SeveralStrengths(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return sockets.schema(
            "RevPersSeveralStrengths",
            "Several Strengths",
            description="Runs what is behind it once for each strength, along one inversion. To compare them.",
            inputs=[
                io.String.Input(
                    "strengths",
                    default="0.2, 0.5, 1, 1.5",
                    tooltip="Numbers from 0 to 3 with commas between them; 1 is the full guidance.",
                )
            ],
            outputs=[
                io.Float.Output(
                    "strength", is_output_list=True, tooltip="To 'strength' of 'Become Somebody Else', one by one."
                )
            ],
        )

    @classmethod
    def execute(cls, strengths: str) -> io.NodeOutput:
        try:
            values = [float(word) for word in strengths.split(",")]
        except ValueError:
            values = []
        if not values or not all(0 <= value <= STRENGTH.high for value in values):
            raise ValueError(
                f"strengths: expected numbers from 0 to {STRENGTH.high:g}, such as 0.5, 1, 1.5; got {strengths!r}"
            )
        return io.NodeOutput(values)
