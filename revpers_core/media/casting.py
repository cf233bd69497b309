"""Stand-ins for people who come one by one: in a batch of crops, in a clip."""

from collections.abc import Callable

from torch import Tensor

from ..method.identity import cosine, together
from ..method.population import Population
from ..method.types import Identity
from .photo_records import FaceSampler
from .pseudonyms import Pseudonyms, StandIn

InvertFace = Callable[[Tensor, Identity, int], FaceSampler]


def for_crops(pseudonyms: Pseudonyms, people: Identity) -> Identity:
    """Who comes instead in crops with one face each of whatever pictures, (B, 512): nobody who is like somebody else in
    the batch. people: (B, 512)."""
    each = [people.rows(slice(i, i + 1)) for i in range(len(people.embedding))]
    chosen: list[Identity] = []
    for i, who in enumerate(each):
        others = [one for one in each if float(cosine(one, who)) < pseudonyms.same_to(who)]
        (one,) = pseudonyms.cast([who], str(i), others)
        chosen.append(pseudonyms.told(one, who))
    return together(chosen)


def as_stand_ins(invert_face: InvertFace, pseudonyms: Pseudonyms, population: Population | None = None) -> InvertFace:
    """A host's ``invert_face`` with one stand-in for each index, whatever crops of that person follow: for clips, whose
    people have a number each. Only where somebody quite else has the index (a probe of the speed had it) is it another.

    population: of the recogniser, where the identities do not say it.
    """
    chosen: dict[int, tuple[Identity, StandIn]] = {}

    def stand_in(who: Identity, index: int) -> StandIn:
        if index not in chosen or float(cosine(who, chosen[index][0])) < pseudonyms.same_to(who):
            taken = [one for number, (_, one) in chosen.items() if number != index]
            (one,) = pseudonyms.cast([who], f"person {index}", (), taken)
            chosen[index] = who, one
        return chosen[index][1]

    def inverted(crops: Tensor, who: Identity, index: int) -> FaceSampler:
        mean = Identity(who.embedding.mean(0, keepdim=True), population=who.population or population)
        sampler, told = invert_face(crops, who, index), pseudonyms.told(stand_in(mean, index), who.rows(slice(0, 1)))
        return lambda guidance, instead=None: sampler(guidance, instead or told)

    return inverted
