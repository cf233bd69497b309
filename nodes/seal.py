"""The way back for whoever holds the key, beside the saved picture and never inside it."""

from pathlib import Path

import folder_paths
import torch
from comfy_api.latest import io

from ..revpers_core.media import images, keys, seal
from . import sockets
from .convert import to_comfy, to_core, to_core_masks
from .provenance import check_made, is_pocket_on_a_photo


class Seal(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return sockets.schema(
            "RevPersSeal",
            "Save With a Way Back (Seal)",
            description=(
                "Saves PNG files of pixels alone, and beside each a .sealed file with the original pixels "
                "of what was changed, encrypted (AES-256-GCM, the key by scrypt). 'Bring the Original Back' and "
                "'revpers unseal' restore the original. Results are then pseudonymised, not anonymous."
            ),
            inputs=[
                io.Image.Input("original", tooltip="The photos as they were, one for each finished image."),
                io.Image.Input("image", tooltip="The finished images, of the originals' size."),
                io.String.Input(
                    "key_file",
                    default="",
                    tooltip="Path of a file with the key: 12 bytes or more, best random ones. The path alone is in the "
                    "workflow, not the key. Without the key nothing comes back.",
                ),
                sockets.filename_prefix(),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="Whose pixels may come back: white over the people who are chosen, for each image or all. "
                    "Without one everything that was changed.",
                ),
            ],
            outputs=[],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo, io.Hidden.unique_id, io.Hidden.dynprompt],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, original, image, key_file: str, filename_prefix: str, mask=None) -> io.NodeOutput:
        check_made(cls.hidden)
        key, demo = _key(key_file), is_pocket_on_a_photo(cls.hidden)
        if mask is not None and not mask.any():
            raise ValueError(
                "mask: it is black, so that nobody could come back: paint who may, or take it out to seal all that was "
                "changed"
            )
        photos, results = list(to_core(original)), list(to_core(image))
        if len(photos) != len(results) or photos[0].shape != results[0].shape:
            shapes = f"expected {tuple(image.shape)}, got {tuple(original.shape)}"
            raise ValueError(
                f"original: {shapes}: connect the photo of each finished image, before anything was resized or cropped"
            )
        folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(
            filename_prefix, folder_paths.get_output_directory(), image.shape[2], image.shape[1]
        )
        saved = []
        for i, (before, after, region) in enumerate(zip(photos, results, to_core_masks(mask, photos), strict=True)):
            path = Path(folder) / f"{name}_{counter + i:05}_.png"
            picture = images.watermarked(images.to_pil(after)) if demo else images.to_pil(after)
            source, result = seal.pixels(images.to_pil(before)), seal.pixels(picture)
            names, reached = ([], []) if region is None else (["chosen"], [region])
            parts = seal.regions(source, result, reached, names)
            seal.write(seal.sealed_path(path), source, result, key, parts if region is None else parts[:1])
            images.write_png(picture, path)
            saved.append({"filename": path.name, "subfolder": subfolder, "type": "output"})
        return io.NodeOutput(ui={"images": saved})


class Unseal(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return sockets.schema(
            "RevPersUnseal",
            "Bring the Original Back (Unseal)",
            description=(
                "Restores the original of a result, bit for bit, from its .sealed file with the key. A wrong key, a "
                "sealed file that was touched or a picture that was changed is an error. It looks for no file itself: "
                "nobody comes back unless you name both."
            ),
            inputs=[
                io.Image.Input("image", tooltip="The saved result, as it was sealed: one picture, from 'Load Image'."),
                io.String.Input(
                    "sealed_file",
                    default="",
                    tooltip="Path of the picture's .sealed file; where it does not begin at the root, in ComfyUI's "
                    "output folder.",
                ),
                io.String.Input(
                    "key_file",
                    default="",
                    tooltip="Path of the file with the key. The path alone is in the workflow, not the key.",
                ),
                io.String.Input(
                    "faces",
                    default="",
                    optional=True,
                    tooltip="Who comes back, by the names in the sealed file, such as 'face 1, face 3'. Empty: all "
                    "who are in it.",
                ),
            ],
            outputs=[
                io.Image.Output("original", tooltip="The photo with the original pixels. Nothing in it is anonymous."),
                io.String.Output("names", tooltip="Whose pixels the sealed file holds."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, sealed_file: str = "", key_file: str = "", **_) -> str:
        """A file that was changed since the last run is read again."""
        try:
            paths = (_sealed(sealed_file), Path(key_file.strip()))
            return repr([(str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in paths])
        except (OSError, ValueError) as error:
            return str(error)

    @classmethod
    def execute(cls, image, sealed_file: str, key_file: str, faces: str = "") -> io.NodeOutput:
        if len(image) != 1:
            raise ValueError(f"image: {len(image)} pictures, but a sealed file is of one: give them one after another")
        path, key = _sealed(sealed_file), _key(key_file)
        asked = [name.strip() for name in faces.split(",") if name.strip()]
        result = seal.pixels(images.to_pil(to_core(image)[0]))
        original = torch.from_numpy(seal.unseal(path, result, key, asked or None))
        restored = original.permute(2, 0, 1).float().div(255)
        return io.NodeOutput(to_comfy([restored]), ", ".join(seal.people(path, key)))


def _key(key_file: str) -> bytes:
    if not key_file.strip():
        raise ValueError(f"key_file is empty: give the path of a file with the key; make one with {keys.MAKE_ONE}")
    return keys.read(key_file.strip())


def _sealed(sealed_file: str) -> Path:
    if not sealed_file.strip():
        raise ValueError("sealed_file is empty: give the path of the .sealed file that lies beside the result")
    return Path(folder_paths.get_output_directory()) / sealed_file.strip()
