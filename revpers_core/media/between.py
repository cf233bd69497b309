"""A clip's economy: of neighbouring frames only some are sampled, the others blend the results around them.

In the face's own coordinates it stands nearly still from frame to frame, so that a blend of two results shows no third
person and nothing of the source. What it costs is measured in docs/clips.md.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from .photo import FaceSampler
from .tracks import Certainty, ClipTracks


def sampled_rows(places: Sequence[tuple[int, int]], every: int) -> list[int]:
    """Which of somebody's faces are sampled, as indices that rise.

    places: (track, frame) of each, in the clip's order. every: 1 or more. Of each run of neighbouring frames of one
    track: the first, every ``every``-th after it, and the last; so whatever is left out lies between two of its run.
    """
    rows: list[int] = []
    start = 0
    for k, (track, frame) in enumerate(places):
        if k and places[k - 1] != (track, frame - 1):
            start = k
        is_last = k + 1 == len(places) or places[k + 1] != (track, frame + 1)
        if is_last or (k - start) % every == 0:
            rows.append(k)
    return rows


def blended(results: Tensor, rows: Sequence[int]) -> Tensor:
    """All faces (N, C, H, W) from those that were sampled, (M, C, H, W): a linear blend of the two around each.

    rows: (M,) their indices, as ``sampled_rows`` has them: the first is 0, the last N - 1.
    """
    pictures = [results[0]]
    for (first, last), earlier, later in zip(pairwise(rows), results, results[1:], strict=False):
        pictures += [torch.lerp(earlier, later, k / (last - first)) for k in range(1, last - first)]
        pictures.append(later)
    return torch.stack(pictures)


def filled_in(sampler: FaceSampler, rows: Sequence[int]) -> FaceSampler:
    """A sampler of all faces, by one of those at ``rows``."""
    return lambda guidance, instead=None: blended(sampler(guidance, instead), rows)


def faces_sampled(tracks: ClipTracks, every: int, at_once: int) -> int:
    """How many faces of a clip go through the network, but for those that are hidden or left alone in some frames. Runs
    end where frames are no longer worked on together, every ``at_once`` frames."""
    kept = {track for person in tracks.kept for track in tracks.people[person].tracks}
    count = 0
    for number, track in enumerate(tracks.tracks):
        frames = [track.start + k for k, certainty in enumerate(track.certainty) if certainty != Certainty.UNSURE]
        places = [(frame // at_once, frame) for frame in frames]
        count += 0 if number in kept else len(sampled_rows(places, every))
    return count
