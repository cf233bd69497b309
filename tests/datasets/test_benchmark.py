"""The paper's tables as one command, on rendered faces in the places of CelebA-HQ's."""

import json

import pytest
import torch

from revpers_core.audit.protocol import JudgeFaces
from revpers_core.audit.published import PUBLISHED, published_table
from revpers_core.cli.benchmark import first_of
from revpers_core.cli.main import main
from revpers_core.lab import onnx_files
from revpers_core.media import gallery, images


class Means(torch.nn.Module):
    """In the place of the user's Inception: what is in each quarter of a picture, in hundredths."""

    def forward(self, image):
        return 100 * torch.nn.functional.avg_pool2d(image, 8).flatten(1)


@pytest.mark.parametrize("metric", ["cosine", "euclid"])
def test_who_is_first_among_all_originals(metric):
    """Two results at their own originals, one at another's, one that is no number (which counts as found)."""
    before = torch.eye(4, 8)
    after = before[[0, 1, 0, 3]].clone()
    after[3] = float("nan")
    assert first_of(JudgeFaces("j", metric, 0.5, before, after)).value == 0.75


def test_others_figures_are_those_of_the_papers_table():
    heads, rows = published_table("ffhq")
    assert heads[1:] == ["re-ID AdaFace %", "re-ID FaceNet %", "expression", "gaze", "pose", "FID"]
    assert dict((row[0], row[1:]) for row in rows)["RiDDLE"] == (0.510, 0.042, 10.04, 0.215, 0.081, 69.3)
    assert len(rows) == 5 and len(published_table("celebahq")[1]) == 5 and len(PUBLISHED) == 6


def test_the_command(tmp_path, capsys, monkeypatch):
    """Anonymizes, measures, resumes; a folder of results is measured as it is."""
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_VERBOSITY", "DIFFUSERS_VERBOSITY"):
        monkeypatch.setenv(name, "1")
    (tmp_path / "in").mkdir()
    for k in range(3):
        images.write_png(images.to_pil(gallery.aligned_face(k, 0)), tmp_path / f"in/{k}.png")
    onnx_files.write(Means(), torch.zeros(1, 3, 16, 16), tmp_path / "fid.onnx", "image", ["features"])
    (tmp_path / "secret").write_bytes(bytes(32))  # a drawn one may draw strangers that the judge takes for the source
    call = ["benchmark", "celebahq", str(tmp_path / "in"), "--judge", "pocket", "--secret", str(tmp_path / "secret")]
    code = main([*call, "-o", str(tmp_path / "out"), "--steps", "2", "--skip", ".7", "--guidance", "-6"])
    said = capsys.readouterr().out
    assert code == 0 and "| FALCO |" in said and "NullFace's comparison" in said
    report = json.loads((tmp_path / "out/benchmark.json").read_text())
    assert report["faces"] == 3 and report["failed"] == 0 and report["FID"] is None
    assert len(list((tmp_path / "out/results").glob("*.png"))) == 3 and not list(tmp_path.rglob("*.npz"))
    assert main([*call, "-o", str(tmp_path / "same"), "--results", str(tmp_path / "in"), "--json"]) == 0
    (one,) = json.loads(capsys.readouterr().out.splitlines()[-1])["reidentified"].values()
    assert one["value"] == 1
    distances = []
    for results in ("in", "out/results"):
        more = ["--results", str(tmp_path / results), "--fid", str(tmp_path / "fid.onnx")]
        main([*call, "-o", str(tmp_path / "fid"), *more, "--json"])
        distances.append(json.loads(capsys.readouterr().out.splitlines()[-1])["FID"])
    assert distances[0] == 0 < distances[1]
