"""Saving without a word about where the picture comes from."""

import json
from pathlib import Path

import folder_paths
from comfy_api.latest import io
from PIL.PngImagePlugin import PngInfo

from ..revpers_core.media import images
from ..revpers_core.media.marks import Mark, credentials_from_environment, encoded
from ..revpers_core.media.whole_file import write_whole
from . import sockets
from .convert import to_core
from .provenance import EDITED, check_made, is_pocket_on_a_photo


class Save(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return sockets.schema(
            "RevPersSave",
            "Save Anonymous Image",
            description=(
                "Saves PNG files that hold pixels and nothing else: no workflow, seed, prompt, EXIF or source's name. "
                "ComfyUI's own Save Image writes the workflow into the picture. Pictures that no box of ours made, as "
                "when one is bypassed, are refused."
            ),
            inputs=[
                io.Image.Input("image", tooltip="The finished images."),
                sockets.filename_prefix(),
                io.Boolean.Input(
                    "with_workflow",
                    default=False,
                    tooltip="Write the workflow into the picture all the same: its seed helps to undo the result.",
                ),
                io.Boolean.Input(
                    "mark",
                    default=False,
                    optional=True,
                    tooltip="Say in the file that a model replaced faces (IPTC DigitalSourceType; signed as C2PA where "
                    "REVPERS_CERTIFICATE and REVPERS_PRIVATE_KEY are set), without seed, prompt or source.",
                ),
                io.Boolean.Input(
                    "corner_mark",
                    default=False,
                    optional=True,
                    tooltip="Write 'AI: face replaced' into the lower right corner.",
                ),
                io.Boolean.Input(
                    "edited",
                    optional=True,
                    default=False,
                    tooltip="Save pictures too that were joined with others in between, or come from elsewhere: see "
                    "for yourself that nobody is left in them as they were.",
                ),
            ],
            outputs=[],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo, io.Hidden.unique_id, io.Hidden.dynprompt],
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls, image, filename_prefix: str, with_workflow: bool, mark: bool = False, corner_mark: bool = False,
        edited: bool = False,
    ) -> io.NodeOutput:  # fmt: skip
        if not edited:
            check_made(cls.hidden, else_do=EDITED)
        demo = is_pocket_on_a_photo(cls.hidden)
        marking = Mark(mark, corner_mark, *(credentials_from_environment() if mark else ()))
        height, width = image.shape[1:3]
        folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(
            filename_prefix, folder_paths.get_output_directory(), width, height
        )
        saved = []
        for i, pixels in enumerate(to_core(image)):
            file = f"{name}_{counter + i:05}_.png"
            info = _workflow(cls.hidden) if with_workflow else None
            picture = images.to_pil(pixels)
            picture = images.watermarked(picture) if demo else picture
            write_whole(Path(folder) / file, encoded(picture, ".png", marking, info))
            saved.append({"filename": file, "subfolder": subfolder, "type": "output"})
        return io.NodeOutput(ui={"images": saved})


def _workflow(hidden) -> PngInfo:
    info = PngInfo()
    for key, value in {"prompt": hidden.prompt, **(hidden.extra_pnginfo or {})}.items():
        info.add_text(key, json.dumps(value))
    return info
