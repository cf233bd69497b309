"""Ray Data on a real cluster of two nodes on this machine: killed workers, killed drivers, resumed runs."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from dataset_fakes import picture, table

from revpers_core.media import gallery

pytest.importorskip("ray.data", reason="RAY IS NOT INSTALLED: its engine is not tested (make test-ray)")
ROOT = Path(__file__).parents[2]
ROWS, SIZE, PATIENCE = 24, 2, 300
"""Rows, rows a block, and seconds that a busy machine may take."""
ENV = {
    **os.environ, "RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1",
    "PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(__file__).parent)]),
}  # fmt: skip


def until(there, what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not there():
        assert time.monotonic() < end, f"no {what} in {PATIENCE} s"
        time.sleep(0.1)


def node(*arguments: str) -> subprocess.Popen:
    ray = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--num-cpus", "1", "--disable-usage-stats"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    call = [*ray, "--object-store-memory", str(80 << 20), *arguments]
    return subprocess.Popen(call, env=ENV, start_new_session=True, **quiet)


@pytest.fixture(scope="module")
def cluster():
    """The address of two nodes with a CPU each."""
    import ray

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"127.0.0.1:{port}"
    nodes = [node("--head", "--port", str(port), "--include-dashboard", "false")]

    def count() -> int:
        try:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
            found = sum(one["Alive"] for one in ray.nodes())
            ray.shutdown()
            return found
        except Exception:
            return 0

    try:
        until(lambda: count() == 1, "head node")
        nodes.append(node("--address", address))
        until(lambda: count() == 2, "second node")
        yield address
    finally:
        for one in nodes[::-1]:
            one.terminate()
            one.wait(60)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("in")
    rows = [{"id": f"r{k:02}", "image": picture(k)} for k in range(ROWS - 1)] + [{"id": "bad", "image": b"none"}]
    table(root / "a.parquet", rows)
    return root


def drive(address: str, data: Path, output: Path, log: Path) -> subprocess.Popen:
    log.mkdir(exist_ok=True)
    call = [sys.executable, str(Path(__file__).with_name("ray_driver.py")), address, data, output, log]
    return subprocess.Popen([*map(str, call)], env=ENV, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(driver: subprocess.Popen) -> dict:
    out, err = driver.communicate(timeout=PATIENCE)
    assert driver.returncode == 0, err[-3000:]
    return json.loads(out.splitlines()[-1])


def written(output: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(output.glob("*.parquet"))}


def worked(log: Path) -> Counter[str]:
    """Seed of a row -> how often it was worked on."""
    return Counter(line for path in log.iterdir() for line in path.read_text().split())


@pytest.fixture(scope="module")
def whole(cluster, data, tmp_path_factory) -> dict[str, bytes]:
    """What an uninterrupted run writes."""
    at = tmp_path_factory.mktemp("whole")
    message = ended(drive(cluster, data, at / "out", at / "log"))
    assert (message["rows"], message["failed"], message["resumed"]) == (ROWS, 1, 0)
    assert worked(at / "log").total() == ROWS - 1 and len(list((at / "log").iterdir())) == 2  # an actor a node
    return written(at / "out")


def test_ray_writes_what_one_process_writes(cluster, data, whole, tmp_path):
    from functools import partial

    import dataset_fakes as fakes
    from ray_driver import LABELS

    from revpers_core.datasets.checkpoints import Checkpoints
    from revpers_core.datasets.encode import Encoder
    from revpers_core.datasets.engines import run_here
    from revpers_core.datasets.records import Columns, blocks_of
    from revpers_core.datasets.run import open_sink, open_source, run_blocks
    from revpers_core.datasets.task import AnonymizeTask

    (tmp_path / "log").mkdir()
    source, out = open_source(data, Columns()), tmp_path / "out"
    sink, points = open_sink(source, out, ".png", LABELS), Checkpoints(out)
    points.begin({"steps": 2})
    load = partial(fakes.load_logging, tmp_path / "log")
    task = AnonymizeTask(source, sink, out, load, Encoder(), bytes(range(32)))
    run_blocks(run_here, task, sink, blocks_of(source, SIZE), points, lambda progress: None)
    assert written(out) == whole


def test_a_killed_worker_is_replaced(cluster, data, whole, tmp_path):
    """The run ends well; nothing is lost, and no more than the dead worker's block is done twice."""
    log = tmp_path / "log"
    driver = drive(cluster, data, tmp_path / "out", log)
    until(lambda: log.is_dir() and worked(log).total() >= 5, "work")
    os.kill(int(next(log.iterdir()).name), signal.SIGKILL)
    message = ended(driver)
    assert (message["rows"], message["failed"]) == (ROWS, 1) and written(tmp_path / "out") == whole
    times = worked(log)
    assert len(times) == ROWS - 1 and times.total() <= ROWS - 1 + SIZE


def test_a_killed_driver_is_resumed(cluster, data, whole, tmp_path):
    """What was written is not done again; the output is an uninterrupted run's."""
    log, done = tmp_path / "log", tmp_path / "out/_revpers/done"
    driver = drive(cluster, data, tmp_path / "out", log)
    until(lambda: done.is_dir() and len(list(done.glob("*.json"))) >= 3, "finished blocks")
    driver.kill()
    driver.communicate(timeout=PATIENCE)
    kept = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.parquet")}
    message = ended(drive(cluster, data, tmp_path / "out", log))
    assert (message["rows"], message["failed"]) == (ROWS, 1) and message["resumed"] >= 3 * SIZE
    assert written(tmp_path / "out") == whole
    now = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.parquet")}
    assert sum(now[name] == then for name, then in kept.items()) >= 3
    times = worked(log)
    assert len(times) == ROWS - 1 and times.total() <= ROWS - 1 + 2 * SIZE  # two blocks were under way
    assert ended(drive(cluster, data, tmp_path / "out", log))["resumed"] == ROWS and worked(log) == times


def test_a_model_that_cannot_be_loaded_is_told(cluster, data, tmp_path):
    driver = drive(cluster, data, tmp_path / "out", tmp_path / "nothing")
    _, err = driver.communicate(timeout=PATIENCE)
    assert driver.returncode and "the checkpoint is not there" in err


def test_the_command_on_ray(cluster, tmp_path):
    """As a user calls it, with the pocket model, in another folder than the cluster's."""
    from revpers_core.media import images

    for k in range(3):
        (tmp_path / "in").mkdir(exist_ok=True)
        images.write_png(images.to_pil(gallery.aligned_face(k, 0)), tmp_path / f"in/{k}.png")
    (tmp_path / "k").write_bytes(bytes(range(32)))
    call = [sys.executable, "-m", "revpers_core.cli", "dataset", "in", "--crops", "--steps", "2", "--json"]
    alike = {"env": ENV, "cwd": tmp_path, "capture_output": True, "text": True, "timeout": PATIENCE}
    ray = ["-o", "ray", "--engine", "ray", "--address", cluster, "--workers", "2"]
    for more in (ray, ["-o", "here"]):
        done = subprocess.run([*call, "--secret", "k", "--block-rows", "1", *more], **alike)
        assert done.returncode == 0, done.stderr[-3000:]
        assert json.loads(done.stdout)["ok"] == 3
    assert all((tmp_path / f"ray/{k}.png").read_bytes() == (tmp_path / f"here/{k}.png").read_bytes() for k in range(3))


def test_an_audit_on_ray(cluster, tmp_path):
    """Says what an audit in one process says, and leaves no embedding."""
    from revpers_core.media import images

    for folder, other in (("originals", 0), ("results", 1)):
        (tmp_path / folder).mkdir()
        for k in range(3):
            images.write_png(images.to_pil(gallery.aligned_face(k + other, 0)), tmp_path / f"{folder}/{k}.png")
    call = [sys.executable, "-m", "revpers_core.cli", "audit", "originals", "results", "--stream", "--crops"]
    call += ["--judge", "pocket", "--json", "--block-rows", "1"]
    alike = {"env": ENV, "cwd": tmp_path, "capture_output": True, "text": True, "timeout": PATIENCE}
    ray = ["-o", "ray", "--engine", "ray", "--address", cluster, "--workers", "2"]
    reports = []
    for more in (ray, ["-o", "here"]):
        done = subprocess.run([*call, *more], **alike)
        assert done.returncode in (0, 1), done.stderr[-3000:]
        reports.append(json.loads(done.stdout))
    assert reports[0] == reports[1] and reports[0]["faces"] == 3
    assert not list((tmp_path / "ray").rglob("*.npz"))
