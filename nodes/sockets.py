"""The pack's socket types, and schemas that older ComfyUI versions accept too."""

from dataclasses import fields, replace
from typing import Any

from comfy_api.latest import io

from ..revpers_core.adapters.kinds import AUTO, CLIP_FILE, KINDS
from ..revpers_core.method import settings
from .aliases import SEARCH_ALIASES

CATEGORY = "ReversePersonalization"

Adapter = io.Custom("REVPERS_ADAPTER")
"""revpers_core.hosts.comfy_adapter.Adapter"""
FaceModel = io.Custom("REVPERS_FACE_MODEL")
"""revpers_core.faces.recognise.FaceModel"""
Identity = io.Custom("REVPERS_IDENTITY")
"""revpers_core.method.types.Identity"""
Pseudonym = io.Custom("REVPERS_PSEUDONYM")
"""revpers_core.media.pseudonyms.Recipe"""
Detector = io.Custom("REVPERS_DETECTOR")
"""tuple of revpers_core.faces.detector.Detector, whose finds are united"""
Judge = io.Custom("REVPERS_JUDGE")
"""tuple of revpers_core.faces.judges.Judge"""
Faces = io.Custom("REVPERS_FACES")
"""list (one an image) of lists of revpers_core.method.types.Face"""
Crops = io.Custom("REVPERS_CROPS")
"""list of (image number, revpers_core.faces.geometry.Crop)"""
Trajectory = io.Custom("REVPERS_TRAJECTORY")
"""revpers_core.hosts.comfy.ComfyTrajectory"""
InsightFace = io.Custom("INSIGHTFACE")
FaceAnalysis = io.Custom("FACEANALYSIS")
"""insightface.app.FaceAnalysis, from the loaders of other packs"""
FaceDetectionModel = io.Custom("FACE_DETECTION_MODEL")
"""FaceLandmarkerModel of ComfyUI's own 'Load Face Detection Model (MediaPipe)', which older versions lack"""
IPAdapter = io.Custom("IPADAPTER")
"""dict of IPAdapter_plus, see revpers_core.adapters.weights.from_state"""


def schema(node_id: str, name: str, room: str = "", advanced: tuple[str, ...] = (), **rest: Any) -> io.Schema:
    """A node's schema in the pack's category, for every ComfyUI: ``search_aliases`` only where it knows them, outputs
    shown by their ids, which 0.3.64 would show by their types, ``advanced`` inputs folded away."""
    for socket in rest["inputs"]:
        if socket.id in advanced:
            socket.extra_dict = {**socket.extra_dict, "advanced": True}
    for output in rest["outputs"]:
        output.display_name = output.display_name or output.id
    known_fields = {field.name for field in fields(io.Schema)}
    category = f"{CATEGORY}/{room}" if room else CATEGORY
    supported = {
        "node_id": node_id,
        "display_name": name,
        "category": category,
        "search_aliases": list(SEARCH_ALIASES.get(node_id, ())),
        **rest,
    }
    return io.Schema(**{key: value for key, value in supported.items() if key in known_fields})


def face_model_input(name: str = "face_model", **rest: Any) -> io.Input:
    """Takes other packs' face models too; ``insightface.as_face_model`` makes ours of them."""
    return io.MultiType.Input(name, [FaceModel, InsightFace, FaceAnalysis], **rest)


def detector_input(name: str = "detector", **rest: Any) -> io.Input:
    """Takes other packs' and ComfyUI's own face models too; ``insightface.as_detectors`` makes ours of them."""
    return io.MultiType.Input(name, [Detector, InsightFace, FaceAnalysis, FaceDetectionModel], **rest)


def judge_input() -> io.Input:
    """Of boxes in which a face that a judge knows again is an error."""
    return Judge.Input(
        "judge",
        optional=True,
        tooltip="From 'Load Judge': a face that it knows again is an error. Without one only the recogniser that "
        "steers looks.",
    )


def own_steps() -> list[io.Input]:
    """What the preset 'custom' counts. Optional, so that they can stand below it."""
    return [
        number(name, setting, lead="For the preset 'custom': ", optional=True)
        for name, setting in (("steps", settings.STEPS), ("skip", settings.SKIP))
    ]


def instead_inputs() -> list[io.Input]:
    """Who comes instead. Optional, and last: workflows that do not know them give what they gave, nobody."""
    return [
        io.MultiType.Input(
            "instead",
            [Pseudonym, Identity],
            optional=True,
            tooltip="From 'Who Comes Instead', or 'Who Is It' of somebody who agreed: then 'who' does not count.",
        ),
        choice("who", settings.WHO, optional=True),
        number("person", settings.PERSON, control_after_generate=True, optional=True),
    ]


def adapter_inputs() -> list[io.Input]:
    """What an adapter's file may not say, and what some kinds need beside it. Optional: FaceID needs neither."""
    return [
        io.Combo.Input(
            "kind",
            options=[AUTO, *KINDS],
            default=AUTO,
            optional=True,
            tooltip="What the adapter is, where its file and name do not say. Only faceid is measured on faces; the "
            "others compute what their authors' code does, and are experimental here.",
        ),
        io.ClipVision.Input(
            "clip_vision",
            optional=True,
            tooltip=f"For faceid-plus, faceid-plusv2 and plus-face: 'Load CLIP Vision' with {CLIP_FILE} (2.5 GB, MIT, "
            "huggingface.co/h94/IP-Adapter, models/image_encoder).",
        ),
        io.ControlNet.Input(
            "control_net",
            optional=True,
            tooltip="For instantid: 'Load ControlNet Model' with the ControlNet of InstantX/InstantID (2.5 GB). It "
            "sees the face's five points and reads the identity instead of words.",
        ),
        number("control_strength", settings.CONTROL, optional=True),
    ]


def number(name: str, setting: settings.Number[Any], lead: str = "", low: float | None = None, **rest: Any) -> io.Input:
    """An input with the setting's default, range and help. lead: when it is used. low: a higher lower end."""
    if low is not None:
        setting = replace(setting, low=low)
    kind = io.Int if isinstance(setting.default, int) else io.Float
    tooltip = lead + setting.help[0].lower() + setting.help[1:] if lead else setting.help
    return kind.Input(
        name, default=setting.default, min=setting.low, max=setting.high, step=setting.step, tooltip=tooltip, **rest
    )


def noise_seed() -> io.Input:
    """The noise's seed, which stays as it is from run to run: another one inverts anew. ComfyUI 0.3.64 cannot be told
    so, and draws it anew in boxes that are not from a template."""
    after = io.ControlAfterGenerate.fixed if hasattr(io, "ControlAfterGenerate") else True
    return number("seed", settings.SEED, lead="Best left as it is: ", control_after_generate=after, optional=True)


def choice(name: str, setting: settings.Choice, **rest: Any) -> io.Input:
    """A menu with the setting's words."""
    return io.Combo.Input(name, options=list(setting.options), default=setting.default, tooltip=setting.help, **rest)


def filename_prefix() -> io.Input:
    """Of what is saved."""
    return io.String.Input(
        "filename_prefix",
        default="anonymous",
        tooltip="Start of the file names in ComfyUI's output folder; not the source's name.",
    )
