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
    identities: list[Identity] = []
    for i, identity in enumerate(each):
        others = [other for other in each if float(cosine(other, identity)) < pseudonyms.same_to(identity)]
        (pseudonym,) = pseudonyms.cast([identity], str(i), others)
        identities.append(pseudonyms.as_condition(pseudonym, identity))
    return together(identities)


def as_stand_ins(invert_face: InvertFace, pseudonyms: Pseudonyms, population: Population | None = None) -> InvertFace:
    """A host's ``invert_face`` with one stand-in for each index, whatever crops of that person follow: for clips, whose
    people have a number each. Only where somebody quite else has the index (a probe of the speed had it) is it another.

    population: of the recogniser, where the identities do not say it.
    """
    assigned: dict[int, tuple[Identity, StandIn]] = {}

    def stand_in(identity: Identity, index: int) -> StandIn:
        if index not in assigned or float(cosine(identity, assigned[index][0])) < pseudonyms.same_to(identity):
            stand_ins = [pseudonym for number, (_, pseudonym) in assigned.items() if number != index]
            (pseudonym,) = pseudonyms.cast([identity], f"person {index}", (), stand_ins)
            assigned[index] = identity, pseudonym
        return assigned[index][1]

    def inverted(crops: Tensor, identity: Identity, index: int) -> FaceSampler:
        mean = Identity(identity.embedding.mean(0, keepdim=True), population=identity.population or population)
        sampler, condition = (
            invert_face(crops, identity, index),
            pseudonyms.as_condition(stand_in(mean, index), identity.rows(slice(0, 1))),
        )
        return lambda guidance, instead=None: sampler(guidance, instead or condition)

    return inverted
