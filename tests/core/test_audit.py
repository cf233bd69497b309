"""The audit: what it calls a failure, what it says, what it keeps to itself. The judge here goes by the mean colour."""

import json
import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from revpers_core import images
from revpers_core.audit.files import matched
from revpers_core.audit.look import Pair, fitted, look
from revpers_core.audit.picture import BAD, GOOD, audit_picture
from revpers_core.audit.report import report
from revpers_core.cli import main
from revpers_core.faces import judges, named
from revpers_core.faces.geometry import face_in_aligned, framing
from revpers_core.faces.recognise import FaceModel
from revpers_core.types import Face

RED, BLUE, GREEN, PINK = (0.9, 0.1, 0.1), (0.1, 0.1, 0.9), (0.1, 0.9, 0.1), (0.9, 0.2, 0.2)


class Colour:
    """A network whose embedding is the face's mean colour, from -1 to 1."""

    def get_inputs(self):
        return [SimpleNamespace(name="x")]

    def run(self, names, feeds):
        return [feeds["x"].mean((2, 3))]


@pytest.fixture
def judge() -> judges.ArcFaceJudge:
    return judges.ArcFaceJudge(FaceModel(Colour(), "colour"))


def crop(colour: tuple[float, float, float], side: int = 64) -> torch.Tensor:
    return torch.tensor(colour)[:, None, None].expand(3, side, side).clone()


def photo(*colours: tuple[float, float, float]) -> torch.Tensor:
    """Squares of 64 pixels side by side on grey, one a face."""
    out = torch.full((3, 96, 96 * len(colours)), 0.5)
    for i, colour in enumerate(colours):
        out[:, 16:80, 96 * i + 16 : 96 * i + 80] = torch.tensor(colour)[:, None, None]
    return out


def squares(image: torch.Tensor) -> list[Face]:
    """A detector of what ``photo`` draws: wherever a cell's middle is not grey."""
    found = []
    for i in range(image.shape[-1] // 96):
        if (image[:, 48, 96 * i + 48] - 0.5).abs().max() > 0.1:
            points = framing(64).float() + torch.tensor([96 * i + 16, 16])
            found.append(Face((96 * i + 16.0, 16.0, 96 * i + 80.0, 80.0), points, 0.9))
    return found


def audit(pairs, asked, detect=None):
    return report(look(pairs, asked, detect), asked)


def test_originals_as_results_are_named(judge) -> None:
    people = [crop(one) for one in (RED, BLUE)]
    found = audit([Pair(f"{i}.png", one, one) for i, one in enumerate(people)], [judge, replace_name(judge, "other")])
    assert not found.passed
    assert found.verdict == (
        "re-identified by colour: face 1 of 0.png, face 1 of 1.png; "
        "re-identified by other: face 1 of 0.png, face 1 of 1.png"
    )
    assert found.opinions[0].known.value == 1 and found.opinions[0].rank1.value == 1


def replace_name(judge, name):
    return replace(judge, model=replace(judge.model, name=name))


def test_somebody_else_passes(judge) -> None:
    found = audit([Pair("a", crop(RED), crop(BLUE)), Pair("b", crop(BLUE), crop(GREEN))], [judge])
    assert found.passed and found.verdict == "not re-identified by 1 of 1 judges"
    assert found.opinions[0].known.value == 0
    assert "still known" in found.table and "0.500" in found.table


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ([Pair("a", crop(RED), crop(BLUE)), Pair("b", crop(BLUE), None)], "no result for b"),
        ([Pair("a", crop(RED), crop(BLUE)), Pair("b", crop(BLUE), crop(RED)[:, 9:])], "no result for b"),
        ([Pair("a", crop(RED), None)], "unknown: no judge could see a face; no result for a"),
        ([], "unknown: no judge could see a face"),
    ],
)
def test_what_is_missing_is_a_failure(judge, pairs, said) -> None:
    found = audit(pairs, [judge])
    assert not found.passed and said in found.verdict


def test_nobody_seen_is_unknown_and_no_judge_is_unverified(judge) -> None:
    empty = photo(RED) * 0 + 0.5
    found = audit([Pair("wall", empty, empty)], [judge], squares)
    assert not found.passed and found.verdict == "unknown: no judge could see a face"
    found = audit([Pair("a", photo(RED), photo(BLUE)), Pair("wall", empty, empty)], [judge], squares)
    assert not found.passed and "unknown in wall" in found.verdict
    found = audit([Pair("a", crop(RED), crop(BLUE))], [])
    assert not found.passed and found.verdict == "unverified: no judge was given"


def test_one_face_of_many_and_one_judge_of_two_is_enough_to_fail(judge) -> None:
    strict = replace_name(replace(judge, rule=replace(judge.rule, threshold=-0.5, floor=-0.9)), "strict")
    found = audit([Pair("two", photo(RED, BLUE), photo(GREEN, GREEN))], [judge, strict], squares)
    assert not found.passed and [seat.known for seat in found.seats] == [(False, True)] * 2
    found = audit([Pair("two", photo(RED, BLUE), photo(GREEN, BLUE))], [judge], squares)
    assert found.known_by() == {"colour": ["face 2 of two"]}


def test_a_person_who_turns_up_elsewhere_in_the_result_is_found(judge) -> None:
    found = audit([Pair("two", photo(RED, BLUE), photo(GREEN, RED))], [judge], squares)
    assert found.known_by() == {"colour": ["face 1 of two"]}


def test_what_cannot_be_compared_counts_as_known(judge) -> None:
    class Broken(Colour):
        def run(self, names, feeds):
            return [feeds["x"].mean((2, 3)) * math.nan]

    broken = judges.ArcFaceJudge(FaceModel(Broken(), "broken"))
    found = audit([Pair("a", crop(RED), crop(BLUE)), Pair("b", crop(BLUE), crop(RED))], [broken])
    assert not found.passed and found.opinions[0].known.value == 1 and found.opinions[0].rank1.value == 1
    json.loads(found.json())
    audit_picture(found)


def test_avoiding_the_source_too_well_shows(judge) -> None:
    """Each result is its source's opposite: never known, and always the least alike of all originals."""
    people = [crop(one) for one in (RED, BLUE, GREEN, (0.9, 0.9, 0.1), (0.1, 0.9, 0.9), (0.9, 0.1, 0.9))]
    found = audit([Pair(str(i), one, 1 - one) for i, one in enumerate(people)], [judge])
    (opinion,) = found.opinions
    assert found.passed and opinion.anti.value == 1 and opinion.rank1.value == 0 and opinion.auc.value == 0


def test_the_surround_is_measured(judge) -> None:
    before, after = photo(RED, BLUE), photo(RED, BLUE)
    after[:, 36:60, 36:60] = 0
    found = audit([Pair("a", before, after)], [judge], squares)
    (around,) = found.surrounds
    assert around.ssim == pytest.approx(1) and around.change == 0 and around.seam == pytest.approx(1)
    spoilt = (after + 0.2 * torch.rand(after.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    (worse,) = audit([Pair("a", before, spoilt)], [judge], squares).surrounds
    assert worse.ssim < 0.6 and worse.change > 0.05
    assert found.seats[0].pose == 0 and found.stayed()["pose change from 5 points (degrees)"] == 0


def test_a_result_at_another_size_is_the_same_picture() -> None:
    assert fitted(crop(RED, 32), crop(RED)).shape == (3, 64, 64)
    assert torch.equal(fitted(crop(RED), crop(RED)), crop(RED))
    assert fitted(torch.zeros(3, 64, 32), crop(RED)) is None


def test_the_record_holds_no_embedding_and_no_picture(judge) -> None:
    found = audit([Pair("a", crop(RED), crop(PINK))], [judge])
    told = json.loads(found.json())
    assert told["faces"][0]["re-identified"] == {"colour": True} and told["passed"] is False

    def longest(value) -> int:
        if isinstance(value, dict):
            return max(map(longest, value.values()), default=0)
        return max([len(value), *map(longest, value)], default=0) if isinstance(value, list) else 0

    assert longest(told) <= 4 and len(found.json()) < 2000


def test_the_picture_is_red_where_someone_is_known(judge) -> None:
    def colours(result):
        picture = audit_picture(audit([Pair("a", crop(GREEN), result)], [judge]))
        return {colour for _, colour in picture.getcolors(1 << 20)}, picture.size

    (bad, size), (good, _) = colours(crop(GREEN)), colours(crop(RED))
    assert BAD in bad and GOOD not in bad and GOOD in good and BAD not in good
    assert size[0] > 700 and tuple(round(255 * v) for v in GREEN) in bad


def test_files_are_matched_by_name(tmp_path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    for path in ("a.png", "b.jpg", "in/c.png", ".hidden/d.png", "notes.txt", "e.png"):
        (before / path).parent.mkdir(parents=True, exist_ok=True)
        (before / path).write_bytes(b"")
    for path in ("a_anonymous.png", "a.png", "b.webp", "in/c_anonymous.png"):
        (after / path).parent.mkdir(parents=True, exist_ok=True)
        (after / path).write_bytes(b"")
    there = {name: None if path is None else str(path.relative_to(after)) for name, _, path in matched(before, after)}
    assert there == {"a.png": "a_anonymous.png", "b.jpg": "b.webp", "e.png": None, "in/c.png": "in/c_anonymous.png"}
    assert matched(before / "a.png", after)[0][2] == after / "a_anonymous.png"
    assert matched(before / "a.png", after / "b.webp")[0][2] == after / "b.webp"
    inside = before / "in"
    assert [name for name, _, _ in matched(before, inside)] == ["a.png", "b.jpg", "e.png"]
    assert len(matched(before, before)) == 4
    with pytest.raises(ValueError, match="no pictures"):
        matched(tmp_path / "nowhere", after)


def test_the_command(judge, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(named, "pocket_judge", lambda: judge)
    before, after = tmp_path / "before", tmp_path / "after"
    for folder, colours in ((before, (RED, BLUE)), (after, (BLUE, GREEN))):
        folder.mkdir()
        for i, colour in enumerate(colours):
            images.write_png(images.picture(crop(colour)), folder / f"{i}.png")

    def run(*arguments):
        return main(["audit", *map(str, arguments), "--crops", "--judge", "pocket"]), *capsys.readouterr()

    code, out, err = run(before, after, "-o", tmp_path / "report")
    assert (code, err) == (0, "") and out.startswith("not re-identified by 1 of 1 judges\n")
    assert json.loads((tmp_path / "report/audit.json").read_text())["passed"] is True
    assert images.read(tmp_path / "report/audit.png").shape[0] == 3
    code, out, _ = run(before, before, "--json")
    told = json.loads(out)
    assert code == 1 and told["verdict"] == "re-identified by colour: face 1 of 0.png, face 1 of 1.png"
    (after / "1.png").write_text("broken")
    code, out, _ = run(before, after)
    assert code == 1 and "no result for 1.png" in out
    (before / "0.png").write_text("broken")
    code, out, err = run(before, after)
    assert code == 1 and "picture" in err and out == ""


def test_an_aligned_crop_has_its_face_in_the_middle() -> None:
    face = face_in_aligned(torch.zeros(3, 512, 512))
    assert face.points[0].tolist() == pytest.approx([192.98, 239.95], abs=0.1)
    assert 0 < face.box[0] < face.points[:, 0].min() and face.points[:, 1].max() < face.box[3] < 512
