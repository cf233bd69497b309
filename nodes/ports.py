"""What the boxes for whole pictures need of the host, out of what is connected to them."""

from ..revpers_core import pocket
from ..revpers_core.faces import detect, select
from ..revpers_core.faces.insightface import as_detectors, as_face_model
from ..revpers_core.hosts import choosing
from ..revpers_core.hosts import comfy as host
from ..revpers_core.hosts.comfy_backbone import wordless
from ..revpers_core.hosts.comfy_networks import place
from ..revpers_core.hosts.comfy_progress import interruptible
from ..revpers_core.media.photo import PhotoPorts
from ..revpers_core.method.settings import resolve_preset
from ..revpers_core.method.types import Method
from .convert import to_core
from .loaders import DETECTOR_SOURCE, face_models


def finders(detector, model):
    """The detectors that are connected; where none is, one that is there."""
    if detector is not None:
        return interruptible(as_detectors(detector))
    files = [pocket.DETECTOR] if host.is_pocket(model) else choosing.any_detector(face_models())
    if not files:
        raise ValueError(f"detector: none is connected, and none is in ComfyUI's folders. {DETECTOR_SOURCE}")
    return interruptible([detect.load_first(files, place())])


def photo_ports(
    model, clip, vae, adapter, face_model, detectors, attribute, size, run, seed, method, judge, search, on_step,
    inversions=None,
):  # fmt: skip
    """The parts that anonymize a photo, with words that say nothing where none are connected. run: preset, steps,
    skip, student. inversions: those that are kept for the next run."""
    positive, recogniser = clip.encode_from_tokens_scheduled(clip.tokenize("")), as_face_model(face_model)
    words = (positive, wordless(clip, positive) if attribute is None else attribute)
    levels = host.levels(model, *resolve_preset(*run))
    return PhotoPorts(
        detect=lambda image: detect.find_faces(image, detectors, search),
        embed=recogniser.identify_face,
        invert_face=host.face_inverter(model, vae, adapter, words, levels, seed, on_step, Method(method), inversions),
        size=size,
        judges=judge,
    )


def references(keep, ports):
    """Photos of people to leave alone, and the faces in each."""
    photos = [] if keep is None else list(to_core(keep, "keep"))
    return photos, [ports.detect(image) for image in photos]


def kept_people(keep, ports, likeness):
    """Who of a photo's faces is on the reference photos."""
    return select.keep_people(*references(keep, ports), ports.embed, likeness)
