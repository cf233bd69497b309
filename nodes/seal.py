"""The way back for whoever holds the key, beside the saved picture and never inside it."""

from pathlib import Path

import folder_paths
from comfy_api.latest import io

from ..revpers_core.media import images, keys, seal
from . import sockets
from .convert import to_core, to_core_masks
from .provenance import check_made, is_pocket_on_a_photo


class Seal(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return sockets.schema(
            "RevPersSeal",
            "Save With a Way Back (Seal)",
            description=(
                "Saves PNG files of pixels alone, and beside each a .sealed file with the original pixels "
                "of what was changed, encrypted (AES-256-GCM, the key by scrypt). 'revpers unseal' restores the "
                "original. Results are then pseudonymised, not anonymous."
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
        if not key_file.strip():
            raise ValueError(f"key_file is empty: give the path of a file with the key; make one with {keys.MAKE_ONE}")
        key, demo = keys.read(key_file.strip()), is_pocket_on_a_photo(cls.hidden)
        photos, made = list(to_core(original)), list(to_core(image))
        if len(photos) != len(made) or photos[0].shape != made[0].shape:
            shapes = f"{tuple(image.shape)}, got {tuple(original.shape)}"
            raise ValueError(f"original: expected one photo for each finished image, of its size: {shapes}")
        folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(
            filename_prefix, folder_paths.get_output_directory(), image.shape[2], image.shape[1]
        )
        saved = []
        for i, (before, after, chosen) in enumerate(zip(photos, made, to_core_masks(mask, photos), strict=True)):
            path = Path(folder) / f"{name}_{counter + i:05}_.png"
            picture = images.watermarked(images.to_pil(after)) if demo else images.to_pil(after)
            source, result = seal.pixels(images.to_pil(before)), seal.pixels(picture)
            names, reached = ([], []) if chosen is None else (["chosen"], [chosen])
            parts = seal.regions(source, result, reached, names)
            seal.write(seal.sealed_path(path), source, result, key, parts if chosen is None else parts[:1])
            images.write_png(picture, path)
            saved.append({"filename": path.name, "subfolder": subfolder, "type": "output"})
        return io.NodeOutput(ui={"images": saved})
