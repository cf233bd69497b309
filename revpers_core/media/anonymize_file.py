"""What the command does with one picture: from file to file, or to a plain sentence why not."""

import io
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from PIL import Image
from torch import Tensor

from ..faces.face import Face
from ..faces.geometry import face_in_aligned
from ..faces.judges import Judge
from ..faces.masks import FEATHER, Part
from ..faces.recognise import FaceModel
from ..faces.select import Embed, Keep, keep_people
from ..method.anonymize import Anonymized, source_similarity
from ..method.pixels import grey_where
from ..method.trajectory import OnStep, Trajectory
from ..method.types import Identity, NoFaceError, Plan
from . import images, seal
from .marks import NO_MARK, Mark, encoded
from .photo import FaceSampler, PhotoOptions, PhotoPorts, PhotoResult, anonymize_or, nobody_stays
from .pseudonyms import Pseudonyms
from .strength import Judgement, Target, judge_result, refusal, search_guidance
from .verdict import independent, verdict
from .whole_file import write_whole

Detect = Callable[[Tensor], list[Face]]


class Pipeline(Protocol):
    """The host that makes the pictures, as ``hosts.diffusers.ReversePersonalizationPipeline`` is one.

    size: the model's side in pixels. face_model: the recogniser that steers. unet_evaluations: counted so far.
    """

    unet_evaluations: int
    face_model: FaceModel

    @property
    def size(self) -> int: ...

    def embed(self, image: Tensor) -> Identity: ...

    def anonymize(
        self, image: Tensor, plan: Plan | None = None, on_step: OnStep | None = None, instead: Identity | None = None
    ) -> Anonymized: ...

    def sample(
        self,
        path: Trajectory,
        identity: Identity,
        plan: Plan,
        on_step: OnStep | None = None,
        instead: Identity | None = None,
    ) -> Tensor: ...

    def face_inverter(
        self, plan: Plan, on_step: OnStep | None = None
    ) -> Callable[[Tensor, Identity, int], FaceSampler]: ...


@dataclass(frozen=True)
class SealOptions:
    """The way back beside each result. key: of ``keys.read``. only: whose faces; everyone's for None."""

    key: bytes
    only: Keep | None = None


@dataclass(frozen=True)
class JobConfig:
    """What is the same for every picture of a call. detect: None where pictures are aligned crops already. instead: who
    comes instead of whom; None for nobody in particular."""

    pipeline: Pipeline
    plan: Plan
    settings: dict[str, Any]
    is_pocket: bool
    detect: Detect | None = None
    judges: Sequence[Judge] = ()
    no_face: str = "raise"
    aim: Target | None = None
    keep: Keep = nobody_stays
    keep_parts: tuple[Part, ...] = ()
    match: bool = True
    instead: Pseudonyms | None = None
    mark: Mark = NO_MARK
    seal: SealOptions | None = None
    feather: float = FEATHER
    crop_factor: float = 1.0


def anonymize_file(job: JobConfig, path: Path, output: Path, on_step: OnStep | None) -> dict[str, Any]:
    """One picture, from file to file; returns its record. No file is written where anything fails, and one that an
    earlier call left in its place goes: it would pass for this call's result."""
    start, before = time.perf_counter(), job.pipeline.unet_evaluations
    image, place = images.read(path), f"{path.parent.name}/{path.name}"
    output.unlink(missing_ok=True)
    result, record, reached = (
        anonymize_crop(job, image, on_step, place)
        if job.detect is None
        else anonymize_whole(job, job.detect, image, on_step, place)
    )
    picture = images.to_pil(result)
    data = encoded(images.watermarked(picture) if job.is_pocket else picture, output.suffix, job.mark)
    if job.seal:  # first: where it fails, nothing is handed back that cannot be undone as asked
        _seal(job, job.seal, image, data, output, record, reached)
    write_whole(output, data)
    return {
        "image": str(path),
        "output": str(output),
        "unet_evaluations": job.pipeline.unet_evaluations - before,
        "seconds": round(time.perf_counter() - start, 2),
        **record,
        "settings": job.settings,
    }


def anonymize_crop(
    job: JobConfig, image: Tensor, on_step: OnStep | None, place: str = ""
) -> tuple[Tensor, dict[str, Any], Sequence[Tensor]]:
    """An aligned square crop made into somebody else, looked at by the judges, and what was seen of it."""
    if job.aim and not job.judges:
        raise ValueError("a target needs a judge that says when a face is strange enough: give one")
    source = images.resized(square(image), job.pipeline.size)
    instead: dict[str, Identity] = {}
    pseudonym_record: dict[str, str] = {}
    if job.instead:
        identity = job.pipeline.embed(source[None])
        (stand_in,) = job.instead.cast([identity], place)
        instead, pseudonym_record = (
            {"instead": job.instead.as_condition(stand_in, identity)},
            job.instead.record(stand_in),
        )
    result = job.pipeline.anonymize(source[None], job.plan, on_step, **instead)
    face = face_in_aligned(source)
    before = [judge.embed(source, face) for judge in job.judges]

    def make(guidance: float) -> Tensor:
        if guidance == job.plan.guidance:
            return result.image
        plan = replace(job.plan, guidance=guidance)
        return grey_where(job.pipeline.sample(result.trajectory, result.source, plan, on_step, **instead), source[None])

    def look(candidate: Tensor) -> Judgement:
        after = [judge.embed(candidate[0], face) for judge in job.judges]
        return judge_result(
            job.judges, before, after, job.aim, source_similarity(result.source, candidate, job.pipeline.embed)
        )

    search = search_guidance(make, look, job.plan.guidance, job.aim)
    if search.result is None:
        raise refusal(1, search.tries, job.aim)
    return (
        search.result[0],
        {
            **pseudonym_record,
            "guidance": search.guidance,
            "similarity_null": source_similarity(result.source, result.reconstruction, job.pipeline.embed),
            "similarity_after": source_similarity(result.source, search.result, job.pipeline.embed),
            "verdict": verdict(job.judges, independent(job.judges, before, result.source)),
        },
        [torch.ones(1, *source.shape[-2:])],
    )


def anonymize_whole(
    job: JobConfig, detect: Detect, image: Tensor, on_step: OnStep | None, place: str = ""
) -> tuple[Tensor, dict[str, Any], Sequence[Tensor]]:
    """Everyone in a photo made into somebody else, looked at again; what was seen of each, and where it changed."""
    invert_face = job.pipeline.face_inverter(job.plan, on_step)
    tools = PhotoPorts(detect, embedder(job.pipeline), invert_face, job.pipeline.size, job.judges)
    options = PhotoOptions(
        job.plan.guidance, job.keep, job.keep_parts, job.match, job.aim, instead=job.instead, place=place,
        feather=job.feather, crop_factor=job.crop_factor,
    )  # fmt: skip
    result: PhotoResult = anonymize_or(job.no_face, image, tools, options)
    return (
        result.image,
        {
            "similarity_null": None,
            "similarity_after": max(
                (s for face in result.faces if (s := face["similarity_after"]) is not None), default=None
            ),
            "verdict": _verdict(job, result),
            "faces": result.faces,
            "kept": result.kept,
        },
        result.reached,
    )


def _seal(
    job: JobConfig,
    options: SealOptions,
    image: Tensor,
    data: bytes,
    output: Path,
    record: dict[str, Any],
    reached: Sequence[Tensor],
) -> None:
    """Write the sealed file of a result: everyone's pixels as "face 1", "face 2" ..., or those of the chosen alone."""
    original, result = seal.pixels(images.to_pil(image)), seal.pixels(Image.open(io.BytesIO(data)))
    names = [f"face {i}" for i in range(1, len(reached) + 1)]
    parts = seal.regions(original, result, reached, names)
    if options.only and job.detect:
        chosen_boxes = [list(face.box) for face in options.only(image, job.detect(image))]
        chosen_names = {name for name, face in zip(names, record["faces"], strict=True) if face["box"] in chosen_boxes}
        parts = [region for region in parts if region.name in chosen_names or (region.name == "the rest" and names)]
    seal.write(seal.sealed_path(output), original, result, options.key, parts)


def _verdict(job: JobConfig, result: PhotoResult) -> str:
    if result.faces:
        return max((face["verdict"] for face in result.faces), key=lambda text: text.startswith("unverified"))
    return "everyone was kept: nothing is anonymized" if result.kept else f"no face: {job.no_face}"


def embedder(pipeline: Pipeline) -> Embed:
    """Who a face in a photo is to the recogniser that steers the run."""
    return lambda photo, face: pipeline.face_model.identify_face(photo, face)


def keeping(references: Sequence[Path], likeness: float, detect: Detect, embed: Embed) -> Keep:
    """Leaves those alone who are on the reference photos, from a cosine similarity of ``likeness`` on."""
    photos = [images.read(path) for path in references]
    detections = [detect(photo) for photo in photos]
    for path, faces in zip(references, detections, strict=True):
        if not faces:
            raise NoFaceError(f"{path}: no face was found in this reference photo: use one that shows the person")
    return keep_people(photos, detections, embed, likeness)


def square(image: Tensor) -> Tensor:
    """The picture (3, S, S), or ValueError where it is not square."""
    height, width = image.shape[-2:]
    if height != width:
        raise ValueError(
            f"it is {width} x {height} pixels, but without a --detector the input must be an aligned square crop of "
            "one face: crop it to a square with the upright face in its middle, chin to hairline about two thirds of "
            "the side, or give a detector"
        )
    return image


def faces_as_numbers(faces: Sequence[Face]) -> list[dict[str, Any]]:
    """Faces as plain numbers, to 2 digits: box [x0, y0, x1, y1], points 5 x 2, score."""
    return [
        {
            "box": [round(v, 2) for v in face.box],
            "points": [[round(v, 2) for v in point] for point in face.points.tolist()],
            "score": round(face.score, 4),
        }
        for face in faces
    ]
