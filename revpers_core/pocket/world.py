"""A world of rendered faces whose every factor is known: who (identity seed), how photographed (scene seed).

Everything is drawn from the seeds by an integer hash on the CPU, so item i depends on its own seeds only, in any
batch, on any device.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from . import appearance, appearance_head, geometry

FACTORS: tuple[str, ...] = (
    "smile", "open", "brow", "lid", "gaze_x", "gaze_y", "yaw", "pitch", "roll", "light_x", "light_y",
)  # fmt: skip
AGES = ("young", "middle-aged", "old")
SEXES = ("woman", "man")
SKINS = ("pale", "light", "tan", "brown", "dark")
HAIRS = ("bald", "balding", "cropped", "short", "swept", "fringe", "curly", "tied", "long", "long fringe")
COLOURS = ("black", "brown", "auburn", "red", "blond", "grey", "white")

# What else a photograph has, all uniform in [0, 1] unless `sample` says otherwise.
SCENE = (
    *FACTORS, "style", "colour", "tint", "length", "recede", "part", "volume", "phase", "power", "ambient", "warmth",
    "shift_x", "shift_y", "zoom", "cloth_hue", "cloth_value", "cloth_cut", "back_hue", "back_value", "back_kind",
    "back_angle", "blur", "noise", "exposure",
)  # fmt: skip

# Identity beyond attributes: mean and spread of each trait (head units where a length); then random bumps of the skull.
TRAITS: dict[str, tuple[float, float]] = {
    "eye_x": (0.123, 0.008), "eye_y": (0.031, 0.006), "eye_w": (0.062, 0.0055), "eye_h": (0.045, 0.006),
    "eye_tilt": (0.06, 0.11), "eye_skew": (0.0, 0.16), "eye_deep": (0.026, 0.009), "eye_ball": (0.020, 0.006),
    "iris": (0.0235, 0.0014), "iris_hue": (0.0, 1.0), "iris_value": (0.0, 1.0), "crease": (0.5, 0.35),
    "brow_y": (0.092, 0.009), "brow_arch": (0.012, 0.009), "brow_tilt": (-0.06, 0.12), "brow_thick": (0.0115, 0.0035),
    "brow_long": (0.072, 0.007), "brow_dark": (0.75, 0.18), "brow_gap": (0.0, 0.010), "nose_y": (-0.113, 0.014),
    "nose_tip": (0.076, 0.015), "nose_wide": (0.042, 0.008), "nose_wing": (0.030, 0.010),
    "nose_ridge": (0.046, 0.014), "nose_thin": (0.026, 0.004), "nose_hook": (0.0, 0.009), "nose_up": (0.0, 0.008),
    "mouth_y": (-0.223, 0.011), "mouth_w": (0.107, 0.011), "lip_up": (0.023, 0.006), "lip_low": (0.029, 0.007),
    "lip_bow": (0.3, 0.16), "lip_red": (0.5, 0.22), "lip_puff": (0.012, 0.005), "mouth_bend": (0.0, 0.007),
    "jaw": (0.0, 1.0), "chin": (0.0, 1.0), "chin_w": (0.055, 0.014), "cleft": (0.0, 1.0), "cheek": (0.0, 1.0),
    "fat": (0.0, 1.0), "temple": (0.0, 1.0), "forehead": (0.0, 1.0), "skull_w": (1.0, 0.045), "skull_h": (1.0, 0.035),
    "face_long": (1.0, 0.045), "square": (2.35, 0.28), "ear": (0.060, 0.018), "ear_y": (-0.02, 0.018),
    "blush": (0.4, 0.25), "freckle": (-0.3, 0.8), "blotch": (0.5, 0.3), "beard": (0.0, 1.0), "beard_cut": (0.0, 1.0),
    "tone_red": (0.0, 1.0), "tone_yellow": (0.0, 1.0), "asym": (0.0, 0.010), "bags": (0.3, 0.25),
    "mole1_x": (0.0, 0.13), "mole1_y": (-0.12, 0.16), "mole1_size": (-0.002, 0.006), "mole2_x": (0.0, 0.13),
    "mole2_y": (-0.12, 0.16), "mole2_size": (-0.004, 0.006), "mark_phase": (0.0, 10.0), "lash": (0.5, 0.3),
    "brow_shade": (0.0, 1.0),
}  # fmt: skip
BUMPS = 18  # mirrored random Gaussians over the face
HEIGHT = 0.009  # their spread, head units
IDENTITY = 3 + len(TRAITS) + 2 * BUMPS

SUPERSAMPLE = 1.5
CHUNK = 4  # images rendered together on a CPU, so that planes stay in its cache


class Faces(NamedTuple):
    """A batch of described faces, one device."""

    identity: Tensor  # (B, IDENTITY) standard normal
    scene: Tensor  # (B, len(SCENE)), columns as SCENE names them


def _uniform(seeds: Sequence[int], count: int, salt: int) -> Tensor:
    """(B, count) float64 in (0, 1): a splitmix64 hash of (seed, column, salt), the same on every machine."""
    mask = (1 << 64) - 1

    def signed(value: int) -> int:
        value &= mask
        return value - (1 << 64) if value >> 63 else value

    def mix(x: Tensor) -> Tensor:
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            x = (x ^ (x >> shift & ((1 << (64 - shift)) - 1))) * signed(factor)
        return x ^ (x >> 31 & ((1 << 33) - 1))

    start = torch.tensor([signed(s * 2 + salt) for s in seeds], dtype=torch.int64)
    x = mix(mix(start * signed(0x9E3779B97F4A7C15))[:, None] + torch.arange(1, count + 1) * signed(0xD1342543DE82EF95))
    return ((x >> 12 & ((1 << 52) - 1)).double() + 0.5) / float(1 << 52)


def sample(identity_seeds: Sequence[int], scene_seeds: Sequence[int], *, device: str | torch.device = "cpu") -> Faces:
    """Describe one face per pair of seeds; the identity depends on the first only, the scene on the second only."""
    if len(identity_seeds) != len(scene_seeds):
        raise ValueError(f"one scene seed per identity seed, got {len(identity_seeds)} and {len(scene_seeds)}")
    identity = torch.special.ndtri(_uniform(identity_seeds, IDENTITY, 0)).clamp(-2.6, 2.6)
    return Faces(identity.float().to(device), _scene(scene_seeds).to(device))


def _scene(seeds: Sequence[int]) -> Tensor:
    raw = _uniform(seeds, len(SCENE) + 1, 1)
    value = dict(zip(SCENE, raw.unbind(1), strict=False))
    normal = torch.special.ndtri(raw)
    value["smile"] = value["smile"] * 2 - 1
    value["open"] = ((value["open"] - 0.4) / 0.6).clamp_min(0) ** 1.3
    value["brow"] = value["brow"] * 2 - 1
    value["lid"] = 1 - value["lid"] ** 2.5
    value["gaze_x"], value["gaze_y"] = value["gaze_x"] * 2 - 1, value["gaze_y"] * 2 - 1
    value["yaw"] = (normal[:, SCENE.index("yaw")] * 17).clamp(-35, 35)
    value["pitch"] = (normal[:, SCENE.index("pitch")] * 8).clamp(-20, 20)
    value["roll"] = (normal[:, SCENE.index("roll")] * 3.5).clamp(-8, 8)
    value["light_x"] = value["light_x"] * 2 - 1
    value["light_y"] = value["light_y"] * 1.4 - 0.4
    return torch.stack([value[name] for name in SCENE], 1).float()


def factors(faces: Faces) -> Tensor:
    """(B, len(FACTORS)): degrees for yaw, pitch and roll, the others in about [-1, 1] (open and lid in [0, 1])."""
    return faces.scene[:, : len(FACTORS)].clone()


def _unit(z: Tensor) -> Tensor:
    return torch.special.ndtr(z)


def attributes(faces: Faces) -> Tensor:
    """(B, 3) int64: indices into AGES, SEXES and SKINS."""
    u = _unit(faces.identity[:, :3].double())
    return (
        (u * torch.tensor([3.0, 2.0, 5.0], device=u.device)).long().clamp_max(torch.tensor([2, 1, 4], device=u.device))
    )


def edited(faces: Faces, **values: float | Tensor) -> Faces:
    """A copy with scene columns (names in SCENE) replaced by numbers or (B,) tensors."""
    scene = faces.scene.clone()
    for name, value in values.items():
        if name not in SCENE:
            raise ValueError(f"scene factor must be one of {SCENE}, got {name!r}")
        scene[:, SCENE.index(name)] = torch.as_tensor(value, dtype=scene.dtype, device=scene.device)
    return Faces(faces.identity, scene)


def _style(faces: Faces) -> tuple[Tensor, Tensor]:
    """Indices (B,) into HAIRS and COLOURS: mostly chance, with a tendency by sex, age and skin."""
    scene = dict(zip(SCENE, faces.scene.unbind(1), strict=True))
    age, sex, skin = attributes(faces).unbind(1)
    device = age.device
    # Rows: young to old women, then men; columns as in HAIRS.
    odds = torch.tensor(
        [[2, 0, 6, 10, 12, 12, 14, 14, 18, 12],
         [2, 0, 6, 14, 14, 10, 14, 14, 16, 10],
         [2, 0, 8, 20, 16, 8, 20, 14, 8, 4],
         [7, 3, 22, 22, 16, 10, 10, 4, 3, 3],
         [10, 12, 22, 20, 14, 6, 8, 3, 3, 2],
         [14, 24, 20, 18, 12, 3, 5, 1, 2, 1]],
        device=device, dtype=torch.float32,
    )  # fmt: skip
    chance = odds[sex * 3 + age].cumsum(1)
    style = (scene["style"][:, None] * chance[:, -1:] >= chance).sum(1).clamp_max(len(HAIRS) - 1)
    shades = torch.tensor(
        [[18, 30, 12, 10, 26, 3, 1], [22, 26, 10, 8, 18, 14, 2], [6, 8, 4, 3, 9, 40, 30]], device=device
    )
    dark = torch.tensor([30, 8, 0, 0, 0, 0, 0], device=device) * (skin[:, None] >= 3)
    chance = (shades[age] + dark).float().cumsum(1)
    return style, (scene["colour"][:, None] * chance[:, -1:] >= chance).sum(1).clamp_max(len(COLOURS) - 1)


def words(faces: Faces) -> list[dict[str, str]]:
    """What one would say of each face: age, sex, skin, hair, expression, beard (the last two may be empty)."""
    style, colour = (t.tolist() for t in _style(faces))
    t = _traits(faces)
    beard = ((t["beard_on"] > 0.5) & (t["beard_cut"] > -0.8))[:, 0].tolist()  # below that, only a moustache
    wide, smile = (faces.scene[:, SCENE.index(n)].tolist() for n in ("open", "smile"))
    return [
        {
            "age": AGES[a], "sex": SEXES[s], "skin": f"{SKINS[k]} skin",
            "hair": "bald" if HAIRS[style[i]] == "bald" else f"{COLOURS[colour[i]]} hair",
            "expression": "open mouth" if wide[i] > 0.45 else "smiling" if smile[i] > 0.35 else "",
            "beard": "beard" if beard[i] else "",
        }
        for i, (a, s, k) in enumerate(attributes(faces).tolist())
    ]  # fmt: skip


def _traits(faces: Faces) -> dict[str, Tensor]:
    """Decode to named columns (B, 1): traits, attributes and scene values together."""
    z = faces.identity
    t = {name: m + s * z[:, 3 + i, None] for i, (name, (m, s)) in enumerate(TRAITS.items())}
    t |= {name: faces.scene[:, i, None] for i, name in enumerate(SCENE)}
    age, man, tone = _unit(z[:, 0, None]), (z[:, 1, None] > 0).float(), _unit(z[:, 2, None])
    t |= {"age": age, "man": man, "tone": tone}
    t |= {"old": ((age - 0.45) / 0.5).clamp(0, 1), "young": (1 - age / 0.33).clamp(0, 1)}
    t["beard_on"] = man * (t["beard"] > 0.3)
    t["stubble"] = man * ((t["beard"] + 1.2) / 1.5).clamp(0.05, 1)
    # Sexual dimorphism and age move the averages; people of one group still differ by the spreads above.
    t["brow_y"] = t["brow_y"] - 0.008 * man
    t["brow_thick"] = t["brow_thick"].clamp_min(0.005) * (0.66 + 0.6 * man)
    t["lip_up"] = (t["lip_up"].clamp_min(0.008) * (1.20 - 0.40 * man)) * (1 - 0.35 * t["old"])
    t["lip_low"] = (t["lip_low"].clamp_min(0.011) * (1.14 - 0.25 * man)) * (1 - 0.25 * t["old"])
    t["eye_h"] = (t["eye_h"] * (1.09 - 0.16 * man) * (1 - 0.16 * t["old"]) + 0.004 * t["young"]).clamp_min(0.028)
    t["nose_tip"] = t["nose_tip"] + 0.012 * man - 0.006 + 0.008 * t["old"]
    t["nose_wide"] = t["nose_wide"] + 0.006 * man - 0.003
    t["nose_ridge"] = t["nose_ridge"] + 0.008 * man - 0.006
    t["nose_y"] = t["nose_y"] - 0.008 * t["old"]
    t["jaw"], t["chin"] = t["jaw"] + 1.8 * man - 1.1, t["chin"] + 1.4 * man - 0.9
    t["fat"] = t["fat"] + 0.6 * t["young"]
    # Expression.
    t["brow_y"] = t["brow_y"] + 0.024 * t["brow"]
    t["drop"] = 0.088 * t["open"]
    t["half"] = t["mouth_w"].clamp(0.078, 0.135) * (1 + 0.15 * t["smile"] - 0.16 * t["open"])
    t["bend"] = t["mouth_bend"] + 0.040 * t["smile"].clamp_min(0) + 0.017 * t["smile"].clamp_max(0)
    return t


def _surface_points(radius: Tensor, t: dict[str, Tensor]) -> Tensor:
    """(B, 3, 5) head-space keypoints: the viewer's left and right eye, nose tip, mouth corners."""
    ex, ey, corner = t["eye_x"], t["eye_y"], t["mouth_y"] + t["bend"] - 0.3 * t["drop"]
    x = torch.cat((-ex, ex, 0 * ex, -t["half"], t["half"]), 1)
    y = torch.cat((ey, ey, t["nose_y"] + t["nose_up"], corner, corner), 1)
    toward = torch.tensor([0.0, 0.0, -1.0], device=x.device).view(1, 3, 1)
    return geometry.march(radius, torch.stack((x, y, 0 * x), 1), toward)[0]


class _View(NamedTuple):
    turn: Tensor  # (B, 3, 3) head to camera
    scale: Tensor  # (B, 1) crop widths per head unit
    centre: Tensor  # (B, 2) camera-plane point at the crop's alignment centre
    place: Tensor  # (B, 2) where that point lands, from the crop's centre, y up


def _view(radius: Tensor, faces: Faces, t: dict[str, Tensor]) -> tuple[_View, Tensor]:
    """FFHQ's alignment (Karras et al. 2019, appendix C) of the level face, then residual roll, shift and zoom.

    Also returns the five points in head space, (B, 3, 5).
    """
    points = _surface_points(radius, t)
    level = geometry.rotation(t["yaw"][:, 0], t["pitch"][:, 0], 0 * t["roll"][:, 0])
    q = (level @ points)[:, :2]
    eyes, mouth = q[:, :, :2].mean(2), q[:, :, 3:].mean(2)
    side = 2 * torch.maximum(2.0 * (q[:, :, 1] - q[:, :, 0]).norm(dim=1), 1.8 * (mouth - eyes).norm(dim=1))
    scale = 1.02 / side[:, None] * (1 + 0.08 * (t["zoom"] - 0.5))
    roll = geometry.rotation(0 * t["roll"][:, 0], 0 * t["roll"][:, 0], t["roll"][:, 0])
    centre = (roll[:, :2, :2] @ (eyes + 0.1 * (mouth - eyes))[:, :, None])[:, :, 0]
    place = torch.cat((0.03 * (t["shift_x"] - 0.5), 0.0055 + 0.03 * (t["shift_y"] - 0.5)), 1)
    return _View(roll @ level, scale, centre, place), points


def keypoints(faces: Faces) -> Tensor:
    """(B, 5, 2) in the unit square, y down: eyes, nose tip, mouth corners, the viewer's left first."""
    t = _traits(faces)
    view, points = _view(geometry.head(t, faces.identity[:, -2 * BUMPS :] * HEIGHT), faces, t)
    q = ((view.turn @ points)[:, :2] - view.centre[:, :, None]) * view.scale[:, :, None] + view.place[:, :, None]
    return torch.stack((0.5 + q[:, 0], 0.5 - q[:, 1]), -1)


def _chunks(count: int, device: torch.device) -> list[slice]:
    step = CHUNK if device.type == "cpu" else 128
    return [slice(i, i + step) for i in range(0, count, step)]


@torch.no_grad()
def render(faces: Faces, size: int = 128) -> Tensor:
    """(B, 3, size, size) float32 RGB in [0, 1]."""
    parts = [
        _render(Faces(faces.identity[s], faces.scene[s]), size) for s in _chunks(len(faces.scene), faces.scene.device)
    ]
    return torch.cat(parts) if parts else faces.scene.new_zeros(0, 3, size, size)


def _render(faces: Faces, size: int) -> Tensor:
    t = _traits(faces)
    style, colour = _style(faces)
    bare = geometry.head(t, faces.identity[:, -2 * BUMPS :] * HEIGHT)
    view, _ = _view(bare, faces, t)
    x, y = appearance.pixels(round(size * SUPERSAMPLE), bare.device)
    hair = appearance.hair(t, style, colour)
    radius, relief = appearance.with_hair(bare, t, hair)
    cx = (x - view.place[:, :1]) / view.scale + view.centre[:, :1]
    cy = (y - view.place[:, 1:]) / view.scale + view.centre[:, 1:]
    back = view.turn.mT
    origin = back[:, :, :2] @ torch.stack((cx, cy), 1)
    points, least = geometry.march(radius, origin, -back[:, :, 2:])
    pixel = 1 / (view.scale * round(size * SUPERSAMPLE))
    # A ray that hits ends a fraction of a pixel from the surface; one that passes within a pixel softens the outline.
    cover = (1.3 - least / pixel).clamp(0, 1)
    lamp = appearance.lamp(t)
    head = appearance_head.shade_head(points, relief, view.turn, pixel, t, hair, lamp)
    scene = appearance.backdrop(x, y, t)
    scene = appearance.shade_body(scene, cx, cy, t, hair, lamp)
    return appearance.develop(torch.lerp(scene, head, cover[:, None]), size, t)


@torch.no_grad()
def backgrounds(seeds: Sequence[int], size: int = 128, *, device: str | torch.device = "cpu") -> Tensor:
    """(B, 3, size, size): the places of the photographs, some with headless clothes, and nobody: negatives."""
    scene = _scene(seeds).to(device)
    t = {name: scene[:, i, None] for i, name in enumerate(SCENE)}
    out: list[Tensor] = []
    for s in _chunks(len(scene), scene.device):
        chunk = {name: value[s] for name, value in t.items()}
        x, y = appearance.pixels(size, scene.device)
        out.append(appearance.develop(appearance.clutter(appearance.backdrop(x, y, chunk), x, y, chunk), size, chunk))
    return torch.cat(out) if out else scene.new_zeros(0, 3, size, size)
