"""What is told of a clip: what it will take before it is made, and what was seen of it after."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from ..method.settings import PRESETS
from .clip_check import MeanCheck
from .tracks import ClipTracks
from .verdict import who_checked


class Cost(NamedTuple):
    """What a run takes. face_frames: faces to be made, over all frames. evaluations: of the network for each. seconds:
    for each at most, None where none was tried: those that share a call take less. sampled: how many of the faces go
    through the network, None where all of them do."""

    frames: int
    face_frames: int
    evaluations: int
    seconds: float | None
    sampled: int | None = None

    @property
    def calls(self) -> int:
        """Faces that go through the network."""
        return self.face_frames if self.sampled is None else self.sampled

    def __str__(self) -> str:
        faces = f"{self.face_frames} faces in {self.frames} frames"
        if self.calls != self.face_frames:
            faces += f", {self.calls} of them sampled"
        text = f"{faces}, {self.evaluations} network evaluations each"
        if self.seconds is None:
            return text
        each = self.seconds / self.evaluations
        presets = ", ".join(
            f"{name} {preset.evaluations} ({preset.evaluations * each:.1f} s)" for name, preset in PRESETS.items()
        )
        total = self.calls * self.seconds
        return f"{text}: about {_duration(total)} at {self.seconds:.1f} s a face; by preset: {presets}"


def tally(counts: Sequence[tuple[Sequence[int], Sequence[int], int]], first: int) -> dict[str, Any]:
    """What was done in frames from number ``first`` on, as plain JSON. seen: of each frame who was made somebody else,
    who was blurred, and how many faces needed stronger guidance."""
    changed = Counter(str(person) for people, _, _ in counts for person in people)
    covered = [first + k for k, (_, blurred, _) in enumerate(counts) if blurred]
    return {"made": dict(changed), "blurred": covered, "stronger": sum(count for _, _, count in counts)}


def clip_record(
    tracks: ClipTracks, times: Sequence[float], records: Sequence[dict[str, Any]], strengths: dict[int, float],
    looks: dict[int, MeanCheck], guidance: float,
) -> dict[str, Any]:  # fmt: skip
    """Everyone who changed, without embeddings, and where a place is blurred, in seconds from the first frame. records:
    by ``tally``, of parts that follow each other."""
    covered = [k for record in records for k in record["blurred"]]
    people = [
        {
            "frames": person.sightings,
            "made": sum(record["made"].get(str(number), 0) for record in records),
            "guidance": strengths.get(number, guidance),
            "similarity_after": looks[number].similarity if number in looks else None,
            "verdict": looks[number].verdict if number in looks else "covered: it could not be read",
        }
        for number, person in enumerate(tracks.people)
        if number not in tracks.kept
    ]
    return {
        "frames": len(times),
        "people": people,
        "kept": len(tracks.kept),
        "second_look": sum(record["made"].get("-1", 0) for record in records),
        "stronger": sum(record["stronger"] for record in records),
        "blurred_frames": len(covered),
        "blurred": [[round(times[k] - times[0], 3) for k in span] for span in spans(covered)],
    }


def spans(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """The first and the last of every run of consecutive numbers."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return runs


def summary(record: dict[str, Any], advice: str = "connect Load Judge") -> str:
    """One sentence for people: how many became somebody else, who has looked at them, what had to be blurred. advice:
    how to get a judge."""
    people = record["people"]
    verdicts = who_checked((str(person["verdict"]) for person in people), advice)
    count = f"{len(people)} {'person' if len(people) == 1 else 'people'} changed"
    kept_note = f", {record['kept']} left alone as asked" if record["kept"] else ""
    covered = f"; in {record['blurred_frames']} of {record['frames']} frames a place is blurred"
    if not people:
        reason = "everyone was kept" if record["kept"] else "no face was found"
        return f"{reason}: the clip is {'blurred whole' if record.get('no_face') == 'blur' else 'as it was'}"
    return f"{count}{kept_note}; {verdicts}{covered if record['blurred_frames'] else ''}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"
