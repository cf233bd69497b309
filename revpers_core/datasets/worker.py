"""What happens to one row: the same on every engine, in any order, on any number of workers."""

import hmac
import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ..faces.face import Face
from ..faces.geometry import ALIGNED_BOX, framing
from ..faces.merge import iou
from ..media import images
from ..media.anonymize_file import Detect, JobConfig, anonymize_crop, anonymize_whole
from ..media.image_file import ImageFileError
from ..media.pseudonyms import Pictured, Pseudonyms, Strangers
from ..method.types import Attribute
from .records import OK, Box, Row, RowResult, failed

COVERED = 0.2
"""Intersection over union from which on a face that was found is the one of a box that was told."""
Encode = Callable[[Image.Image], bytes]


def row_seed(secret: bytes, row: str) -> int:
    """The seed of a row, in [0, 2^62): HMAC-SHA256 of its id under the run's secret, so that it depends on nothing else
    and tells nobody who does not have the secret anything."""
    return int.from_bytes(hmac.digest(secret, row.encode(), "sha256")[:8], "big") >> 2


class RowWorker:
    """Rows to results, one at a time; the model and the judges of ``job`` are loaded already."""

    def __init__(self, job: JobConfig, secret: bytes, encode: Encode):
        self.job, self.secret, self.encode = job, secret, encode

    def __call__(self, row: Row) -> RowResult:
        """Never raises for what a row can cause: it fails instead, without a picture."""
        if row.problem:
            return failed(row, row.problem)
        try:
            return self._anonymize(row)
        except Exception as error:  # whatever a row does, the others go on
            if isinstance(error, ImageFileError):
                return failed(row, error.reason)
            expected = isinstance(error, (ValueError, OSError, RuntimeError, MemoryError, ImportError))
            return failed(row, (str(error) if expected else "") or f"{type(error).__name__}: {error}")

    def _anonymize(self, row: Row) -> RowResult:
        image = images.read(io.BytesIO(row.image), row.id)
        job = self._job(row, image)
        if job.detect is None:
            result, record, _ = anonymize_crop(job, image, None, row.id)
            faces = [{"box": None, "score": None, "verdict": record["verdict"], **_measured(record)}]
        else:
            result, record, _ = anonymize_whole(job, job.detect, image, None, row.id)
            faces = [
                {"box": _rounded(face["box"]), **_measured(face), **{name: face[name] for name in ("score", "verdict")}}
                for face in record["faces"]
            ]
        picture = images.to_pil(result)
        data = self.encode(images.watermarked(picture) if job.is_pocket else picture)
        return RowResult(row.id, data, OK, "", tuple(faces), record["verdict"], row.carried)

    def _job(self, row: Row, image: Tensor) -> JobConfig:
        """The run's settings with what the row says."""
        job = self.job
        plan = replace(job.plan, seed=row_seed(self.secret, row.id))
        job = replace(job, instead=self._pseudonyms_of(job.instead, row))
        if row.words:
            plan = replace(plan, attribute=Attribute(text=row.words))
        if job.detect is None and (row.boxes is not None or row.keep):
            raise ValueError("boxes and keep are for photos, in which faces are found: give a --detector")
        if job.detect is None:
            return replace(job, plan=plan)
        known_faces = [face_of_box(box) for box in in_pixels(row.boxes or (), image)]
        kept_boxes = in_pixels(row.keep, image)
        keep = job.keep

        def keep_also(photo: Tensor, faces: list[Face]) -> list[Face]:
            named = keep(photo, faces)
            covered = [face for face in faces if any(_overlap(face, box) >= COVERED for box in kept_boxes)]
            return [*named, *(face for face in covered if not any(face is named_face for named_face in named))]

        return replace(job, plan=plan, detect=with_known(job.detect, known_faces), keep=keep_also)

    def _pseudonyms_of(self, pseudonyms: Pseudonyms | None, row: Row) -> Pseudonyms | None:
        """Who comes instead in this row, whoever came in others: strangers of the row's own, or the pictured people."""
        if pseudonyms is None:
            return None
        if isinstance(pseudonyms.drawing, Strangers):
            return replace(pseudonyms, drawing=Strangers(row_seed(self.secret, f"person:{row.id}")))
        if isinstance(pseudonyms.drawing, Pictured):
            return replace(pseudonyms, drawing=Pictured(pseudonyms.drawing.identities))
        raise ValueError("the same stranger in every row would depend on which row comes first: take revpers anonymize")


def with_known(detect: Detect, known: Sequence[Face]) -> Detect:
    """The search, and faces that are known beforehand where it finds none at their place."""

    def search(image: Tensor) -> list[Face]:
        faces = detect(image)
        return [
            *faces,
            *(face for face in known if not any(_overlap(found_face, face.box) >= COVERED for found_face in faces)),
        ]

    return search if known else detect


def face_of_box(box: Box) -> Face:
    """The face that a detector's box would hold, upright and seen from the front, when only the box is told."""
    shares = torch.tensor(ALIGNED_BOX)
    inner = (framing(512).float() + 0.5) / 512
    x0, y0, x1, y1 = box
    points = (inner - shares[:2]) / (shares[2:] - shares[:2]) * torch.tensor([x1 - x0, y1 - y0])
    return Face(box, points + torch.tensor([x0, y0]), 1.0)


def in_pixels(boxes: Sequence[Box], image: Tensor) -> list[Box]:
    """Boxes in pixels of the image (3, H, W). Raises ValueError for one that lies outside."""
    height, width = image.shape[-2:]
    pixel_boxes: list[Box] = []
    for x0, y0, x1, y1 in boxes:
        share = max(x1, y1) <= 1 and min(x0, y0) >= 0
        box = (x0 * width, y0 * height, x1 * width, y1 * height) if share else (x0, y0, x1, y1)
        if box[2] <= 0 or box[3] <= 0 or box[0] >= width or box[1] >= height:
            raise ValueError(f"the box {[x0, y0, x1, y1]} lies outside the picture of {width} x {height} pixels")
        pixel_boxes.append(box)
    return pixel_boxes


def _overlap(face: Face, box: Box) -> float:
    return float(iou(torch.tensor(face.box, dtype=torch.float64), torch.tensor([box], dtype=torch.float64))[0])


def _measured(record: dict[str, Any]) -> dict[str, Any]:
    return {name: record[name] for name in ("guidance", "similarity_after")}


def _rounded(box: Sequence[float]) -> list[float]:
    return [round(value, 1) for value in box]
