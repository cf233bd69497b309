"""ComfyUI's own MediaPipe face stack as a detector: the object on its socket FACE_DETECTION_MODEL (0.33 and newer)."""

from typing import Any

import torch
from torch import Tensor

from .detector import FLOOR, Detector, faces_of
from .face import Face

VARIANTS = ("short", "full")
"""Its two detectors: for near and for far faces."""
POINTS = ((33, 133), (362, 263), (1, 1), (61, 61), (291, 291))
"""Of the mesh: the corners of the eye on the viewer's left and of the other one, nose tip, mouth corners."""


def of_landmarker(model: Any) -> Detector:
    """A detector of ComfyUI's ``FaceLandmarkerModel``: both of its variants, united. The box is the mesh's extent."""

    def detect(image: Tensor) -> list[Face]:
        pixels = (image.float().cpu() * 255).round().clamp(0, 255).byte().permute(1, 2, 0).contiguous().numpy()
        detections = [
            face
            for variant in VARIANTS
            for face in model.detect_batch([pixels], num_faces=0, score_thresh=FLOOR, variant=variant)[0]
        ]
        if not detections:
            return []
        boxes = torch.stack([torch.as_tensor(face["bbox_xyxy"]).float() for face in detections])
        mesh = torch.stack([torch.as_tensor(face["landmarks_xy"]).float() for face in detections])
        return faces_of(
            boxes, mesh[:, torch.tensor(POINTS)].mean(2), torch.tensor([float(f["score"]) for f in detections])
        )

    return detect
