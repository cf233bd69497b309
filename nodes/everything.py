"""One box for all that a run loads."""

from pathlib import Path

import comfy.sd
import folder_paths
from comfy_api.latest import io

from ..revpers_core import pocket
from ..revpers_core.adapters import weights as faceid
from ..revpers_core.adapters.kinds import AUTO
from ..revpers_core.faces import detect, recognise
from ..revpers_core.hosts.choosing import AvailableFiles, ChosenFiles, FileRequest, choose
from ..revpers_core.hosts.comfy_adapter import Adapter
from ..revpers_core.hosts.comfy_networks import place
from ..revpers_core.hosts.comfy_prompt import POCKET_CHOICE as POCKET
from ..revpers_core.method import settings
from . import sockets
from .loaders import face_models


class LoadEverything(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        models, faces = folder_paths.get_filename_list("checkpoints"), list(face_models())
        return sockets.schema(
            "RevPersLoadEverything",
            "Load Everything",
            "loaders",
            description="Checkpoint, identity adapter, face model and detector in one box: with 'auto' those that lie "
            "in ComfyUI's folders and fit together. What is missing is named with size and link.",
            advanced=("strength", "kind", "control_strength"),
            inputs=[
                io.Combo.Input(
                    "checkpoint",
                    options=[AUTO, *models, POCKET],
                    default=AUTO,
                    tooltip="auto: sd_xl_base_1.0, else the first SDXL, else the first SD 1.5 in models/checkpoints. "
                    f"'{POCKET}' comes with the pack, shows how everything works and anonymizes no real photo.",
                ),
                io.Combo.Input(
                    "adapter",
                    options=[AUTO, *folder_paths.get_filename_list("ipadapter")],
                    default=AUTO,
                    tooltip="auto: the adapter in models/ipadapter that fits the checkpoint, FaceID before others; "
                    "those that look through CLIP by name only.",
                ),
                io.Combo.Input(
                    "face_model",
                    options=[AUTO, *faces],
                    default=AUTO,
                    tooltip="auto: the recogniser that the adapter was trained on, out of models/insightface.",
                ),
                io.Combo.Input(
                    "detector",
                    options=[AUTO, *faces],
                    default=AUTO,
                    tooltip="auto: the face model's own pack's, else another in models/insightface, centerface too.",
                ),
                sockets.number("strength", settings.ADAPTER_STRENGTH, optional=True),
                *sockets.adapter_inputs(),
            ],
            outputs=[
                io.Model.Output("model", tooltip="To the inversion and to the sampler, or 'Anonymize Everyone'."),
                io.Clip.Output("clip", tooltip="To 'New Face Looks Like'."),
                io.Vae.Output("vae", tooltip="To 'VAE Encode' and 'VAE Decode'."),
                sockets.Adapter.Output(
                    "loaded_adapter", display_name="adapter", tooltip="To the inversion and to the sampler."
                ),
                sockets.FaceModel.Output("loaded_face_model", display_name="face_model", tooltip="To 'Who Is It'."),
                sockets.Detector.Output(
                    "loaded_detector", display_name="detector", tooltip="To 'Find Faces' or 'Anonymize Everyone'."
                ),
                io.String.Output("taken", tooltip="In words: which files were taken."),
            ],
        )

    @classmethod
    def fingerprint_inputs(
        cls, checkpoint: str = AUTO, adapter: str = AUTO, face_model: str = AUTO, detector: str = AUTO,
        kind: str = AUTO, **_,
    ) -> str:  # fmt: skip
        """Files that came or went since the last run count."""
        if checkpoint == POCKET:
            return POCKET
        try:
            chosen = choose(available_files(), FileRequest(checkpoint, adapter, face_model, detector, kind))
        except FileNotFoundError as error:
            return str(error)
        files = (chosen.checkpoint, chosen.adapter, *chosen.face_model, *chosen.detector)
        return repr([(str(path), path.stat().st_mtime_ns) for path in files])

    @classmethod
    def execute(
        cls, checkpoint: str, adapter: str, face_model: str, detector: str,
        strength: float = settings.ADAPTER_STRENGTH.default, kind: str = AUTO, clip_vision=None, control_net=None,
        control_strength: float = settings.CONTROL.default,
    ) -> io.NodeOutput:  # fmt: skip
        request = FileRequest(checkpoint, adapter, face_model, detector, kind)
        if checkpoint == POCKET:
            return _pocket(request)
        try:
            chosen = choose(available_files(), request)
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"{error}\nTo try without a file: checkpoint '{POCKET}', or the templates that end in .pocket."
            ) from None
        loaded = faceid.load(chosen.adapter, kind)
        identity_adapter = Adapter.of(loaded, strength, clip_vision, control_net, control_strength)
        recogniser = recognise.load_first(chosen.face_model, place())
        finder = detect.load_first(chosen.detector, place("auto"))
        return io.NodeOutput(*_checkpoint(chosen), identity_adapter, recogniser, (finder,), chosen.summary)


def _checkpoint(chosen: ChosenFiles) -> tuple:
    """(MODEL, CLIP, VAE), as 'Load Checkpoint' makes them."""
    return comfy.sd.load_checkpoint_guess_config(
        str(chosen.checkpoint),
        output_vae=True,
        output_clip=True,
        embedding_directory=folder_paths.get_folder_paths("embeddings"),
    )[:3]


def _pocket(request: FileRequest) -> io.NodeOutput:
    from ..revpers_core.hosts import comfy_pocket  # subclasses ComfyUI's model classes: only who asks pays

    others = {"adapter": request.adapter, "face_model": request.face_model, "detector": request.detector}
    for name, requested in others.items():
        if requested != AUTO:
            raise ValueError(f"{name}: the pocket model brings its own, {requested} does not fit it: leave it at auto")
    finder = detect.load_first([pocket.DETECTOR], place("auto"))
    summary = "the pocket model, for rendered faces: a DEMO, which anonymizes no real photo"
    return io.NodeOutput(*comfy_pocket.load(), (finder,), summary)


def available_files() -> AvailableFiles:
    return AvailableFiles(_paths("checkpoints"), _paths("ipadapter"), face_models())


def _paths(folder: str) -> dict[str, Path]:
    found = {name: folder_paths.get_full_path(folder, name) for name in folder_paths.get_filename_list(folder)}
    return {name: Path(path) for name, path in found.items() if path}
