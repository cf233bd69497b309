"""Data sets of three kinds through two engines: the same row gives the same result, and nothing is lost."""

import errno
import io
import json
import os
import tarfile
from functools import partial
from pathlib import Path

import dataset_fakes as fakes
import numpy as np
import pytest
from dataset_fakes import add, picture, table
from PIL import Image

from revpers_core.cli.main import main
from revpers_core.datasets import task as tasks
from revpers_core.datasets.checkpoints import Checkpoints, read_secret, settings_hash
from revpers_core.datasets.encode import Encoder
from revpers_core.datasets.engines import Processes, run_here
from revpers_core.datasets.records import Columns, blocks_of
from revpers_core.datasets.run import open_sink, open_source, run_blocks, summary
from revpers_core.datasets.task import AnonymizeTask
from revpers_core.datasets.worker import face_of_box, row_seed
from revpers_core.media import gallery

SECRET = bytes(range(32))
LABELS = {"settings_hash": "abc", "version": "1"}
GREY = Image.new("RGB", (fakes.SIDE, fakes.SIDE), "grey")


def as_bytes(image: Image.Image) -> bytes:
    whole = io.BytesIO()
    image.save(whole, "PNG")
    return whole.getvalue()


def work(root, output, *, engine=run_here, size=3, load=fakes.load, columns=None, settings=None, retry=False):
    source = open_source(root, columns or Columns(), "auto", output)
    sink, points = open_sink(source, output, ".png", LABELS), Checkpoints(output)
    points.begin(settings or {"steps": 2})
    task = AnonymizeTask(source, sink, output, load, Encoder("png"), SECRET)
    return run_blocks(engine, task, sink, blocks_of(source, size), points, lambda progress: None, retry)


def noting(asked: list[int]):
    """The local engine, and the numbers of the blocks that it was asked for."""
    return lambda task, blocks: asked.extend(block.number for block in blocks) or run_here(task, blocks)


def rows(output: Path) -> dict[str, dict]:
    """Every row of an output of any kind, by its id; "image" as pixels. An id that comes twice is an error."""
    found: dict[str, dict] = {}

    def put(row):
        assert row["id"] not in found
        found[row["id"]] = row

    for path in sorted(output.glob("*.parquet")):
        for row in pytest.importorskip("pyarrow.parquet").read_table(path).to_pylist():
            put(row)
    for path in sorted(output.glob("*.tar")):
        with tarfile.open(path) as tar:
            data = {member.name: tar.extractfile(member).read() for member in tar}
        for name, content in data.items():
            if name.endswith(".json"):
                put({**json.loads(content), "image": data.get(name.replace(".json", ".png"))})
    if (output / "manifest.jsonl").is_file():
        for line in (output / "manifest.jsonl").read_text().splitlines():
            row = json.loads(line)
            path = (output / row["id"]).with_suffix(".png")
            put({**row, "image": path.read_bytes() if path.is_file() else None})
    return found


def pixels(row) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(row["image"])))


@pytest.mark.parametrize("kind", ["folder", "parquet", "webdataset"])
def test_the_same_kind_comes_out(kinds, tmp_path, kind):
    done = work(getattr(kinds, kind), tmp_path / "out")
    found = rows(tmp_path / "out")
    assert (done.rows, done.failed, len(found)) == (10, 0, 10)
    for k in range(10):
        row = found[f"r{k}.png" if kind == "folder" else f"r{k}"]
        assert {name: row[name] for name in ("status", "reason", "settings_hash", "version")} == {
            "status": "ok", "reason": "", "settings_hash": "abc", "version": "1",
        }  # fmt: skip
        (face,) = row["faces"]
        assert row["verdict"] == "unverified" and face["guidance"] == -5
        before = np.asarray(Image.open(io.BytesIO(picture(k))))
        assert pixels(row).shape == before.shape and np.abs(pixels(row).astype(int) - before).mean() > 30
        assert Image.open(io.BytesIO(row["image"])).info == {}
        fields = {name: value for name, value in row.items() if name != "image"}
        assert not any(word in str(fields) for word in ("seed", "embedding", "http", "caption", "note"))


def test_a_row_does_not_depend_on_engine_kind_order_or_block(kinds, tmp_path):
    """Nor on who its neighbours are; another secret is another result."""
    work(kinds.parquet, tmp_path / "a", size=3)
    first = {name: row["image"] for name, row in rows(tmp_path / "a").items()}
    work(kinds.parquet, tmp_path / "b", size=4, engine=Processes(2))
    work(kinds.webdataset, tmp_path / "c", size=1)
    alone = [{"id": f"r{k}", "image": picture(k)} for k in (7, 2)]
    table(tmp_path / "few" / "x.parquet", alone)
    work(tmp_path / "few", tmp_path / "d")
    assert {name: row["image"] for name, row in rows(tmp_path / "b").items()} == first
    assert {name: row["image"] for name, row in rows(tmp_path / "c").items()} == first
    assert {name: row["image"] for name, row in rows(tmp_path / "d").items()} == {n: first[n] for n in ("r7", "r2")}
    assert row_seed(SECRET, "r1") != row_seed(SECRET, "r2") != row_seed(bytes(32), "r2")
    assert 0 <= row_seed(SECRET, "r1") < 2**62


def test_columns_are_carried_only_when_asked(kinds, tmp_path):
    work(kinds.parquet, tmp_path / "a", columns=Columns(carry=("label",)))
    found = rows(tmp_path / "a")
    assert [found[f"r{k}"]["label"] for k in range(10)] == list(range(10)) and "note" not in found["r0"]
    work(kinds.webdataset, tmp_path / "b", columns=Columns(carry=("txt",)))
    assert rows(tmp_path / "b")["r3"]["txt"] == "a caption" and "url" not in rows(tmp_path / "b")["r3"]
    with pytest.raises(ValueError, match=r"'gone'.*columns there: id, image, label, note"):
        work(kinds.parquet, tmp_path / "c", columns=Columns(carry=("gone",)))


def test_words_boxes_and_keep_are_read_from_rows(tmp_path):
    base = {"id": "x", "image": picture(1)}
    table(tmp_path / "in/a.parquet", [
        {**base, "words": "old", "boxes": None}, {**base, "id": "y", "words": None, "boxes": None},
        {**base, "id": "z", "words": None, "boxes": [[1.0, 2.0, 3.0, 4.0]]},
        {**base, "id": "w", "words": None, "boxes": [[4.0, 2.0, 3.0, 4.0]]},
    ])  # fmt: skip
    done = work(tmp_path / "in", tmp_path / "out")
    found = rows(tmp_path / "out")
    assert done.failed == 2 and not np.array_equal(pixels(found["x"]), pixels(found["y"]))
    assert "boxes and keep are for photos" in found["z"]["reason"] and found["z"]["image"] is None
    assert "x0 < x1" in found["w"]["reason"]


def test_bad_rows_fail_alone_and_say_why(tmp_path):
    whole = picture(3)
    table(tmp_path / "in/a.parquet", [
        {"id": "good", "image": picture(0)}, {"id": "half", "image": whole[: len(whole) // 2]},
        {"id": "none", "image": None}, {"id": "text", "image": b"<html>"}, {"id": "grey", "image": as_bytes(GREY)},
        {"id": "good", "image": picture(1)}, {"id": None, "image": picture(2)}, {"id": "last", "image": picture(4)},
    ])  # fmt: skip
    table(tmp_path / "in/empty.parquet", [])
    (tmp_path / "in/torn.parquet").write_bytes(b"PAR1 no table")
    done = work(tmp_path / "in", tmp_path / "out")
    parts = [row for path in sorted((tmp_path / "out").glob("*.parquet"))
             for row in pytest.importorskip("pyarrow.parquet").read_table(path).to_pylist()]  # fmt: skip
    said = [(row["id"], row["status"], row["reason"]) for row in parts]
    assert [(name, status) for name, status, _ in said] == [
        ("good", "ok"), ("half", "failed"), ("none", "failed"), ("text", "failed"), ("grey", "failed"),
        ("good", "failed"), ("a.parquet#6", "failed"), ("last", "ok"), ("torn.parquet", "failed"),
    ]  # fmt: skip
    assert all((row["image"] is None) == (row["status"] == "failed") for row in parts)
    wanted = ("", "cannot be read", "no image", "not a picture", "no face", "same id", "no id", "", "parquet")
    assert [words in reason for (_, _, reason), words in zip(said, wanted, strict=True)] == [True] * 9
    assert (done.rows, done.failed, sum(done.reasons.values())) == (9, 7, 7)


def test_missing_columns_are_an_error_before_anything_is_written(tmp_path):
    table(tmp_path / "in/a.parquet", [{"name": "x", "image": picture(0)}])
    with pytest.raises(ValueError, match=r"no column for the id: name it with --id-column .columns there: name, image"):
        work(tmp_path / "in", tmp_path / "out")
    work(tmp_path / "in", tmp_path / "out2", columns=Columns(id="name"))
    with pytest.raises(ValueError, match="'img'"):
        work(tmp_path / "in", tmp_path / "out3", columns=Columns(image="img"))
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match="no row"):
        work(tmp_path / "none", tmp_path / "out4")
    with pytest.raises(ValueError, match="no such file"):
        work(tmp_path / "gone", tmp_path / "out5")


def test_a_shard_that_is_cut_off_loses_only_its_end(kinds, tmp_path):
    path = kinds.webdataset / "00001.tar"
    path.write_bytes(path.read_bytes()[:-25000])
    (kinds.webdataset / "00002.tar").write_bytes(b"")
    with tarfile.open(kinds.webdataset / "00003.tar", "w"):
        pass
    done = work(kinds.webdataset, tmp_path / "out")
    found = rows(tmp_path / "out")
    assert found["00001.tar"]["status"] == "failed" and "cannot be read to its end" in found["00001.tar"]["reason"]
    kept = [name for name, row in found.items() if row["status"] == "ok"]
    assert kept[:4] == ["r0", "r1", "r2", "r3"] and 4 < len(kept) < 10 and done.rows == len(found)


def test_samples_without_a_picture_or_with_a_broken_json_fail(tmp_path):
    (tmp_path / "in").mkdir()
    with tarfile.open(tmp_path / "in/a.tar", "w") as tar:
        add(tar, "one.json", b"{}")
        add(tar, "two.jpg", picture(1))
        add(tar, "two.json", b"{broken")
        add(tar, "d/three.png", picture(2))
    work(tmp_path / "in", tmp_path / "out")
    found = rows(tmp_path / "out")
    assert "no image" in found["one"]["reason"] and "sample cannot be read" in found["two"]["reason"]
    assert found["d/three"]["status"] == "ok"


@pytest.mark.skipif(os.name != "posix", reason="names as bytes")
def test_names_that_are_no_text(tmp_path):
    (tmp_path / "in").mkdir()
    with open(os.fsencode(tmp_path / "in") + b"/caf\xe9.png", "wb") as file:
        file.write(picture(0))
    (tmp_path / "in/same.png").write_bytes(picture(1))
    (tmp_path / "in/same.jpg").write_bytes(picture(2))
    done = work(tmp_path / "in", tmp_path / "out")
    found = rows(tmp_path / "out")
    assert found["caf\\xe9.png"]["status"] == "ok" and done.failed == 1
    assert "in the place of same.jpg's" in found["same.png"]["reason"] and found["same.jpg"]["status"] == "ok"


@pytest.mark.parametrize("kind", ["folder", "parquet", "webdataset"])
def test_a_run_goes_on_where_it_was_left(kinds, tmp_path, kind):
    """Blocks that are done are not done again; the output equals an uninterrupted run's."""
    whole, out = tmp_path / "whole", tmp_path / "out"
    work(getattr(kinds, kind), whole, size=2)
    asked: list[int] = []

    def stops(task, blocks):
        asked.extend(block.number for block in blocks)
        for k, report in enumerate(run_here(task, blocks)):
            yield report
            if k == 1:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work(getattr(kinds, kind), out, size=2, engine=stops)
    before, then = list(asked), list[int]()
    done = work(getattr(kinds, kind), out, size=2, engine=noting(then))
    assert then == before[2:] and (done.rows, done.resumed) == (10, 4)
    assert rows(out) == rows(whole)
    then.clear()
    work(getattr(kinds, kind), out, size=2, engine=noting(then))
    assert then == []


def test_what_changed_is_done_again(kinds, tmp_path):
    out = tmp_path / "out"
    work(kinds.folder, out, size=2)
    before = rows(out)
    (kinds.folder / "r3.png").write_bytes(picture(33))
    (out / "r8.png").unlink()
    (kinds.folder / "r9.png").unlink()
    asked: list[int] = []
    done = work(kinds.folder, out, size=2, engine=noting(asked))
    after = rows(out)
    assert asked == [1, 4] and done.rows == 9 and not (out / "r9.png").exists()
    assert {name for name in after if after[name]["image"] != before[name]["image"]} == {"r3.png"}


def test_another_photo_of_the_same_name_size_and_time_is_another_photo(kinds, tmp_path):
    out, path = tmp_path / "out", kinds.folder / "r3.png"
    path.write_bytes(picture(3).ljust(9000, b"\0"))
    seen = path.stat()
    work(kinds.folder, out, size=2)
    before = rows(out)
    path.write_bytes(picture(33).ljust(9000, b"\0"))
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (seen.st_size, seen.st_mtime_ns)
    work(kinds.folder, out, size=2)
    after = rows(out)
    assert {name for name in after if after[name]["image"] != before[name]["image"]} == {"r3.png"}


def test_failed_rows_are_tried_again_on_request(kinds, tmp_path):
    (kinds.folder / "r5.png").write_bytes(as_bytes(GREY))
    out, asked = tmp_path / "out", list[int]()
    assert work(kinds.folder, out, size=2).failed == 1
    assert work(kinds.folder, out, size=2, engine=noting(asked)).failed == 1 and asked == []
    assert work(kinds.folder, out, size=2, engine=noting(asked), retry=True).failed == 1 and asked == [2]


def test_an_output_of_others_is_not_touched(kinds, tmp_path):
    out = tmp_path / "out"
    work(kinds.parquet, out)
    with pytest.raises(ValueError, match=r"other settings .steps was 2, now 3"):
        work(kinds.parquet, out, settings={"steps": 3})
    with pytest.raises(ValueError, match="not empty"):
        work(kinds.parquet, kinds.folder)
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="is a file"):
        work(kinds.parquet, tmp_path / "file")
    assert settings_hash({"a": 1, "b": 2}) == settings_hash({"b": 2, "a": 1}) != settings_hash({"a": 1, "b": 3})


def test_a_full_disk_ends_the_run_and_loses_nothing(kinds, tmp_path, monkeypatch):
    from revpers_core.datasets import parquet

    wrote, real = [], parquet.write_whole

    def full(path, data):
        if len(wrote) == 2:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        wrote.append(path)
        real(path, data)

    out = tmp_path / "out"
    monkeypatch.setattr(parquet, "write_whole", full)
    with pytest.raises(RuntimeError, match=r"No space left.*6 of 10 rows.*run the same command again"):
        work(kinds.parquet, out)
    monkeypatch.setattr(parquet, "write_whole", real)
    assert len(list(out.glob("*.parquet"))) == 2
    done = work(kinds.parquet, out)
    assert (done.rows, done.resumed) == (10, 6) and len(rows(out)) == 10


def test_a_worker_that_dies_is_replaced_and_its_row_fails_at_last(tmp_path):
    """The others of its block come out as ever."""
    image = Image.open(io.BytesIO(picture(5)))
    image.putpixel((0, 0), fakes.DEADLY)
    data = [{"id": f"r{k}", "image": as_bytes(image) if k == 4 else picture(k)} for k in range(6)]
    table(tmp_path / "in/a.parquet", data)
    done = work(tmp_path / "in", tmp_path / "out", engine=Processes(1), load=fakes.load_deadly)
    found = rows(tmp_path / "out")
    assert (done.rows, done.failed) == (6, 1) and "3 workers died" in found["r4"]["reason"]
    work(tmp_path / "in", tmp_path / "well", engine=run_here)
    well = rows(tmp_path / "well")
    assert all(found[f"r{k}"] == well[f"r{k}"] for k in range(6) if k != 4)


def test_a_worker_that_cannot_begin_says_so(kinds, tmp_path):
    with pytest.raises(RuntimeError, match="checkpoint is not there"):
        work(kinds.parquet, tmp_path / "out", engine=Processes(2), load=fakes.load_nothing)


def test_each_worker_loads_once(kinds, tmp_path):
    (tmp_path / "loads").mkdir()
    load = partial(fakes.load_counting, tmp_path / "loads")
    work(kinds.parquet, tmp_path / "out", engine=Processes(2), size=1, load=load)
    assert 1 <= len(list((tmp_path / "loads").iterdir())) <= 2


def test_known_boxes_stand_in_for_what_a_detector_misses():
    """The points of a box that was told lie where an aligned crop of that face has them."""
    from revpers_core.faces.geometry import framing

    face = face_of_box((0.24 * 512 - 0.5, 0.22 * 512 - 0.5, 0.76 * 512 - 0.5, 0.87 * 512 - 0.5))
    assert np.allclose(face.points.numpy(), framing(512).numpy(), atol=0.6)


def test_a_secret_is_drawn_once_and_is_the_owners(tmp_path):
    secret = read_secret(tmp_path / "k/secret")
    assert read_secret(tmp_path / "k/secret") == secret and len(secret) == 32
    assert os.name != "posix" or (tmp_path / "k/secret").stat().st_mode & 0o77 == 0
    (tmp_path / "short").write_bytes(b"abc")
    with pytest.raises(ValueError, match="32 bytes"):
        read_secret(tmp_path / "short")
    task = AnonymizeTask(None, None, tmp_path, fakes.load, Encoder(), secret)  # pyright: ignore
    assert repr(secret) not in repr(task)


def test_a_bug_in_a_worker_is_told_and_not_a_row(kinds, tmp_path, monkeypatch):
    monkeypatch.setattr(tasks.RowWorker, "__call__", lambda self, row: 1 / 0)
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        work(kinds.parquet, tmp_path / "out")


def test_strangers_are_a_rows_own(kinds):
    """Another row, other strangers; the same row the same ones, whatever came before; a roster is refused."""
    from revpers_core.datasets.records import Row
    from revpers_core.datasets.worker import RowWorker
    from revpers_core.media.pseudonyms import Pseudonyms, SameStrangers, Strangers
    from revpers_core.media.roster import Roster

    worker = RowWorker(fakes.load(), SECRET, Encoder())
    a, b, again = (worker._pseudonyms_of(Pseudonyms(Strangers(1)), Row(name)) for name in "aba")
    assert a.drawing == again.drawing != b.drawing and a.drawing.seed != row_seed(SECRET, "a")
    assert worker._pseudonyms_of(Pseudonyms(Strangers(2)), Row("a")).drawing == a.drawing
    with pytest.raises(ValueError, match="which row comes first"):
        worker._pseudonyms_of(Pseudonyms(SameStrangers(b"", Roster("r", 0.4))), Row("a"))


def test_a_summary_in_numbers(kinds, tmp_path):
    report = summary(work(kinds.parquet, tmp_path / "out"))
    assert (report["rows"], report["ok"], report["failed"], report["resumed"], report["reasons"]) == (10, 10, 0, 0, {})
    assert report["rows_per_second"] > 0


def test_the_command(tmp_path, capsys, monkeypatch):
    """Whole, on the pocket model: pixels as the library makes them from the row's seed, the secret gone at the end."""
    from revpers_core.hosts.diffusers import ReversePersonalizationPipeline
    from revpers_core.media import images
    from revpers_core.method.types import Plan

    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_VERBOSITY", "DIFFUSERS_VERBOSITY"):
        monkeypatch.setenv(name, "1")
    face = images.to_pil(gallery.aligned_face(0, 0))
    (tmp_path / "in").mkdir()
    images.write_png(face, tmp_path / "in/a.png")
    (tmp_path / "in/b.png").write_bytes(as_bytes(GREY))
    (tmp_path / "k").write_bytes(SECRET)
    call = ["dataset", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--steps", "2", "--skip", ".5", "--crops",
            "--guidance", "-4", "--secret", str(tmp_path / "k"), "--json", "--layout", "fdeid", "--instead",
            "nobody"]  # fmt: skip
    assert main(call) == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["ok"], report["failed"]) == (1, 1) and report["share_in_unet"] > 0
    pipe = ReversePersonalizationPipeline.from_pocket()
    result = pipe.anonymize(images.from_pil(face)[None], Plan(2, 0.5, -4.0, row_seed(SECRET, "a.png"))).image[0]
    shown = images.read(tmp_path / "out/data/a.png")
    assert float((shown - images.from_pil(images.watermarked(images.to_pil(result)))).abs().max()) <= 1.01 / 255
    assert "method_name: reverse_personalization" in (tmp_path / "out/config.yaml").read_text()
    assert main([*call, "--guidance", "-5"]) == 1 and "guidance was -4.0, now -5.0" in capsys.readouterr().err
    assert main([*call, "--pseudonyms"]) == 1 and "no other" in capsys.readouterr().err
    assert main([*call, "--seed", "1"]) == 1 and "--secret" in capsys.readouterr().err
    alone = [*call[:2], "-o", str(tmp_path / "two"), *call[4:9], "--crops"]
    assert main(alone) == 1 and not (tmp_path / "two.secret").exists()
    words = "".join(p.read_text() for p in (tmp_path / "two").rglob("*") if p.suffix in (".json", ".jsonl"))
    assert words and not any(f'"{name}":' in words for name in ("seed", "person", "secret", "embedding"))
