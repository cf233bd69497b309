"""The audit: do judges that took no part still know the people in the results?"""

import torch
from comfy_api.latest import io

from ..revpers_core.audit.compare import ImagePair, compare
from ..revpers_core.audit.picture import audit_picture
from ..revpers_core.audit.report import report
from ..revpers_core.faces import detect
from ..revpers_core.faces.insightface import as_detectors
from ..revpers_core.hosts.comfy_progress import interruptible
from ..revpers_core.media import images as pictures
from . import sockets
from .convert import to_comfy, to_core


class Audit(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return sockets.schema(
            "RevPersAudit",
            "Would They Be Recognised? (Audit)",
            description=(
                "Shows originals and results to judges that took no part, and says in one sentence whether anyone is "
                "still recognised. Without a detector the images must be aligned crops with one face each."
            ),
            inputs=[
                io.Image.Input("originals", tooltip="The images before; or one, of which all results were made."),
                io.Image.Input(
                    "results", tooltip="The images after, in the same order. One that is missing counts as a failure."
                ),
                sockets.Judge.Input(
                    "judge",
                    tooltip="From 'Load Judge': not the recogniser that 'Who Is It' uses. Two see more than one.",
                ),
                sockets.detector_input(
                    optional=True, tooltip="From 'Load Face Detector': for whole photos with any people."
                ),
            ],
            outputs=[
                io.Image.Output(
                    "picture", tooltip="Before, after and a bar a judge. It shows the originals: keep it private."
                ),
                io.String.Output("verdict", tooltip="One sentence: not re-identified, re-identified, or unknown."),
                io.String.Output("report", tooltip="JSON with every figure; no embedding, no original."),
                io.String.Output("table", tooltip="A line a judge, with 95% intervals; then what stayed as it was."),
            ],
        )

    @classmethod
    def execute(cls, originals, results, judge, detector=None) -> io.NodeOutput:
        if len(originals) == 1 and len(results) > 1:
            originals = originals.expand(len(results), -1, -1, -1)
        if len(results) > len(originals):
            raise ValueError(
                f"results has {len(results)} images for {len(originals)} originals: connect those of these"
            )
        paired_results = [*to_core(results, "results"), *[None] * (len(originals) - len(results))]
        pairs = [
            ImagePair(f"image {i}", *pair)
            for i, pair in enumerate(zip(to_core(originals, "originals"), paired_results, strict=True), 1)
        ]
        detectors = None if detector is None else interruptible(as_detectors(detector))
        search = None if detectors is None else lambda image: detect.find_faces(image, detectors)
        audit = report(compare(pairs, judge, search), judge)
        picture = torch.stack([pictures.from_pil(audit_picture(audit))])
        return io.NodeOutput(to_comfy(picture), audit.verdict, audit.json(), audit.table)
