"""Nodes about faces in pictures: who, where, cut out, put back."""

import torch
from comfy_api.latest import io

from ..revpers_core.faces import detect, geometry, masks, paste, select
from ..revpers_core.faces.insightface import as_detectors, as_face_model
from ..revpers_core.hosts.comfy_progress import interruptible
from ..revpers_core.media.overlay import overlay
from ..revpers_core.method import settings
from ..revpers_core.method.identity import together
from ..revpers_core.method.types import NoFaceError
from . import sockets
from .convert import to_comfy, to_core, to_core_masks


class FaceIDEmbed(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return sockets.schema(
            "FaceIDEmbed",
            "Who Is It (FaceID Embed)",
            description="Reads who is in a face crop: the person to be led away from.",
            advanced=("scale",),
            inputs=[
                sockets.face_model_input(tooltip="From 'Load Face Recognition Model'."),
                io.Image.Input(
                    "image",
                    tooltip="Square crops with one face each, framed as in FFHQ: eyes just above the middle. "
                    "The same images, in the same order, as those that are inverted.",
                ),
                sockets.number("scale", settings.SCALE),
                sockets.detector_input(
                    optional=True,
                    tooltip="From 'Load Face Detector', for images that are not framed as in FFHQ, tight crops among "
                    "them: the largest face in each is found and aligned first.",
                ),
            ],
            outputs=[
                sockets.Identity.Output("identity", tooltip="Recognises this person: never share it. To the sampler.")
            ],
        )

    @classmethod
    def execute(cls, face_model, image, scale: float, detector=None) -> io.NodeOutput:
        recogniser, images = as_face_model(face_model), to_core(image)
        if detector is None:
            return io.NodeOutput(recogniser.embed(images, scale))
        detectors, identities = interruptible(as_detectors(detector)), []
        for i, photo in enumerate(images, 1):
            face = select.largest(detect.find_faces(photo, detectors))
            if not face:
                raise NoFaceError(
                    f"image: no face was found in image {i} of {len(images)}: use one that shows the person"
                )
            identities.append(recogniser.identify_face(photo, face[0], scale))
        return io.NodeOutput(together(identities))


class DetectFaces(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return sockets.schema(
            "RevPersDetectFaces",
            "Find Faces",
            "faces",
            description="Finds every face in the images and numbers them, the largest first.",
            advanced=("smallest",),
            inputs=[
                sockets.detector_input(tooltip="From 'Load Face Detector'."),
                io.Image.Input("image", tooltip="One or more images of any size."),
                sockets.number("min_score", settings.MIN_SCORE),
                sockets.number("smallest", settings.SMALLEST),
                io.Boolean.Input(
                    "must_find", default=True, tooltip="Stop with an error where an image shows no face at all."
                ),
            ],
            outputs=[
                sockets.Faces.Output("faces", tooltip="To 'Choose Faces' or 'Cut Faces Out'."),
                io.Image.Output("overlay", tooltip="The images with every face framed and numbered."),
            ],
        )

    @classmethod
    def execute(cls, detector, image, min_score: float, smallest: float, must_find: bool) -> io.NodeOutput:
        search = detect.Search(min_score=min_score, smallest=smallest)
        images = to_core(image)
        detectors = interruptible(as_detectors(detector))
        faces = [detect.find_faces(photo, detectors, search) for photo in images]
        for i, image_faces in enumerate(faces, 1):
            if must_find and not image_faces:
                raise NoFaceError(
                    f"no face was found in image {i} of {len(faces)}: lower min_score, add a second detector, "
                    "or switch must_find off to let such images pass as they are"
                )
        return io.NodeOutput(faces, to_comfy(overlay(*pair) for pair in zip(images, faces, strict=True)))


class SelectFaces(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return sockets.schema(
            "RevPersSelectFaces",
            "Choose Faces",
            "faces",
            description="Chooses which faces are meant: all, the largest, by number, by size, or all but some people.",
            inputs=[
                sockets.Faces.Input("faces", tooltip="From 'Find Faces'."),
                io.Combo.Input(
                    "which",
                    options=["all", "largest", "by number", "by size", "all but these people"],
                    default="all",
                    tooltip="'by number' and 'by size' read the boxes below; 'all but these people' leaves those alone "
                    "who are on the reference photos.",
                ),
                io.String.Input("numbers", default="1", tooltip="For 'by number', such as: 1, 3-5."),
                io.Float.Input(
                    "size", default=64.0, min=1.0, max=8192.0, tooltip="For 'by size': pixels of the box, 1 to 8192."
                ),
                sockets.number("likeness", settings.LIKENESS, lead="For 'all but these people': "),
                io.Image.Input("image", optional=True, tooltip="For 'all but these people': the images searched."),
                sockets.face_model_input(optional=True, tooltip="For 'all but these people'."),
                io.Image.Input(
                    "references",
                    optional=True,
                    tooltip="For 'all but these people': a photo of each, with one face (see 'references_faces').",
                ),
                sockets.Faces.Input(
                    "references_faces", optional=True, tooltip="The faces found in the reference photos."
                ),
            ],
            outputs=[
                sockets.Faces.Output("chosen", tooltip="The faces that are meant."),
                sockets.Faces.Output("others", tooltip="The faces left alone."),
            ],
        )

    @classmethod
    def execute(
        cls, faces, which, numbers, size, likeness, image=None, face_model=None, references=None, references_faces=None
    ) -> io.NodeOutput:
        if which == "all but these people":
            if image is None or face_model is None or references is None or references_faces is None:
                raise ValueError(
                    "'all but these people' needs image, face_model, references and references_faces: connect all four"
                )

            recogniser = as_face_model(face_model)
            keep = select.keep_people(
                to_core(references, "references"), references_faces, recogniser.identify_face, likeness
            )
            others = [keep(photo, image_faces) for image_faces, photo in zip(faces, to_core(image), strict=True)]
            return io.NodeOutput(without(faces, others), others)
        choose = {
            "all": list,
            "largest": select.largest,
            "by number": lambda image_faces: select.numbered(image_faces, numbers),
            "by size": lambda image_faces: select.at_least(image_faces, size),
        }[which]
        selected = [choose(image_faces) for image_faces in faces]
        return io.NodeOutput(selected, without(faces, selected))


def without(faces, excluded):
    """Each image's faces but the others."""
    return [
        [face for face in image_faces if not any(face is other for other in rest)]
        for image_faces, rest in zip(faces, excluded, strict=True)
    ]


class CropFaces(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return sockets.schema(
            "RevPersCropFaces",
            "Cut Faces Out",
            "faces",
            description="Cuts every face out as an upright, aligned square, ready for the inversion.",
            advanced=("crop_factor",),
            inputs=[
                io.Image.Input("image", tooltip="The images that were searched."),
                sockets.Faces.Input("faces", tooltip="From 'Find Faces' or 'Choose Faces'."),
                sockets.number("size", settings.SIZE),
                sockets.number("crop_factor", settings.CROP_FACTOR, optional=True),
            ],
            outputs=[
                io.Image.Output("crop", tooltip="A batch with one square a face."),
                sockets.Crops.Output("places", tooltip="Where the squares belong. To 'Put Faces Back'."),
            ],
        )

    @classmethod
    def execute(cls, image, faces, size: int, crop_factor: float = settings.CROP_FACTOR.default) -> io.NodeOutput:
        photos = to_core(image)
        if len(photos) != len(faces):
            raise ValueError(f"got {len(photos)} images and faces of {len(faces)}: connect the same images")
        places = [
            (i, geometry.crop_face(photo, face, size, crop_factor))
            for i, (photo, image_faces) in enumerate(zip(photos, faces, strict=True))
            for face in image_faces
        ]
        if not places:
            raise NoFaceError("no face is left to cut out: choose at least one")
        return io.NodeOutput(to_comfy(crop.pixels for _, crop in places), places)


class PasteFaces(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return sockets.schema(
            "RevPersPasteFaces",
            "Put Faces Back",
            "faces",
            description="Puts changed faces back where they were cut out, without a seam; the rest stays untouched.",
            inputs=[
                io.Image.Input("image", tooltip="The images that the faces were cut from."),
                sockets.Crops.Input("places", tooltip="From 'Cut Faces Out'."),
                io.Image.Input("crop", tooltip="The changed squares, in the same order."),
                io.Boolean.Input("match_colour", default=True, tooltip="Fit the colours to the face's surround."),
                io.Boolean.Input(
                    "keep_eyes_and_mouth",
                    default=False,
                    tooltip="Leave the photo's eyes and mouth, in the new colours.",
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="Where the images may change at all; black stays bit for bit. At least a quarter of every "
                    "face must be left to change.",
                ),
            ],
            outputs=[
                io.Image.Output("pasted", display_name="image", tooltip="The finished images."),
                io.Mask.Output(
                    "changed",
                    display_name="mask",
                    tooltip="Where the images may have changed: for inpainting touch-ups.",
                ),
            ],
        )

    @classmethod
    def execute(cls, image, places, crop, match_colour: bool, keep_eyes_and_mouth: bool, mask=None) -> io.NodeOutput:
        if len(crop) != len(places):
            raise ValueError(f"got {len(crop)} squares for {len(places)} faces: connect the squares of these faces")
        check_places(to_core(image), places)
        results, kept_parts = list(to_core(image)), ("eyes", "mouth") if keep_eyes_and_mouth else ()
        allowed = to_core_masks(mask, results)
        changed = [result.new_zeros(1, *result.shape[-2:]) for result in results]
        for (i, place), pixels in zip(places, to_core(crop, "crop"), strict=True):
            where = masks.change_mask(place, kept_parts, allowed[i])
            pasted = paste.paste(results[i], place, pixels, where, match=match_colour, keep=kept_parts)
            results[i] = paste.within(pasted, results[i], allowed[i])
            reached = paste.within(paste.footprint(results[i], place, where), torch.zeros_like(changed[i]), allowed[i])
            changed[i] = torch.maximum(changed[i], reached)
        return io.NodeOutput(to_comfy(results), torch.cat(changed))


def check_places(images, places) -> None:
    """Raises ValueError where squares would land beside the faces that they replace."""
    for i, crop in places:
        if i >= len(images):
            raise ValueError(
                f"image: got {len(images)}, but faces were cut from {i + 1}: connect the images of 'places'"
            )
        if not paste.is_cut_from(crop, images[i]):
            raise ValueError(
                f"places: a square was cut from another picture than image {i + 1}, whose face would stay as it is: "
                "connect to 'image' what was connected to 'Cut Faces Out'"
            )
