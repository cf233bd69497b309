"""What may be said of faces that no judge recognises."""

from collections.abc import Iterable, Sequence

from torch import Tensor
from torch.nn.functional import cosine_similarity

from ..faces.judges import Judge
from ..method.types import Identity

SAME_NET = 0.9
"""Cosine similarity of two recognisers' embeddings of one face from which on they are one network: of two, it is near
0."""


def independent(judges: Sequence[Judge], source: Sequence[Tensor], identity: Identity) -> list[Judge]:
    """Those of the judges that are not the recogniser that steered the run, whatever their files are called: that one
    sees the very same in a face. source: each judge's embedding of a face. who: the same face's identity."""
    steering = identity.embedding[0]
    return [
        judge
        for judge, embedding in zip(judges, source, strict=True)
        if embedding.shape != steering.shape or not float(cosine_similarity(embedding, steering, dim=0)) > SAME_NET
    ]


def verdict(judges: Sequence[Judge], apart: Sequence[Judge] | None = None) -> str:
    """What may be said of a face that none of the judges recognises: those of rendered faces vouch for nobody, nor do
    those whose threshold was not measured, nor does the recogniser that steered the run. apart: the independent ones;
    all of them unless given."""
    apart = judges if apart is None else apart
    count = sum(judge.rule.vouches for judge in apart)
    if count:
        return f"not re-identified by {count} of {count} judges"
    if any(not judge.rule.measured for judge in apart):
        return "unverified: the judge's threshold was not measured"
    if apart:
        return "unverified: the judge knows rendered faces only"
    return "unverified: the judge is the recogniser that steered the run" if judges else "unverified"


def who_checked(verdicts: Iterable[str], advice: str = "connect Load Judge") -> str:
    """What to tell people of their faces' verdicts. advice: how to get a judge."""
    words = {
        f"nobody has checked ({advice})"
        if verdict == "unverified"
        else verdict.replace("unverified:", "nobody has checked:")
        for verdict in verdicts
    }
    return "; ".join(sorted(words))
