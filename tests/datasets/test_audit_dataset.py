"""A data set's audit block by block: every kind, the toolbox's layout, groups, and what cannot be compared."""

import json
from pathlib import Path

import pytest
import torch
from dataset_fakes import table
from PIL import Image

from revpers_core.cli.main import main
from revpers_core.datasets.audit_faces import faces_file, read_pairs
from revpers_core.datasets.audit_task import write_faces
from revpers_core.media import gallery, images

PEOPLE, PHOTOS = 6, 2


def face(person: int, photo: int) -> Image.Image:
    return images.to_pil(gallery.aligned_face(person, photo))


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> tuple[Path, Path]:
    """Six people's two photos, as LFW keeps them, and "results": everybody's are the next person's."""
    root = tmp_path_factory.mktemp("lfw")
    for k in range(PEOPLE):
        for n in range(PHOTOS):
            for kind, person in (("originals", k), ("results/data", (k + 1) % PEOPLE)):
                path = root / kind / f"p{k}/p{k}_{n + 1:04}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                images.write_png(face(person, n), path)
    (root / "results/config.yaml").write_text("method_name: test\n")
    return root / "originals", root / "results"


def audit(capsys, *arguments) -> tuple[int, dict]:
    call = ["audit", *map(str, arguments), "--judge", "pocket", "--json", "--crops", "--block-rows", "5"]
    code = main(call)
    out, err = capsys.readouterr()
    assert out, err
    return code, json.loads(out)


def test_the_toolbox_layout_is_audited(folders, capsys, tmp_path):
    originals, results = folders
    code, message = audit(capsys, originals, results, "--stream", "-o", tmp_path / "out")
    (one,) = message["judges"].values()
    assert message["rows"] == message["faces"] == PEOPLE * PHOTOS and message["problems"] == {}
    assert (code == 0) == (one["known"]["value"] == 0) and one["known"]["value"] < 0.5
    page = (tmp_path / "out/audit.html").read_text()
    assert page.startswith("<!doctype html>") and "http" not in page
    assert json.loads((tmp_path / "out/audit.json").read_text()) == message
    assert not list((tmp_path / "out").rglob("*.npz"))  # embeddings recognise people
    code, same = audit(capsys, originals, originals, "--stream", "-o", tmp_path / "same")
    (one,) = same["judges"].values()
    assert code == 1 and one["known"]["value"] == one["own_mean"] == 1 and one["share_above_0.9"]["value"] == 1


def test_tables_are_audited_by_group_and_rows_that_cannot_be_are_told(folders, capsys, tmp_path):
    originals, results = folders
    rows = {"in": [], "out": []}
    for k in range(PEOPLE):
        for n in range(PHOTOS):
            name = f"p{k}/p{k}_{n + 1:04}.png"
            labels = {"id": name, "who": f"p{k}", "skin": "light" if k % 2 else "dark"}
            rows["in"].append({**labels, "image": (originals / name).read_bytes()})
            rows["out"].append({"id": name, "image": (results / "data" / name).read_bytes()})
    rows["out"][3]["image"] = None
    rows["out"][7]["image"] = b"no picture"
    del rows["out"][10]
    for name, part in rows.items():
        table(tmp_path / name / "a.parquet", part)
    columns = ["--person-column", "who", "--group-column", "skin"]
    code, labels = audit(capsys, tmp_path / "in", tmp_path / "out", "-o", tmp_path / "page", *columns)
    assert code == 1 and labels["rows"] == 12 and labels["faces"] == 9 and set(labels["groups"]) == {"light", "dark"}
    reasons = labels["problems"]
    assert sum(reasons.values()) == 3 and reasons["there is no result"] == 1
    assert any("no image" in reason for reason in reasons) and any("not a picture" in reason for reason in reasons)
    assert labels["pairs"] > 0


def test_embeddings_are_the_owners_alone_while_they_are_there(tmp_path):
    write_faces(tmp_path, 0, [], [[[], []]])
    assert faces_file(tmp_path, 0).is_file() and faces_file(tmp_path, 0).parent.stat().st_mode & 0o777 == 0o700


def test_lfw_pairs_are_read(tmp_path):
    (tmp_path / "pairs.csv").write_text("name,imagenum1,imagenum2,\np0,1,2,\np1,1,p2,2\ngone,1,2,\n")
    ids = [f"p{k}/p{k}_{n:04}.jpg" for k in range(3) for n in (1, 2)]
    pairs = read_pairs(tmp_path / "pairs.csv", ids)
    assert torch.equal(pairs.i, torch.tensor([0, 2])) and torch.equal(pairs.j, torch.tensor([1, 5]))
    assert pairs.same.tolist() == [True, False]
    with pytest.raises(ValueError, match="none of its pairs"):
        read_pairs(tmp_path / "pairs.csv", ["x.jpg"])
