"""Who comes instead of the people in a picture."""

from dataclasses import replace

from comfy_api.latest import io

from ..revpers_core.faces.insightface import as_face_model
from ..revpers_core.media.pseudonyms import Recipe, made_up, secret_of
from ..revpers_core.media.stand_ins import InvertFace, as_stand_ins
from ..revpers_core.method import settings
from ..revpers_core.method.identity import null_identity
from ..revpers_core.method.population import SAME, Population
from ..revpers_core.method.settings import KEY, NOBODY, PICTURE, STRANGER
from ..revpers_core.method.types import Identity, Method
from . import sockets
from .convert import to_core


def recipe_of(
    instead, kind: str, person: int, method: str = settings.METHOD.default, preset: str = settings.CUSTOM
) -> Recipe:
    """What is connected, else what the widgets say; nobody under the preset 'paper', and where the method leads away
    from nobody in particular."""
    if isinstance(instead, Identity):
        rows = range(len(instead.embedding))
        return Recipe(PICTURE, pictures=tuple(instead.rows(slice(i, i + 1)) for i in rows))
    if instead is not None:
        return instead
    return Recipe(kind if Method(method) is Method.REVERSE and preset != settings.PAPER else NOBODY, person)


def with_stand_ins(invert_face: InvertFace, recipe: Recipe, population: Population | None) -> InvertFace:
    """A clip's ``invert_face`` with who comes instead. population: of the recogniser."""
    pseudonyms = recipe.start(population.same if population else SAME)
    return as_stand_ins(invert_face, pseudonyms, population) if pseudonyms else invert_face


class Pseudonym(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return sockets.schema(
            "RevPersPseudonym",
            "Who Comes Instead (Pseudonym)",
            description=(
                "Says who comes instead of the people in a picture: a stranger by seed, the same stranger by key in "
                "every picture, or somebody on a picture. For photos another one re-runs the sampler only."
            ),
            inputs=[
                io.Combo.Input(
                    "who",
                    options=[STRANGER, NOBODY, KEY, PICTURE],
                    default=KEY,
                    tooltip="a stranger by seed: by 'person', another for each face. nobody: as in the paper. the same "
                    "stranger by key: by 'key', one for each person, whatever the picture. this picture: by 'image'.",
                ),
                sockets.number(
                    "person", settings.PERSON, control_after_generate=True, lead="For 'a stranger by seed': "
                ),
                io.String.Input(
                    "key",
                    default="",
                    tooltip="For 'the same stranger by key': a secret sentence, 12 characters or more. The same key "
                    "gives the same stranger in every run; results of one key can be linked. ComfyUI keeps it in the "
                    "workflow: share neither.",
                ),
                sockets.number("length", settings.LENGTH),
                io.Image.Input(
                    "image",
                    optional=True,
                    tooltip="For 'this picture': square crops with one face each, framed as in FFHQ, of people who "
                    "agreed or do not exist; one for each face in a photo.",
                ),
                sockets.face_model_input(
                    optional=True, tooltip="For 'this picture': the model of 'Load Face Recognition Model'."
                ),
            ],
            outputs=[
                sockets.Pseudonym.Output(
                    "instead", tooltip="To 'instead' of the sampler, 'Anonymize Everyone' or 'Anonymize a Clip'."
                ),
                sockets.Identity.Output(
                    "identity", tooltip="The first who would come, for boxes that take an identity. Keep it private."
                ),
            ],
        )

    @classmethod
    def execute(cls, who: str, person: int, key: str, length: float, image=None, face_model=None) -> io.NodeOutput:
        recogniser = None if face_model is None else as_face_model(face_model)
        population = recogniser.population if recogniser else None
        if who == NOBODY:
            return io.NodeOutput(Recipe(NOBODY), null_identity(1))
        if who == PICTURE:
            if image is None or recogniser is None:
                raise ValueError("who: 'this picture' needs 'image' and 'face_model': connect both, or choose another")
            identity = recogniser.embed(to_core(image))
            recipe = replace(recipe_of(identity, who, 0), length=length)
            return io.NodeOutput(recipe, identity)
        if who == KEY:
            secret = secret_of(key)
            return io.NodeOutput(Recipe(KEY, secret=secret, length=length), made_up(secret, "person 1 0", population))
        made_up_identity = made_up(str(person).encode(), '["0", 0] 0', population)
        return io.NodeOutput(Recipe(STRANGER, person, length=length), made_up_identity)
