"""Folders as people have them, through the command: nothing about one picture ends a run, every message names it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import mutated_pictures
import numpy as np
import pytest
from PIL import Image

from revpers_core.cli import anonymize
from revpers_core.cli.main import main
from revpers_core.media import gallery, images
from revpers_core.media.folder import scan

FAST = ["--steps", "2", "--skip", "0.5", "--guidance", "-10"]


@pytest.fixture(autouse=True)
def here(random_pocket, offline, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_VERBOSITY", "DIFFUSERS_VERBOSITY"):
        monkeypatch.setenv(name, "1")  # the command sets them: put them back


def face(path, seed=0, **rest):
    pixels = np.random.default_rng(seed).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    Path(path).parent.mkdir(exist_ok=True, parents=True)
    Image.fromarray(pixels).save(path, **rest)


def run(capsys, *arguments):
    code = main([*map(str, arguments)])
    return code, *capsys.readouterr()


def lines(path) -> list[dict]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def test_what_the_disk_refuses_is_said_with_what_to_do(capsys):
    face("in/whole.png")
    Path("file").write_text("x")
    code, _, err = run(capsys, "anonymize", "in", "-o", "file/below", *FAST)
    assert code == 1 and err == "revpers: file/below: a file stands where a folder must be: name another folder\n"
    name = "x" * 245 + ".png"
    face(f"in/{name}")
    code, out, err = run(capsys, "anonymize", "in", "-o", "out", "--json", *FAST)
    assert code == 1 and "longer than files here may have: rename the picture" in err and "in/whole.png" in out
    code, _, err = run(capsys, "anonymize", "in", "-o", "out", "--json", *FAST)
    assert "longer than files" in err, "told again, and the other is not made again"


def test_our_own_manifest_is_not_counted_among_what_is_left_out(capsys):
    face("in/whole.png")
    assert run(capsys, "anonymize", "in", "-o", "in", *FAST)[0] == 0
    Path("in/notes.txt").write_text("x")
    assert Path("in/manifest.jsonl").is_file() and scan(Path("in")).others == {".txt": 1}


def test_damaged_files_of_every_kind_in_a_folder(capsys, tmp_path):
    """Each bad one is named once, on one line, with its reason; the others are made; the manifest tells the same."""
    Path("in").mkdir()
    kinds = mutated_pictures.KINDS
    for kind, number, data in mutated_pictures.files(3, 0, 2 * len(kinds)):
        Path("in", mutated_pictures.name_of(kind, number)).write_bytes(data)
    face("in/whole.png")
    code, out, err = run(capsys, "anonymize", "in", "-o", "out", "--json", *FAST)
    result = {json.loads(line)["image"] for line in out.splitlines()}
    refused = dict(line.removeprefix("revpers: ").split(": ", 1) for line in err.splitlines())
    assert code == 1 and "in/whole.png" in result and "Traceback" not in err
    assert result.isdisjoint(refused) and len(result | set(refused)) == 2 * len(kinds) + 1
    errors = {one["image"]: one.get("error") for one in lines("out/manifest.jsonl")}
    assert {f"in/{name}" for name, error in errors.items() if error} == set(refused)
    assert all(error.strip() and str(tmp_path) not in error for error in errors.values() if error)
    code, _, again = run(capsys, "audit", "in", "out", "--judge", "pocket", "--crops", "--json")
    assert code == 1 and again == ""


def test_a_fault_of_ours_in_one_picture_does_not_end_the_run(capsys, monkeypatch):
    face("in/a.png")
    face("in/b.png", seed=1)
    real = anonymize.anonymize_file

    def sometimes(job, source, output, on_step):
        if source.name == "a.png":
            raise KeyError("oops")
        return real(job, source, output, on_step)

    monkeypatch.setattr(anonymize, "anonymize_file", sometimes)
    code, out, err = run(capsys, "anonymize", "in", "-o", "out", "--json", *FAST)
    assert code == 1 and [json.loads(line)["image"] for line in out.splitlines()] == ["in/b.png"]
    assert err == "revpers: in/a.png: a fault in revpers, please report it: KeyError: 'oops'\n"


def test_another_photo_of_the_same_name_size_and_time_is_made_again(capsys):
    face("in/a.bmp", seed=1)
    call = ["anonymize", "in", "-o", "out", "--json", "--seed", 3, *FAST]
    assert run(capsys, *call)[0] == 0
    first, old = images.read("out/a_anonymous.png"), Path("in/a.bmp").stat()
    assert run(capsys, *call) == (0, "", "")
    face("in/a.bmp", seed=2)
    os.utime("in/a.bmp", ns=(old.st_atime_ns, old.st_mtime_ns))
    assert Path("in/a.bmp").stat().st_size == old.st_size
    code, out, _ = run(capsys, *call)
    assert code == 0 and len(out.splitlines()) == 1 and not images.read("out/a_anonymous.png").equal(first)


def test_a_result_of_another_folder_does_not_stand_for_this_one(capsys):
    """A lone picture of the same name has written over it since."""
    face("in/a.png", seed=1)
    face("other/a.png", seed=2)
    call = ["anonymize", "in", "-o", "out", "--seed", 3, *FAST]
    assert run(capsys, *call)[0] == 0
    assert run(capsys, "anonymize", "other/a.png", "-o", "out", *FAST)[0] == 0
    code, out, err = run(capsys, *call)
    assert (code, out) == (1, "") and "in/a.png: out/a_anonymous.png is not what was made of it" in err
    Path("out/a_anonymous.png").unlink()
    assert run(capsys, *call)[0] == 0


@pytest.mark.parametrize("output", ["in", ".", "in/sub"])
def test_output_around_the_input(output, capsys):
    """Above it, the folder itself, within it: photos stay as they were, and a second run finds nothing to do."""
    face("in/a.png", seed=1)
    face("in/sub/b.png", seed=2)
    before = Path("in/a.png").read_bytes()
    call = ["anonymize", "in", "-o", output, "--json", "--seed", 3, *FAST]
    code, out, _ = run(capsys, *call)
    names = [json.loads(line)["image"] for line in out.splitlines()]
    assert code == 0 and names == (["in/a.png"] if output == "in/sub" else ["in/a.png", "in/sub/b.png"])
    assert run(capsys, *call)[:2] == (0, "") and Path("in/a.png").read_bytes() == before


def command(*arguments) -> subprocess.CompletedProcess:
    """In a process of its own, whose terminal writes ASCII."""
    plain = {**os.environ, "PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}
    call = [sys.executable, "-m", "revpers_core.cli", *map(os.fsencode, arguments)]
    return subprocess.run(call, capture_output=True, env=plain)


def test_names_outside_the_terminals_encoding():
    for name in ("in/Ren\u00e9 \U0001f600.png", os.fsdecode(b"in/caf\xe9.png")):
        Path(name).parent.mkdir(exist_ok=True)
        images.to_pil(gallery.aligned_face(3, 0)).save(name)  # the command's own pocket model sees it
    Path("in/Zo\u00eb.jpg").write_text("no picture")
    Path("in/notes.txt").write_text("no picture")
    done = command("anonymize", "in", "-o", "out", *FAST)
    assert done.returncode == 1 and b"Traceback" not in done.stderr, done.stderr
    assert len(done.stdout.splitlines()) == 2 and len(list(Path("out").glob("*.png"))) == 2
    messages = done.stderr.decode("ascii").splitlines()
    assert messages[0] == "revpers: in: 1 files are no pictures that can be read and are left out (1 .txt)"
    assert (
        messages[1].startswith("revpers: in/Zo")
        and messages[1].endswith("use PNG, JPEG or WebP")
        and len(messages) == 2
    )
    assert command("anonymize", "in", "-o", "out", *FAST).stdout == b""


def test_an_audit_of_names_that_are_no_text(capsys):
    """Its picture has their names too."""
    face(os.fsdecode(b"in/caf\xe9.png"))
    face(os.fsdecode(b"out/caf\xe9_anonymous.png"), seed=5)
    _, out, err = run(capsys, "audit", "in", "out", "--judge", "pocket", "--crops", "-o", "told")
    assert err == "" and "caf" in out and images.read("told/audit.png").shape[0] == 3
    assert lines("told/audit.json")[0]["faces"][0]["image"] == os.fsdecode(b"caf\xe9.png")


def test_faces_are_listed_in_folders_too(capsys):
    face("in/a.png")
    Path("in/b.png").write_text("no picture")
    code, out, err = run(capsys, "faces", "in", "--detector", "pocket", "--json")
    assert code == 1 and [json.loads(line)["image"] for line in out.splitlines()] == ["in/a.png"]
    assert "in/b.png: this is not a picture" in err


def test_a_reference_photo_is_named(capsys):
    face("me.png")
    Path("ann.png").write_text("no picture")
    call = ["anonymize", "me.png", "-o", "out", "--detector", "pocket", *FAST, "--keep"]
    assert run(capsys, *call, "ann.png")[2].startswith("revpers: ann.png: this is not a picture")
    Image.new("RGB", (64, 64)).save("bob.png")
    assert run(capsys, *call, "bob.png")[2].startswith("revpers: bob.png: no face was found in this reference photo")
