"""Where pseudonyms come from, who is who, and the file that remembers it."""

import json
import stat

import pytest
import torch
from safetensors.torch import save_file
from torch.nn.functional import normalize

from revpers_core import pocket
from revpers_core.adapters.clip import MEAN
from revpers_core.faces import population, recognise
from revpers_core.media import gallery, keys, roster, vault
from revpers_core.media.pseudonyms import (
    Pictured,
    Pseudonyms,
    SameStrangers,
    Strangers,
    made_up,
    secret_of,
)
from revpers_core.media.roster import Roster
from revpers_core.media.stand_ins import as_stand_ins
from revpers_core.method.identity import cosine, identity_of
from revpers_core.method.types import FACE_SIDE, Identity

LONG = b"a long sentence for a key"


def somebody(seed: int, near: Identity | None = None, by: float = 0.0) -> Identity:
    """Anybody, or somebody this near (cosine) to somebody."""
    other = identity_of(torch.randn(1, 512, generator=torch.Generator().manual_seed(seed)))
    if near is None:
        return other
    apart = normalize(other.embedding - (other.embedding @ near.embedding.T) * near.embedding, dim=1)
    return Identity(by * near.embedding + (1 - by**2) ** 0.5 * apart)


def test_somebody_made_up_is_the_same_everywhere_and_for_nobody_else():
    one = made_up(b"secret", "person 1 0").embedding
    assert one.shape == (1, 512) and float(one.norm()) == pytest.approx(1, abs=1e-5)
    assert torch.equal(one, made_up(b"secret", "person 1 0").embedding)
    expected = [-0.0444, -0.0071, 0.0230, -0.0407]
    assert one[0, :4].tolist() == pytest.approx(expected, abs=1e-4), "stand-ins of years ago must come back"
    others = [made_up(b"secret", "person 2 0"), made_up(b"secret", "person 1 1"), made_up(b"other", "person 1 0")]
    assert max(abs(float(cosine(Identity(one), other))) for other in others) < 0.2


def test_people_made_up_lie_where_the_recognisers_people_do():
    """Of the pocket's: as far from each other as rendered strangers, where plain random directions are not."""
    people = population.find(pocket.FACE_MODEL)
    assert people is not None and recognise.load(pocket.FACE_MODEL).population is not None
    upper = torch.ones(200, 200).triu(1) > 0

    def spread(drawn) -> float:
        result = torch.cat([made_up(b"secret", str(i), drawn).embedding for i in range(200)])
        return float((result @ result.T)[upper].std())

    identity = recognise.load(pocket.FACE_MODEL).embed(gallery.aligned_face(3, 0)[None])
    (drawn,) = Pseudonyms(Strangers(0)).cast([identity])
    expected = made_up(b"0", f'["", 0] {drawn.number}', people).embedding
    assert torch.equal(drawn.identity.embedding, expected), (
        "a stand-in is drawn in the terms of the person's recogniser"
    )
    strangers = torch.stack([gallery.aligned_face(person) for person in range(gallery.people())])
    seen = recognise.load(pocket.FACE_MODEL).embed(strangers).embedding
    apart = float((seen @ seen.T)[torch.ones(len(seen), len(seen)).triu(1) > 0].std())
    assert spread(people) == pytest.approx(apart, abs=0.02)
    assert spread(None) == pytest.approx(512**-0.5, abs=0.005)


def test_a_population_is_measured_written_and_found_again(tmp_path):
    draw = torch.Generator().manual_seed(0)
    spread = torch.linspace(2, 0.1, 512)
    seen = normalize(torch.randn(600, 512, generator=draw) * spread + 0.2, dim=1)
    measured = population.of_people(seen, 0.3, "nobody real")
    again = [measured.person(torch.randn(512, generator=draw)) for _ in range(400)]
    result = torch.stack(again)
    assert float((result.mean(0) - seen.mean(0)).norm()) < 0.1
    assert float(torch.corrcoef(torch.stack([result.std(0), seen.std(0)]))[0, 1]) > 0.9
    population.write(measured, tmp_path / "net.onnx")
    found = population.find(tmp_path / "net.onnx")
    assert found is not None and (found.same, found.source) == (0.3, "nobody real")
    torch.testing.assert_close(found.axes, measured.axes, atol=1e-3, rtol=0)
    assert population.find(tmp_path / "other.onnx") is None
    with pytest.raises(ValueError, match="100 people or more"):
        population.of_people(seen[:99], 0.3, "")
    save_file({"mean": torch.zeros(3)}, tmp_path / "bad.people.safetensors")
    with pytest.raises(ValueError, match="no population"):
        population.find(tmp_path / "bad.onnx")


def test_a_person_seed_gives_other_strangers_and_no_two_in_a_picture_are_one():
    sources = [somebody(i) for i in range(3)]
    first, same, other = (Pseudonyms(Strangers(seed)).cast(sources, "a.png") for seed in (0, 0, 1))
    elsewhere = Pseudonyms(Strangers(0)).cast(sources, "b.png")
    assert [torch.equal(a.identity.embedding, b.identity.embedding) for a, b in zip(first, same, strict=True)] == [
        True
    ] * 3
    chosen = [one.identity.embedding for one in (*first, *other, *elsewhere)]
    assert max(float(a @ b.T) for i, a in enumerate(chosen) for b in chosen[:i]) < 0.3


def test_who_looks_like_the_source_or_a_neighbour_is_refused_and_the_next_is_drawn():
    drawing = Strangers(5)
    would = drawing.draw('["a.png", 0]', 0, None)
    assert would is not None
    for source, others in ((somebody(1, would, 0.5), []), (somebody(1), [somebody(2, would, 0.5)])):
        (chosen,) = Pseudonyms(Strangers(5)).cast([source], "a.png", others)
        assert chosen.number == 1 and not torch.equal(chosen.identity.embedding, would.embedding)
    (kept,) = Pseudonyms(Strangers(5)).cast([somebody(1, would, 0.3)], "a.png")
    assert kept.number == 0
    chosen = Pseudonyms(drawing)
    (one,) = chosen.cast([somebody(1)], "a.png")
    assert chosen.next(one, [somebody(1)]).number == 1


def test_pictures_are_given_one_by_one_and_run_out():
    pictures = [somebody(1), somebody(2)]
    chosen = Pseudonyms(Pictured(pictures))
    first, second = chosen.cast([somebody(3), somebody(4)], "a.png")
    assert (first.number, second.number) == (0, 1)
    (itself,) = chosen.cast([somebody(9, pictures[0], 0.8)], "b.png")
    assert itself.number == 1
    for sources in ([somebody(3), somebody(4), somebody(5)], [pictures[0], somebody(3)]):
        with pytest.raises(ValueError, match="give pictures of other people"):
            chosen.cast(sources, "c.png")


def test_length_is_what_the_branch_is_told():
    chosen = Pseudonyms(Strangers(0), length=0.5)
    (one,) = chosen.cast([somebody(1)])
    assert float(chosen.as_condition(one, somebody(1)).embedding.norm()) == pytest.approx(0.5, abs=1e-5)
    with pytest.raises(ValueError, match="must be from 0 to 1"):
        Pseudonyms(Strangers(0), length=1.5)
    with pytest.raises(ValueError, match="0 or more"):
        Strangers(-1)


def test_the_branch_is_told_what_an_adapter_may_ask_but_never_the_persons_face():
    source = Identity(somebody(1).embedding, torch.tensor([20.0]), torch.rand(1, 3, FACE_SIDE, FACE_SIDE))
    chosen = Pseudonyms(Strangers(0))
    condition = chosen.as_condition(chosen.cast([source])[0], source)
    assert condition.length is not None and float(condition.length) == 20 and torch.isfinite(condition.raw).all()
    assert condition.face is not None and torch.equal(condition.face[0, :, 0, 0], torch.tensor(MEAN)), (
        "CLIP must see nobody"
    )
    assert float(condition.face.std(dim=(2, 3)).max()) == pytest.approx(0, abs=1e-6)


def same_strangers(known: Roster, key: bytes = LONG) -> Pseudonyms:
    return Pseudonyms(SameStrangers(secret_of(key), known), same=known.same)


def test_one_person_is_one_stranger_in_every_picture_whatever_the_order():
    anna, ben = somebody(1), somebody(2)
    chosen = same_strangers(Roster("net", 0.4))
    first = chosen.cast([anna, ben], "a.png")
    again = chosen.cast([somebody(3, ben, 0.7), somebody(4, anna, 0.7)], "b.png")
    assert [one.person for one in first] == ["person 1", "person 2"]
    assert [one.person for one in again] == ["person 2", "person 1"]
    assert torch.equal(first[0].identity.embedding, again[1].identity.embedding)
    assert chosen.record(again[0]) == {"person": "person 2"} and Pseudonyms(Strangers(0)).record(again[0]) == {}
    other = same_strangers(Roster("net", 0.4), b"another key of length").cast([anna], "a.png")
    assert abs(float(cosine(other[0].identity, first[0].identity))) < 0.3
    drawn = [same_strangers(Roster("net", 0.4), None).cast([anna], "a.png")[0].identity for _ in range(2)]
    assert abs(float(cosine(*drawn))) < 0.3, "without a key nobody has it afterwards"


def test_two_people_in_one_photo_never_share_a_stand_in():
    """A twin, and a face that is in the picture twice."""
    anna = somebody(1)
    known = Roster("net", 0.4)
    chosen = same_strangers(known)
    chosen.cast([anna], "a.png")
    pair = chosen.cast([somebody(2, anna, 0.9), somebody(3, anna, 0.8)], "b.png")
    assert [one.person for one in pair] == ["person 1", "person 2"] and "in the same picture already" in known.doubtful[
        0
    ]
    assert float(cosine(pair[0].identity, pair[1].identity)) < 0.4
    (late,) = chosen.cast([somebody(4, anna, 0.95)], "b.png", assigned=pair)
    assert late.person == "person 1 again"
    assert max(float(cosine(late.identity, one.identity)) for one in pair) < 0.4
    (after,) = chosen.cast([somebody(5, anna, 0.95)], "c.png")
    assert torch.equal(after.identity.embedding, pair[0].identity.embedding), "a double must not change who comes"


def test_doubtful_faces_are_told_and_one_that_matches_two_is_an_error_that_enters_nobody():
    anna = somebody(1)
    known = Roster("net", 0.4)
    known.people([anna, somebody(2)])
    known.people([somebody(3, anna, 0.42)], "b.png")
    assert known.doubtful == ["face 1 of b.png is like person 1 by 0.42, near 0.40: taken for the same"]
    between = identity_of(known.entries[0].embedding[None] + known.entries[1].embedding[None])
    before = [(entry.sightings, entry.total.clone()) for entry in known.entries]
    with pytest.raises(ValueError, match=r"matches two entries .* person \d \(0\.7.*clearer photo"):
        known.people([between], "c.png")
    assert len(known.entries) == 2
    assert all(e.sightings == n and torch.equal(e.total, t) for e, (n, t) in zip(known.entries, before, strict=True))


def test_a_roster_file_gives_later_runs_the_same_stand_ins(tmp_path):
    path, anna, ben = tmp_path / "who.roster", somebody(1), somebody(2)
    known = roster.load(path, LONG, "net", 0.4)
    first = same_strangers(known).cast([anna, ben], "a.png")
    known.skipped["person 1"] = first[0].number
    known.save(path, LONG)
    later = same_strangers(roster.load(path, LONG, "net", 0.4)).cast([somebody(5, ben, 0.8)], "z.png")
    assert torch.equal(later[0].identity.embedding, first[1].identity.embedding)
    raw = path.read_bytes()
    assert raw.startswith(roster.KIND) and b"person" not in raw[len(roster.KIND) :]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_roster_of_another_key_or_recogniser_or_a_touched_one_is_refused_and_stays(tmp_path):
    path = tmp_path / "who.roster"
    known = Roster("net", 0.4)
    known.people([somebody(1)])
    known.save(path, LONG)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="the key is not the one"):
        roster.load(path, b"quite another key", "net", 0.4)
    with pytest.raises(ValueError, match="is of the recogniser net, this run's is other"):
        roster.load(path, LONG, "other", 0.4)
    assert path.read_bytes() == before
    for touched in (before[:-1] + bytes([before[-1] ^ 1]), before[:40], b"something else", b""):
        path.write_bytes(touched)
        with pytest.raises(ValueError, match=r"was changed|no file of the kind"):
            roster.load(path, LONG, "net", 0.4)


@pytest.mark.parametrize("content", ["", "  \n ", "short"])
def test_an_empty_or_short_key_is_refused(content, tmp_path):
    path = tmp_path / "key.txt"
    path.write_text(content)
    for refused in (lambda: keys.read(path), lambda: secret_of(content)):
        with pytest.raises(ValueError, match=r"(empty|only 5 bytes long): use 12 or more"):
            refused()
    with pytest.raises(ValueError, match=r"cannot be read.*token_hex"):
        keys.read(tmp_path / "missing.txt")


def test_a_key_file_is_read_without_the_line_end_that_an_editor_adds(tmp_path):
    for name, content in (("a", LONG), ("b", LONG + b"\r\n")):
        (tmp_path / name).write_bytes(content)
    assert keys.read(tmp_path / "a") == keys.read(tmp_path / "b") == LONG
    assert secret_of(LONG) == secret_of(LONG.decode()) != LONG


def test_what_is_locked_opens_with_its_key_and_kind_alone():
    locked = vault.lock(b"content", LONG, b"kind 1")
    assert vault.unlock(locked, LONG, b"kind 1") == b"content"
    assert vault.lock(b"content", LONG, b"kind 1") != locked
    for wrong in ((locked, LONG + b"!", b"kind 1"), (locked, LONG, b"kind 2"), (b"kind 1", LONG, b"kind 1")):
        with pytest.raises(ValueError):
            vault.unlock(*wrong)
    for at in range(0, len(locked), 7):
        touched = bytearray(locked)
        touched[at] ^= 4
        with pytest.raises(ValueError):
            vault.unlock(bytes(touched), LONG, b"kind 1")


def test_names_of_places_cannot_collide():
    names = {name for place in ("a", 'a", 0', "b") for name in Strangers(0).people([somebody(0)] * 2, place)}
    assert len(names) == 6 and all(json.loads(name) for name in names)


def test_a_persons_number_in_a_clip_has_one_stand_in():
    calls: list[tuple[int, torch.Tensor]] = []

    def invert_face(crops, identity, index):
        return lambda guidance, instead=None: calls.append((index, instead.embedding)) or crops

    anna, ben = somebody(1), somebody(2)
    cast = as_stand_ins(invert_face, Pseudonyms(Strangers(0)))
    crops = torch.zeros(2, 3, 8, 8)
    for identity, index in ((anna, 0), (ben, 1), (somebody(3, anna, 0.8), 0)):
        assert cast(crops, identity, index)(-4.0) is crops
    assert torch.equal(calls[0][1], calls[2][1]) and abs(float(calls[0][1] @ calls[1][1].T)) < 0.3
    known = Roster("net", 0.4)
    cast = as_stand_ins(invert_face, same_strangers(known))
    for identity, index in ((ben, 0), (anna, 0), (ben, 1)):  # the first is the probe of the speed
        cast(crops, identity, index)(-4.0)
    assert torch.equal(calls[3][1], calls[5][1]) and len(known.entries) == 2
