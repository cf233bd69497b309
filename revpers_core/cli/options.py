"""Options that several commands share, and what is loaded by them: the model, detectors, judges."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..adapters.kinds import AUTO, CLIP_FILE, KINDS
from ..adapters.lora import Lora
from ..faces import detect, registry
from ..faces.face import Face
from ..faces.judges import Judge
from ..method import settings
from ..method.settings import CUSTOM, PRESET, PRESETS, STUDENT
from ..method.students import caution, steps_taken
from .model import pipeline

if TYPE_CHECKING:
    from ..hosts.diffusers import ReversePersonalizationPipeline

USUAL = object()
JUDGES = "dlib|pocket|FILE"
"""What ``--judge`` takes."""


def model_options(parser: argparse.ArgumentParser) -> None:
    files = parser.add_argument_group(
        "model", "local files; without them the pocket model, which only shows the machinery"
    )
    files.add_argument("--model", type=Path, help="SDXL or SD 1.5 checkpoint, e.g. sd_xl_base_1.0.safetensors")
    files.add_argument("--adapter", type=Path, help="identity adapter, e.g. ip-adapter-faceid_sdxl.bin")
    files.add_argument(
        "--adapter-kind", choices=(AUTO, *KINDS), default=AUTO, help="where its file and name do not say (default auto)"
    )
    files.add_argument(
        "--clip-vision", type=Path, metavar="FILE|DIR", help=f"CLIP ViT-H, for adapters that need it: {CLIP_FILE}"
    )
    files.add_argument("--controlnet", type=Path, metavar="FILE|DIR", help="InstantID's ControlNetModel")
    files.add_argument("--face-model", type=Path, help="ArcFace recogniser (ONNX), e.g. w600k_r50.onnx")
    files.add_argument(
        "--prediction", choices=(AUTO, "epsilon", "v_prediction"), default=AUTO, help="what the checkpoint predicts, "
        "where it does not say (default auto: epsilon, or v where the file has a v_pred key)",
    )  # fmt: skip
    files.add_argument("--dtype", choices=("float32", "float16", "bfloat16"), default="float32", help="the network's")
    files.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")


def student_options(group: Any) -> None:
    """Add --lora and --student."""
    group.add_argument(
        "--lora", type=Lora.parse, action="append", default=[], metavar="FILE[:STRENGTH]",
        help="a LoRA of the UNet (safetensors), such as a few-step student's; repeatable",
    )  # fmt: skip
    group.add_argument("--student", choices=STUDENT.options, default=STUDENT.default, help=STUDENT.help)


def search_options(parser: argparse.ArgumentParser) -> None:
    search = parser.add_argument_group("search")
    search.add_argument(
        "--detector",
        action="append",
        metavar="centerface|buffalo_l|pocket|FILE|DIR",
        help="face detector: an ONNX file, a pack's folder or its name in ~/.insightface/models (insightface:NAME has "
        "the package run it), pocket for rendered faces; repeatable",
    )
    search.add_argument(
        "--provider", choices=("auto", "cpu", "cuda", "onnxruntime"), default="auto", help="where detectors run"
    )
    number(search, settings.MIN_SCORE, "min_score")
    number(search, settings.SMALLEST, "smallest")


def run_options(parser: argparse.ArgumentParser, guidance: float = settings.GUIDANCE.default) -> None:
    run = parser.add_argument_group("run")
    number(run, settings.GUIDANCE, "guidance", guidance)
    run.add_argument("--preset", choices=PRESET.options, help=f"{PRESET.help} (default {PRESET.default})")
    number(run, settings.STEPS, "steps", None)
    number(run, settings.SKIP, "skip", None)
    number(run, settings.SEED, "seed", None)
    number(run, settings.AT_ONCE, "at_once")


def number(group: Any, setting: settings.Number[Any], name: str, default: Any = USUAL) -> None:
    """An option with the setting's help; whoever takes the number checks its range.

    default: instead of the setting's; None where another option or a draw decides.
    """
    default = setting.default if default is USUAL else default

    text = setting.help if default is None else f"{setting.help} (default %(default)s)"
    group.add_argument(
        f"--{name.replace('_', '-')}", type=type(setting.default), default=default, metavar="NUMBER", help=text
    )


def settle_preset(args: argparse.Namespace) -> None:
    """Steps and skip by the preset, or one's own; what is not given is the default preset's. Fewer steps where a
    student knows fewer; raises ValueError where it knows too few."""
    own = args.steps is not None or args.skip is not None
    if own and args.preset not in (None, CUSTOM):
        raise ValueError(f"--steps and --skip make a run of one's own: leave out --preset {args.preset}")
    usual = PRESETS[args.preset if args.preset in PRESETS else PRESET.default]
    args.steps = usual.steps if args.steps is None else args.steps
    args.skip = usual.skip if args.skip is None else args.skip
    if (student := getattr(args, "student", STUDENT.default)) != STUDENT.default:
        args.steps = steps_taken(student, args.steps, args.skip)
        if (words := caution(student, args.guidance)) is not None:
            print(f"revpers: {words}", file=sys.stderr)


def check_model_files(args: argparse.Namespace) -> None:
    files = (args.model, args.adapter, args.face_model)
    if args.face_model and args.face_model.name in [Path(path).name for path in args.judge or []]:
        raise ValueError(f"{args.face_model.name} steers the run: a judge must be another recogniser")
    if any(files) and not all(files):
        raise ValueError("--model, --adapter and --face-model belong together: give all three, or none for the pocket")


def load_model(args: argparse.Namespace) -> "ReversePersonalizationPipeline":
    files = (args.model, args.adapter, args.face_model)
    model = pipeline(
        files,
        getattr(torch, args.dtype),
        args.device,
        getattr(args, "lora", ()),
        kind=args.adapter_kind,
        clip_vision=args.clip_vision,
        controlnet=args.controlnet,
        prediction=args.prediction,
    )
    if (size := getattr(args, "size", None)) is not None:
        if size < 64 or size % 64:
            raise ValueError(f"--size must be a multiple of 64, got {size}")
        model.size = size
    return model


def load_search(args: argparse.Namespace) -> Callable[[Tensor], list[Face]] | None:
    """The search with the detectors that are named, united; None where none is."""
    if not args.detector:
        return None
    loaded = [registry.detector(name, args.provider) for name in args.detector]
    search = detect.Search(min_score=args.min_score, smallest=args.smallest)
    return lambda image: detect.find_faces(image, loaded, search)


def load_judges(names: Sequence[str]) -> list[Judge]:
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"the judge {twice[0]} was named twice: a second opinion needs another one")
    return [registry.judge(name) for name in names]
