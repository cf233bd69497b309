"""Where training begins: photographs that the repository keeps, and networks as they ship."""

from pathlib import Path

import numpy as np
import pytest
import torch

from revpers_core import pocket
from revpers_core.faces.onnx_session import open_network
from revpers_core.lab import onnx_files
from revpers_core.lab.augment import face_input
from revpers_core.lab.data import Photos
from revpers_core.lab.detector import Detector
from revpers_core.lab.recognisers import Judge, Recogniser, Regressors
from revpers_core.lab.world import packed
from revpers_core.lab.world.dataset import write
from revpers_core.lab.world.shot import training_shot
from revpers_core.media import gallery


@pytest.fixture(scope="module")
def faces() -> torch.Tensor:
    return torch.stack([gallery.aligned_face(person) for person in range(6)])


@pytest.mark.parametrize(
    ("net", "path", "shown"),
    [
        (Recogniser, pocket.FACE_MODEL, face_input), (Judge, pocket.JUDGE, face_input),
        (Regressors, pocket.FACTORS, lambda x: x), (Detector, pocket.DETECTOR, lambda x: 255 * x),
    ],
)  # fmt: skip
def test_a_network_goes_on_from_its_file(faces, net, path, shown) -> None:
    images, session, fresh = shown(faces), open_network(path, "cpu"), net()
    onnx_files.read(fresh, path, images)
    assert fresh.training
    expected = session.run(None, {session.get_inputs()[0].name: images[:1].numpy()})
    with torch.no_grad():
        outputs = fresh.eval()(images[:1])
    for wanted, actual in zip(expected, outputs if isinstance(outputs, tuple) else (outputs,), strict=True):
        torch.testing.assert_close(actual, torch.from_numpy(wanted), rtol=1e-4, atol=1e-5 * float(np.abs(wanted).max()))


def test_photographs_are_kept_and_put_back(tmp_path: Path) -> None:
    seeds = [training_shot(person, photo) for person in range(2) for photo in range(4)]
    pictures = [gallery.photo(k // 4, k % 4).crop(160).permute(1, 2, 0) for k in range(8)]
    arrays = {
        "images": np.stack([(255 * picture).round().byte().numpy() for picture in pictures]),
        "points": np.random.default_rng(0).random((8, 5, 2)).astype(np.float32),
        "box": np.zeros((8, 4), np.float32),
        "person": np.array([person for person, _ in seeds]), "shot": np.array([shot for _, shot in seeds]),
    }  # fmt: skip
    rendered, kept, there = tmp_path / "rendered", tmp_path / "kept", tmp_path / "there"
    rendered.mkdir()
    write(rendered / "people-00000.npz", arrays)
    assert (packed.pack(rendered, kept), packed.pack(rendered, kept)) == (1, 0)
    assert (packed.unpack(there, kept), packed.unpack(there, kept)) == (1, 0)
    before, after = Photos(rendered), Photos(there)
    for name in ("person", "points", "factors"):
        assert torch.equal(getattr(before.annotations, name), getattr(after.annotations, name))
    every = torch.arange(8)
    assert 0 < float((before[every] - after[every]).abs().mean()) < 0.01


def test_the_kept_photographs_are_of_people_whom_nothing_measures() -> None:
    files = sorted(packed.KEPT.glob("people-*.npz"))
    persons = np.concatenate([np.load(path)["person"] for path in files])
    assert len(files) >= 37 and persons.max() < 1_000_000
    assert all(np.load(path)["ends"][-1] == len(np.load(path)["avif"]) for path in files)
