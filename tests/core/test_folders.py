"""What is a picture in a folder, what is a result of an earlier run, and whose result a file is."""

import json
import os
from pathlib import Path

import pytest

from revpers_core.datasets import folders
from revpers_core.datasets.folders import Task, append_record, digest, finished, is_finished, tasks
from revpers_core.media import folder as media_folder
from revpers_core.media import images
from revpers_core.media.folder import pictures, scan

SETTINGS = {"steps": 3}


def put(home: Path, *names: str, data: bytes = b"") -> None:
    for name in names:
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_bytes(data or os.fsencode(name))


def names(paths, home):
    return [path.relative_to(home).as_posix() for path in paths]


def test_all_kinds_are_found_and_the_others_are_counted(tmp_path, caplog):
    put(tmp_path, "a.JFIF", "b.jpe", "c.avif", "d.gif", "e.jp2", "f.png", ".hidden.png", ".git/g.png")
    assert scan(tmp_path).others.total() == 0
    put(tmp_path, "x.txt", "in/y.txt", "z.mp4", "w.heic", "README")
    contents = scan(tmp_path)
    assert names(contents.pictures, tmp_path) == ["a.JFIF", "b.jpe", "c.avif", "d.gif", "e.jp2", "f.png"]
    assert contents.others == {".txt": 2, ".mp4": 1, ".heic": 1, "without an ending": 1}
    assert pictures(tmp_path) == contents.pictures
    said = "5 files are no pictures that can be read and are left out (1 .heic, 1 .mp4, 2 .txt, 1 without an ending)"
    assert f"{tmp_path}: {said}; .heic: pip install pillow-heif" in caplog.text


def test_links_are_followed_once_each(tmp_path):
    put(tmp_path, "in/b/one.png", "far/two.png")
    home = tmp_path / "in"
    (home / "a").symlink_to(home / "b")  # b itself comes under its own name
    (home / "b" / "round").symlink_to(home)
    (home / "z").symlink_to(tmp_path / "far")
    (home / "lone.png").symlink_to(tmp_path / "far/two.png")
    assert names(scan(home).pictures, home) == ["b/one.png", "lone.png", "z/two.png"]
    (tmp_path / "link").symlink_to(home)
    assert len(scan(tmp_path / "link").pictures) == 3


def test_what_cannot_be_opened_is_no_silence(tmp_path, monkeypatch):
    """A link to nowhere, a folder without permission: each is a picture that cannot be read."""
    put(tmp_path, "in/one.png", "in/shut/two.png")
    (tmp_path / "in/gone.jpg").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "in/pipe.png")
    real = os.scandir

    def scandir(path):
        if str(path).endswith("shut"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(media_folder.os, "scandir", scandir)
    found = scan(tmp_path / "in").pictures
    assert names(found, tmp_path) == ["in/gone.jpg", "in/one.png", "in/shut"]
    with pytest.raises(ValueError, match=r"shut: it cannot be read"):
        images.read(found[2])


def write_result(output: Path, task: Task, data: bytes = b"result", source: str | None = None) -> None:
    put(task.output.parent, task.output.name, data=data)
    append_record(output, task, SETTINGS, source or digest(task.source), {"verdict": "unverified"})


def test_a_result_stands_for_these_very_bytes(tmp_path):
    put(tmp_path, "in/a.png", data=b"Ann")
    (task,) = tasks([tmp_path / "in"], tmp_path / "out")
    write_result(tmp_path / "out", task)
    done = finished(tmp_path / "out", SETTINGS)
    assert is_finished(task, done) and not is_finished(task, finished(tmp_path / "out", {"steps": 4}))
    old = task.source.stat()
    task.source.write_bytes(b"Bob")
    os.utime(task.source, ns=(old.st_atime_ns, old.st_mtime_ns))  # same name, same size, same time: another person
    assert not is_finished(task, done)
    task.source.write_bytes(b"Ann")
    os.utime(task.source, (2e9, 2e9))
    assert is_finished(task, done), "touched, but the same photo"


def test_a_file_that_came_in_a_results_place_is_neither_trusted_nor_lost(tmp_path):
    put(tmp_path, "in/a.png")
    (task,) = tasks([tmp_path / "in"], tmp_path / "out")
    write_result(tmp_path / "out", task)
    task.output.write_bytes(b"somebody else's result, or an hour's work by hand")
    with pytest.raises(ValueError, match=r"a_anonymous\.png is not what was made of it: move that file away"):
        is_finished(task, finished(tmp_path / "out", SETTINGS))
    task.output.unlink()
    assert not is_finished(task, finished(tmp_path / "out", SETTINGS))


@pytest.mark.parametrize("where", ["in", "in/out", ".", "elsewhere"])
def test_run_twice_wherever_the_output_is(where, tmp_path):
    """The second run has the same tasks as the first, and all of them are finished."""
    put(tmp_path, "in/a.png", "in/sub/b.jpg")
    home, output = tmp_path / "in", tmp_path / where
    first = tasks([home], output)
    assert [task.name for task in first] == ["a.png", "sub/b.jpg"]
    for task in first:
        write_result(output, task)
    again = tasks([home], output)
    assert again == first and all(is_finished(task, finished(output, SETTINGS)) for task in again)
    other = tasks([home], tmp_path / "in/another")
    assert [task.name for task in other] == ["a.png", "sub/b.jpg"], "results in another output folder"


def test_a_photo_in_a_results_place_is_a_photo(tmp_path):
    put(tmp_path, "in/a.png")
    (task,) = tasks([tmp_path / "in"], tmp_path / "in")
    write_result(tmp_path / "in", task)
    task.output.write_bytes(b"a photo whose name looks like a result's")
    assert [one.name for one in tasks([tmp_path / "in"], tmp_path / "in")] == ["a.png", "a_anonymous.png"]


def test_a_manifest_that_was_cut_off(tmp_path):
    put(tmp_path, "in/a.png", "in/b.png")
    output = tmp_path / "out"
    one, other = tasks([tmp_path / "in"], output)
    write_result(output, one)
    with (output / "manifest.jsonl").open("ab") as file:
        file.write(b'[]\n{"image": "b.png", "sou\xff\0\0')
    write_result(output, other)
    done = finished(output, SETTINGS)
    assert is_finished(one, done) and is_finished(other, done)
    append_record(output, one, SETTINGS, None, {"error": "no"})
    assert not is_finished(one, finished(output, SETTINGS)), "the last line counts"


def test_names_that_are_no_text(tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    put(tmp_path, f"in/{name}")
    (task,) = tasks([tmp_path / "in"], tmp_path / "out")
    write_result(tmp_path / "out", task)
    assert is_finished(task, finished(tmp_path / "out", SETTINGS))
    assert json.loads((tmp_path / "out/manifest.jsonl").read_text())["image"] == name


def test_the_same_folder_twice_is_one_task_a_picture(tmp_path):
    put(tmp_path, "in/a.png")
    assert len(tasks([tmp_path / "in", tmp_path / "in"], tmp_path / "out")) == 1
    assert folders.MANIFEST == "manifest.jsonl"
