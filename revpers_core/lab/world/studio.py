"""Blender's scene: Cycles, environments, lights and the camera."""

from __future__ import annotations

from math import atan, cos, sin
from pathlib import Path

import bpy
import numpy as np
from mathutils import Matrix, Vector
from scipy.ndimage import gaussian_filter

from .camera import Camera
from .person import Person
from .shot import Shot

WORLDS = ("city", "courtyard", "forest", "interior", "sunrise", "sunset")
"""CC0 environments by Poly Haven that come with Blender; studio and night are too hard a light."""
SUN = 12.0
"""Of an environment's mean brightness, its most."""
BLURS = (1.6, 3.2)
"""How far the background is out of focus, in pixels of an environment 256 high."""


class Studio:
    """The scene without its people."""

    def __init__(self, samples: int, threads: int, device: str = "CPU"):
        bpy.ops.wm.read_factory_settings(use_empty=True)
        self.scene = bpy.context.scene
        self._cycles(samples, threads, device)
        self.camera = bpy.data.cameras.new("camera")
        self.view = self._add(self.camera)
        self.scene.camera = self.view
        self.camera.sensor_width = 36
        self.lamps = {name: bpy.data.lights.new(name, "AREA") for name in ("key", "fill", "rim")}
        self.stands = {name: self._add(lamp) for name, lamp in self.lamps.items()}
        self._world()

    def _cycles(self, samples: int, threads: int, device: str) -> None:
        scene, cycles = self.scene, self.scene.cycles if hasattr(self.scene, "cycles") else None
        scene.render.engine = "CYCLES"
        cycles = scene.cycles
        cycles.device, cycles.samples, cycles.seed = device, samples, 0
        cycles.use_denoising, cycles.denoiser, cycles.use_adaptive_sampling = True, "OPENIMAGEDENOISE", False
        cycles.max_bounces, cycles.diffuse_bounces, cycles.glossy_bounces = 6, 2, 2
        cycles.transmission_bounces, cycles.transparent_max_bounces = 3, 4
        cycles.caustics_reflective = cycles.caustics_refractive = False
        scene.render.threads_mode, scene.render.threads = "FIXED", threads
        scene.render.use_persistent_data = True
        scene.view_settings.view_transform, scene.view_settings.look = "AgX", "AgX - Medium High Contrast"
        if device == "GPU":
            preferences = bpy.context.preferences.addons["cycles"].preferences
            for kind in ("OPTIX", "CUDA"):
                preferences.compute_device_type = kind
                preferences.get_devices()
                if any(unit.type == kind for unit in preferences.devices):
                    break
            for unit in preferences.devices:
                unit.use = True

    def _add(self, data) -> bpy.types.Object:
        obj = bpy.data.objects.new(data.name, data)
        self.scene.collection.objects.link(obj)
        return obj

    def _world(self) -> None:
        """Light from an environment all around; behind, for the camera alone, a part of it out of focus."""
        world = bpy.data.worlds.new("world")
        self.scene.world = world
        world.use_nodes = True
        world.cycles.sampling_method, world.cycles.sample_map_resolution = "MANUAL", 64
        nodes, link = world.node_tree.nodes, world.node_tree.links.new
        nodes.clear()
        new = {
            name: nodes.new(f"ShaderNode{name}")
            for name in ("OutputWorld", "TexEnvironment", "TexImage", "LightPath", "MixShader", "TexCoord")
        }
        self.ambient, self.behind = nodes.new("ShaderNodeBackground"), nodes.new("ShaderNodeBackground")
        self.turn, self.part = nodes.new("ShaderNodeMapping"), nodes.new("ShaderNodeMapping")
        self.around, self.back = new["TexEnvironment"], new["TexImage"]
        self.back.interpolation, self.back.extension = "Cubic", "MIRROR"
        link(new["TexCoord"].outputs["Generated"], self.turn.inputs["Vector"])
        link(self.turn.outputs[0], self.around.inputs["Vector"])
        link(self.around.outputs[0], self.ambient.inputs[0])
        link(new["TexCoord"].outputs["Window"], self.part.inputs["Vector"])
        link(self.part.outputs[0], self.back.inputs["Vector"])
        link(self.back.outputs[0], self.behind.inputs[0])
        link(new["LightPath"].outputs["Is Camera Ray"], new["MixShader"].inputs[0])
        link(self.ambient.outputs[0], new["MixShader"].inputs[1])
        link(self.behind.outputs[0], new["MixShader"].inputs[2])
        link(new["MixShader"].outputs[0], new["OutputWorld"].inputs[0])
        folder = Path(bpy.utils.resource_path("LOCAL")) / "datafiles/studiolights/world"
        self.worlds = [bpy.data.images.load(str(folder / f"{name}.exr")) for name in WORLDS]
        pixels = [_pixels(image) for image in self.worlds]
        for image, values in zip(self.worlds, pixels, strict=True):  # a bare sun makes spots of light at few samples
            values[..., :3] = np.minimum(values[..., :3], SUN * values[..., :3].mean())
            image.pixels.foreach_set(values.ravel())
            image.update()
        self.means = [float(values[..., :3].mean()) for values in pixels]
        self.blurred = [
            [_blurred(image, values, blur) for blur in BLURS] for image, values in zip(self.worlds, pixels, strict=True)
        ]

    def set(self, person: Person, shot: Shot, camera: Camera, middle: np.ndarray, reach: float = 1.0) -> None:
        """Stand camera and lights for a shot. middle: (3,) of the face. reach: of the lamps; as bright from there."""
        self._look(camera)
        f = shot.factors
        side, above = 1.15 * f["light_x"], 0.12 + 0.62 * max(f["light_y"], -0.2)
        back = -camera.look
        flat = np.cross(np.array([0.0, 0.0, 1.0]), back)
        flat = flat / np.linalg.norm(flat)
        upright = np.cross(back, flat)

        def direction(x: float, y: float) -> np.ndarray:
            return flat * (sin(x) * cos(y)) + back * (cos(x) * cos(y)) + upright * sin(y)

        dark = 1 + 0.7 * person.melanin
        warm = np.array([1 + shot.warm, 1.0, 1 - shot.warm])
        far, power = reach, reach**2
        self._lamp("key", middle, direction(side, above), 1.2 * far, shot.key * dark * power, shot.soft * far, warm)
        self._lamp(
            "fill", middle, direction(-side * 0.7, 0.1), 1.3 * far, shot.fill * dark * power, 1.5 * far, np.ones(3)
        )
        self._lamp(
            "rim", middle, direction(2.5 * shot.rim_side, 0.55), 1.1 * far, shot.rim * power, 0.5 * far, np.ones(3)
        )
        world = shot.world % len(self.worlds)
        self.around.image, self.back.image = self.worlds[world], self.blurred[world][shot.blur]
        self.turn.inputs["Rotation"].default_value = (0, 0, shot.turn)
        self.ambient.inputs[1].default_value = shot.ambient * dark / max(0.05, self.means[world])
        self.behind.inputs[1].default_value = shot.behind / max(0.05, self.means[world])
        x, y, width = shot.part
        self.part.inputs["Scale"].default_value = (width, width * 2, 1)
        self.part.inputs["Location"].default_value = (x + 0.05 * shot.turn, y, 0)

    def _look(self, camera: Camera) -> None:
        axes = np.stack([camera.right, camera.up, -camera.look], 1)
        self.view.matrix_world = Matrix.Translation(Vector(camera.place)) @ Matrix(axes.tolist()).to_4x4()
        self.camera.angle = 2 * atan(camera.extent / 2 / camera.away)
        self.camera.clip_start, self.camera.clip_end = 0.05, 50

    def _lamp(
        self,
        name: str,
        middle: np.ndarray,
        direction: np.ndarray,
        away: float,
        watts: float,
        size: float,
        colour: np.ndarray,
    ) -> None:
        place = Vector(middle + direction * away)
        stand, lamp = self.stands[name], self.lamps[name]
        stand.location = place
        stand.rotation_euler = (Vector(middle) - place).to_track_quat("-Z", "Y").to_euler()
        lamp.energy, lamp.size, lamp.color = watts, size, colour


def _pixels(image: bpy.types.Image) -> np.ndarray:
    """(H, W, 4) float32."""
    flat = np.empty(image.size[0] * image.size[1] * 4, np.float32)
    image.pixels.foreach_get(flat)
    return flat.reshape(image.size[1], image.size[0], 4)


def _blurred(image: bpy.types.Image, pixels: np.ndarray, blur: float) -> bpy.types.Image:
    soft = pixels.copy()
    soft[..., :3] = np.minimum(soft[..., :3], np.quantile(soft[..., :3], 0.985))
    soft[..., :3] = gaussian_filter(soft[..., :3], (blur * image.size[1] / 256,) * 2 + (0,))
    result = bpy.data.images.new(f"{image.name}-{blur:g}", image.size[0], image.size[1], float_buffer=True)
    result.pixels.foreach_set(soft.ravel())
    result.update()
    return result
