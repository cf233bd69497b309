"""The audit: what it calls a failure, what it says, what it keeps to itself. The judge here goes by the mean colour."""

import json
import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from revpers_core.audit.compare import ImagePair, Networks, compare, fitted
from revpers_core.audit.files import matched, without_original
from revpers_core.audit.picture import BAD, GOOD, audit_picture
from revpers_core.audit.report import report
from revpers_core.cli.main import main
from revpers_core.faces import judges, registry
from revpers_core.faces.face import Face
from revpers_core.faces.geometry import face_in_aligned, framing
from revpers_core.faces.recognise import FaceModel
from revpers_core.media import images
from revpers_core.metrics.reidentification import verification

RED, BLUE, GREEN, PINK = (0.9, 0.1, 0.1), (0.1, 0.1, 0.9), (0.1, 0.9, 0.1), (0.9, 0.2, 0.2)
TEAL, OLIVE = (0.3, 0.6, 0.5), (0.6, 0.6, 0.1)


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
    return report(compare(pairs, asked, detect), asked)


def test_originals_as_results_are_named(judge) -> None:
    people = [crop(one) for one in (RED, BLUE)]
    found = audit(
        [ImagePair(f"{i}.png", one, one) for i, one in enumerate(people)], [judge, replace_name(judge, "other")]
    )
    assert not found.passed
    assert found.verdict == (
        "re-identified by colour: face 1 of 0.png, face 1 of 1.png; "
        "re-identified by other: face 1 of 0.png, face 1 of 1.png"
    )
    assert found.judge_reports[0].known.value == 1 and found.judge_reports[0].rank1.value == 1


def replace_name(judge, name):
    return replace(judge, model=replace(judge.model, name=name))


def test_somebody_else_passes(judge) -> None:
    found = audit([ImagePair("a", crop(RED), crop(TEAL)), ImagePair("b", crop(BLUE), crop(GREEN))], [judge])
    assert found.passed and found.verdict == "not re-identified by 1 of 1 judges"
    assert found.judge_reports[0].known.value == 0
    assert "known, or not judged" in found.table and "0.500" in found.table


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ([ImagePair("a", crop(RED), crop(TEAL)), ImagePair("b", crop(BLUE), None)], "no result for b"),
        ([ImagePair("a", crop(RED), crop(TEAL)), ImagePair("b", crop(BLUE), crop(RED)[:, 9:])], "no result for b"),
        ([ImagePair("a", crop(RED), None)], "unknown: no judge could see a face; no result for a"),
        ([], "unknown: no judge could see a face"),
    ],
)
def test_what_is_missing_is_a_failure(judge, pairs, said) -> None:
    found = audit(pairs, [judge])
    assert not found.passed and said in found.verdict


def test_nobody_seen_is_unknown_and_no_judge_is_unverified(judge) -> None:
    empty = photo(RED) * 0 + 0.5
    found = audit([ImagePair("wall", empty, empty)], [judge], squares)
    assert not found.passed and found.verdict == "unknown: no judge could see a face"
    found = audit([ImagePair("a", photo(RED), photo(BLUE)), ImagePair("wall", empty, empty)], [judge], squares)
    assert not found.passed and "unknown in wall" in found.verdict
    found = audit([ImagePair("a", crop(RED), crop(BLUE))], [])
    assert not found.passed and found.verdict == "unverified: no judge was given"


def test_one_face_of_many_and_one_judge_of_two_is_enough_to_fail(judge) -> None:
    strict = replace_name(replace(judge, rule=replace(judge.rule, threshold=-0.5, floor=-0.9)), "strict")
    found = audit([ImagePair("two", photo(RED, BLUE), photo(GREEN, GREEN))], [judge, strict], squares)
    assert not found.passed and [entry.known for entry in found.faces] == [(False, True)] * 2
    found = audit([ImagePair("two", photo(RED, BLUE), photo(GREEN, BLUE))], [judge], squares)
    assert found.known_by() == {"colour": ["face 2 of two"]}


def test_a_person_who_turns_up_elsewhere_in_the_result_is_found(judge) -> None:
    found = audit([ImagePair("two", photo(RED, BLUE), photo(GREEN, RED))], [judge], squares)
    assert found.known_by() == {"colour": ["face 1 of two"]}


def test_what_cannot_be_compared_counts_as_known(judge) -> None:
    class Broken(Colour):
        def run(self, names, feeds):
            return [feeds["x"].mean((2, 3)) * math.nan]

    broken = judges.ArcFaceJudge(FaceModel(Broken(), "broken"))
    found = audit([ImagePair("a", crop(RED), crop(BLUE)), ImagePair("b", crop(BLUE), crop(RED))], [broken])
    assert not found.passed and found.judge_reports[0].known.value == 1 and found.judge_reports[0].rank1.value == 1
    json.loads(found.json())
    audit_picture(found)


def test_avoiding_the_source_too_well_shows(judge) -> None:
    """Each result is its source's opposite: never known, and always the least alike of all originals."""
    ways = ((1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, 0, 1), (0, 1, 1))
    people = [crop(tuple(0.5 + 0.4 * v for v in way)) for way in ways]
    found = audit([ImagePair(str(i), one, 1 - one) for i, one in enumerate(people)], [judge])
    (judged,) = found.judge_reports
    assert found.passed and judged.anti.value == 1 and judged.rank1.value == 0 and judged.auc.value == 0


def test_the_surround_is_measured(judge) -> None:
    before, after = photo(RED, BLUE), photo(RED, BLUE)
    after[:, 36:60, 36:60] = 0
    found = audit([ImagePair("a", before, after)], [judge], squares)
    (around,) = found.surrounds
    assert around.ssim == pytest.approx(1) and around.change == 0 and around.seam == pytest.approx(1)
    spoilt = (after + 0.2 * torch.rand(after.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    (worse,) = audit([ImagePair("a", before, spoilt)], [judge], squares).surrounds
    assert worse.ssim < 0.6 and worse.change > 0.05
    assert found.faces[0].pose == 0 and found.stayed()["pose change from 5 points (degrees)"] == 0


def test_a_result_at_another_size_is_the_same_picture() -> None:
    assert fitted(crop(RED, 32), crop(RED)).shape == (3, 64, 64)
    assert torch.equal(fitted(crop(RED), crop(RED)), crop(RED))
    assert fitted(torch.zeros(3, 64, 32), crop(RED)) is None


def test_the_record_holds_no_embedding_and_no_picture(judge) -> None:
    found = audit([ImagePair("a", crop(RED), crop(PINK))], [judge])
    report = json.loads(found.json())
    assert report["faces"][0]["re-identified"] == {"colour": True} and report["passed"] is False

    def longest(value) -> int:
        if isinstance(value, dict):
            return max(map(longest, value.values()), default=0)
        return max([len(value), *map(longest, value)], default=0) if isinstance(value, list) else 0

    assert longest(report) <= 4 and len(found.json()) < 2000


def test_the_picture_is_red_where_someone_is_known(judge) -> None:
    def colours(result):
        picture = audit_picture(audit([ImagePair("a", crop(GREEN), result)], [judge]))
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
    monkeypatch.setattr(registry, "load_judge", lambda path: judge)
    before, after = tmp_path / "before", tmp_path / "after"
    for folder, colours in ((before, (RED, BLUE)), (after, (TEAL, GREEN))):
        folder.mkdir()
        for i, colour in enumerate(colours):
            images.write_png(images.to_pil(crop(colour)), folder / f"{i}.png")

    def run(*arguments):
        return main(["audit", *map(str, arguments), "--crops", "--judge", "pocket"]), *capsys.readouterr()

    code, out, err = run(before, after, "-o", tmp_path / "report")
    assert (code, err) == (0, "") and out.startswith("not re-identified by 1 of 1 judges\n")
    assert json.loads((tmp_path / "report/audit.json").read_text())["passed"] is True
    assert images.read(tmp_path / "report/audit.png").shape[0] == 3
    code, out, _ = run(before, before, "--json")
    report = json.loads(out)
    assert code == 1 and report["verdict"] == "re-identified by colour: face 1 of 0.png, face 1 of 1.png"
    (after / "1.png").write_text("broken")
    code, out, _ = run(before, after)
    assert code == 1 and "nobody could look at the result of 1.png: this is not a picture" in out
    (before / "0.png").write_text("broken")
    (after / "2.png").write_text("broken")
    images.write_png(images.to_pil(crop(RED)), before / "3.png")
    images.write_png(images.to_pil(crop(TEAL)), after / "3.png")
    code, out, err = run(before, after, "--json")
    report = json.loads(out)
    assert (code, err) == (1, "") and [one["image"] for one in report["faces"]] == ["3.png"]
    assert [one.split(": ")[0] for one in report["unread"]] == ["0.png", "the result of 1.png"]
    assert report["extra"] == ["2.png"] and not report["passed"]
    assert report["judges"][0]["known"]["value"] == pytest.approx(2 / 3, abs=1e-3), "two that nobody could look at"


def test_results_beside_or_above_their_originals_are_no_originals(tmp_path) -> None:
    home = tmp_path / "all"
    for path in ("in/a.png", "in/a_anonymous.png", "in/b.jpg", "a_anonymous.png", "in/c_anonymous.png"):
        (home / path).parent.mkdir(parents=True, exist_ok=True)
        (home / path).write_bytes(b"")
    pairs = [
        (name, result and result.relative_to(home).as_posix()) for name, _, result in matched(home / "in", home / "in")
    ]
    assert pairs == [("a.png", "in/a_anonymous.png"), ("b.jpg", "in/b.jpg"), ("c_anonymous.png", "in/c_anonymous.png")]
    pairs = [(name, result and result.name) for name, _, result in matched(home / "in", home)]
    assert pairs == [
        ("a.png", "a_anonymous.png"),
        ("a_anonymous.png", None),
        ("b.jpg", None),
        ("c_anonymous.png", None),
    ]


def test_an_aligned_crop_has_its_face_in_the_middle() -> None:
    face = face_in_aligned(torch.zeros(3, 512, 512))
    assert face.points[0].tolist() == pytest.approx([192.98, 239.95], abs=0.1)
    assert 0 < face.box[0] < face.points[:, 0].min() and face.points[:, 1].max() < face.box[3] < 512


def streets(count: int) -> list[torch.Tensor]:
    """Photos with surroundings of their own and room for one face."""
    draw = torch.Generator().manual_seed(0)
    return [(0.5 + 0.09 * torch.randn(3, 4, 4, generator=draw)).repeat_interleave(24, 1).repeat_interleave(24, 2)
            for _ in range(count)]  # fmt: skip


def posed(street: torch.Tensor, colour: tuple[float, float, float]) -> torch.Tensor:
    out = street.clone()
    out[:, 16:80, 16:80] = torch.tensor(colour)[:, None, None]
    return out


def test_swapped_files_do_not_pass(judge) -> None:
    """Whether they are the originals under each other's names, or results: whoever looks right may not be there."""
    here, there = streets(2)
    before = [posed(here, RED), posed(there, BLUE)]
    swapped = audit([ImagePair("a", before[0], before[1]), ImagePair("b", before[1], before[0])], [judge], squares)
    assert not swapped.passed and not any(any(entry.known) for entry in swapped.faces)
    assert "face 1 of a turns up in the result of b" in swapped.verdict and "the result of a shows b" in swapped.verdict
    after = [posed(here, GREEN), posed(there, OLIVE)]
    right = audit([ImagePair("a", before[0], after[0]), ImagePair("b", before[1], after[1])], [judge], squares)
    assert right.passed, right.verdict


def test_a_face_in_anothers_picture_does_not_pass(judge) -> None:
    here, there = streets(2)
    pairs = [
        ImagePair("a", posed(here, RED), posed(here, BLUE)),
        ImagePair("b", posed(there, BLUE), posed(there, GREEN)),
    ]
    found = audit(pairs, [judge], squares)
    assert not found.passed and found.verdict == "face 1 of b turns up in the result of a"
    assert json.loads(found.json())["elsewhere"] == [{"face": "face 1 of b", "result of": "a"}]


def test_a_face_that_was_painted_over_or_lost_is_unknown(judge) -> None:
    two = photo(RED, BLUE)
    found = audit([ImagePair("a", two, photo(TEAL, (0.5, 0.5, 0.5)))], [judge], squares)
    assert not found.passed and [entry.lost for entry in found.faces] == [False, True]
    assert found.verdict == "unknown for face 2 of a: no face is found there any more"
    assert found.judge_reports[0].known.value == 0.5 and found.judge_reports[0].rank1.value == 0.5
    found = audit([ImagePair("a", two, two * 0 + 0.5)], [judge], squares)
    assert not found.passed and found.verdict == "unknown: no judge could see a face in the results"
    grain = (crop(RED) + 0.1 * torch.randn(3, 64, 64, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    blank = audit([ImagePair("a", grain, crop(GREEN))], [judge])
    assert not blank.passed and blank.faces[0].lost
    assert BAD in {colour for _, colour in audit_picture(blank).getcolors(1 << 20)}


@pytest.mark.parametrize("spoilt", [lambda seen: 0 * seen, lambda seen: seen.sum() * seen + seen.argmax()])
def test_a_judge_that_sees_nothing_is_blind_and_vouches_for_nobody(judge, spoilt) -> None:
    """A dead network says 0 of everyone; one whose threshold is beyond reach knows nobody either."""

    class Spoilt(Colour):
        def run(self, names, feeds):
            return [spoilt(super().run(names, feeds)[0])]

    dead = judges.ArcFaceJudge(FaceModel(Spoilt(), "dead"), replace(judge.rule, threshold=1.5))
    found = audit([ImagePair("a", crop(RED), crop(TEAL))], [judge, dead])
    assert not found.passed and found.faces[0].known == (False, False) and found.faces[0].blind == (False, True)
    assert found.verdict == "unknown for face 1 of a: dead is blind there"
    assert found.judge_reports[1].known.value == 1


def test_a_guessed_threshold_can_fail_somebody_but_passes_nobody(judge) -> None:
    guess = replace(judge, rule=replace(judge.rule, measured=False))
    found = audit([ImagePair("a", crop(RED), crop(TEAL))], [guess])
    assert not found.passed and "the threshold of colour was not measured" in found.verdict
    assert audit([ImagePair("a", crop(RED), crop(TEAL))], [guess, judge]).passed
    assert not audit([ImagePair("a", crop(RED), crop(PINK))], [guess, replace_name(judge, "other")]).passed


def test_judges_of_one_name_do_not_hide_each_others_answers(judge) -> None:
    strict = replace(judge, rule=replace(judge.rule, threshold=-0.9, floor=-0.99))
    report = json.loads(audit([ImagePair("a", crop(RED), crop(TEAL))], [strict, judge]).json())
    assert report["faces"][0]["re-identified"] == {"colour (1)": True, "colour (2)": False}


def test_what_was_not_judged_counts_in_the_rate(judge) -> None:
    pairs = [ImagePair("a", crop(RED), crop(TEAL)), ImagePair("b", crop(BLUE), None), ImagePair("c", crop(GREEN), None)]
    assert audit(pairs, [judge]).judge_reports[0].known.value == pytest.approx(2 / 3)


def test_one_person_in_two_photos_is_no_stranger_to_themselves(judge) -> None:
    """Without that, the second photo of a person would make the first one's result look anonymous."""
    people = [RED, PINK, BLUE, GREEN, (0.9, 0.9, 0.9)]
    found = audit([ImagePair(str(i), crop(one), crop(one)) for i, one in enumerate(people)], [judge])
    assert found.judge_reports[0].auc.value == 1 and found.judge_reports[0].rank1.value == 1
    assert found.judge_reports[0].chance1 == pytest.approx((2 / 4 + 3 / 5) / 5)


def test_a_gallery_of_strangers_shows_what_a_search_finds(judge) -> None:
    draw = torch.Generator().manual_seed(1)
    crowd = [crop(tuple(one)) for one in torch.rand(100, 3, generator=draw).tolist()]
    pairs = [ImagePair(str(i), crop(one), crop(one)) for i, one in enumerate((RED, BLUE, GREEN))]
    found = report(compare(pairs, [judge], None, crowd), [judge])
    (one,) = found.judge_reports
    assert (one.gallery, one.far, one.fpir) == (103, 1e-2, 1e-2)
    assert one.tar.value == 1 and one.rank1.value == 1 and one.rank5.value == 1 and one.fnir.value == 0
    assert "TAR at FAR 0.01 1.000" in found.table and "FNIR at FPIR 0.01 0.000" in found.table
    away = report(
        compare([ImagePair(p.name, p.original, 1 - p.original) for p in pairs], [judge], None, crowd), [judge]
    )
    assert (
        away.judge_reports[0].tar.value == 0
        and away.judge_reports[0].fnir.value == 1
        and away.judge_reports[0].rank5.value == 0
    )


def test_pictures_are_what_is_drawn_for_an_interval() -> None:
    """Eight copies of a face in one picture tell no more than one."""
    draw = torch.Generator().manual_seed(0)
    table = torch.randn(6, 6, generator=draw) + torch.eye(6)
    once = verification(table, torch.eye(6) > 0)
    eight = table.repeat_interleave(8, 0).repeat_interleave(8, 1)
    own = (torch.eye(6) > 0).repeat_interleave(8, 0).repeat_interleave(8, 1)
    together = verification(eight, own, unit=torch.arange(48) // 8)
    assert together == pytest.approx(once)
    apart = verification(eight, own)
    assert apart.high - apart.low < 0.7 * (once.high - once.low)


def test_the_users_networks_measure_the_crops(judge) -> None:
    networks = Networks(lambda crop: crop.mean((2, 3)), lambda a, b: (a - b).abs().mean((1, 2, 3)))
    pairs = [ImagePair("a", crop(RED), crop(TEAL)), ImagePair("b", crop(BLUE), crop(GREEN))]
    found = report(compare(pairs, [judge], None, (), networks), [judge])
    assert found.distances["perceptual distance of the faces' crops"] == pytest.approx(
        (1.5 / 3 + 1.6 / 3) / 2, abs=0.01
    )
    assert "FID of the faces' crops, if the network is FID's" in found.table
    plain = report(compare(pairs, [judge]), [judge])
    assert list(plain.distances) == ["Frechet distance of colour's features (no FID)"]
    same = report(compare([replace(p, result=p.original) for p in pairs], [judge]), [judge])
    assert next(iter(same.distances.values())) == pytest.approx(0, abs=1e-6)


def test_results_that_belong_to_nobody_are_told(judge, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(registry, "load_judge", lambda path: judge)
    before, after = tmp_path / "before", tmp_path / "after"
    for path, colour in (("before/a.png", RED), ("before/b.png", BLUE), ("after/a_anonymous.png", TEAL),
                         ("after/b.png", GREEN), ("after/c.png", RED)):  # fmt: skip
        (tmp_path / path).parent.mkdir(exist_ok=True)
        images.write_png(images.to_pil(crop(colour)), tmp_path / path)
    triples = matched(before, after)
    assert without_original(after, triples) == ["c.png"] and without_original(before, matched(before, before)) == []
    assert main(["audit", str(before), str(after), "--crops", "--judge", "pocket"]) == 1
    (after / "c.png").rename(after / "audit.png")
    assert main(["audit", str(before), str(after), "--crops", "--judge", "pocket"]) == 0
    assert main(["audit", str(before), str(after), "--crops", "--judge", "pocket", "--judge", "pocket"]) == 1
    images.write_png(images.to_pil(crop(BLUE)), before / "a.jpg.png")
    (before / "a.jpg.png").rename(before / "a.jpg")
    assert [result for _, _, result in matched(before, after)].count(None) == 1
