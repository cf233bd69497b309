"""Photos with several people as rows of a data set, with the pocket model and its detector."""

import io

import pytest
import torch
from dataset_fakes import table

from revpers_core.cli.main import main
from revpers_core.faces.registry import detector
from revpers_core.lab.clips import scene
from revpers_core.media import images

pytest.importorskip("diffusers")


def png(image: torch.Tensor) -> bytes:
    file = io.BytesIO()
    images.to_pil(image).save(file, "PNG")
    return file.getvalue()


def test_boxes_and_keep_through_a_detector(tmp_path):
    """Who is kept stays to the last bit; a face whose box is told is dealt with even where the detector is blind."""
    parquet = pytest.importorskip("pyarrow.parquet")
    photo = scene([0, 1], 1)[0]
    search = detector("pocket")
    left, right = sorted(([float(edge) for edge in face.box] for face in search(photo)), key=lambda box: box[0])
    veiled = photo.clone()
    veiled[:, :, :160] = 0.55 + 0.12 * (veiled[:, :, :160] - 0.55)
    assert [face.box[0] > 160 for face in search(veiled)] == [True]
    rows = [
        {"id": "both", "image": png(photo), "keep": None, "boxes": None},
        {"id": "right kept", "image": png(photo), "keep": [right], "boxes": None},
        {"id": "left unseen", "image": png(veiled), "keep": None, "boxes": None},
        {"id": "left told", "image": png(veiled), "keep": None, "boxes": [left]},
    ]
    table(tmp_path / "in/a.parquet", rows)
    (tmp_path / "secret").write_bytes(bytes(32))
    call = ["dataset", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--secret", str(tmp_path / "secret")]
    assert main([*call, "--detector", "pocket", "--steps", "4", "--guidance", "-8"]) == 1
    (file,) = (tmp_path / "out").glob("*.parquet")
    results = {row["id"]: row for row in parquet.read_table(file).to_pylist()}
    failed = results.pop("left told")
    assert failed["image"] is None and "the recogniser cannot tell whose" in failed["reason"], (
        "too faint to be replaced"
    )
    changed = {}
    for row in rows[:3]:
        before, after = (images.read(io.BytesIO(data)) for data in (row["image"], results[row["id"]]["image"]))
        difference = (before - after).abs().amax(0)[:125]  # without the demo's word at the foot
        changed[row["id"]] = bool((difference[:, :150] > 0).any()), bool((difference[:, 170:] > 0).any())
    assert changed == {"both": (True, True), "right kept": (True, False), "left unseen": (False, True)}
