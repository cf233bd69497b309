"""Small data sets of every kind with the same pictures."""

import json
import tarfile
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest
from dataset_fakes import add, picture, table


class Kinds(NamedTuple):
    folder: Path
    parquet: Path
    webdataset: Path


@pytest.fixture
def kinds(tmp_path) -> Kinds:
    """Ten pictures with ids "r0".."r9" (with .png in the folder), in two tables and two shards."""
    data = {f"r{k}": picture(k) for k in range(10)}
    result = Kinds(tmp_path / "folder", tmp_path / "parquet", tmp_path / "shards")
    result.folder.mkdir()
    for name, whole in data.items():
        (result.folder / f"{name}.png").write_bytes(whole)
    rows = [{"id": name, "image": whole, "label": k, "note": "secret"} for k, (name, whole) in enumerate(data.items())]
    table(result.parquet / "a.parquet", rows[:7])
    table(result.parquet / "b.parquet", rows[7:])
    result.webdataset.mkdir()
    for shard, part in (("00000", rows[:4]), ("00001", rows[4:])):
        with tarfile.open(result.webdataset / f"{shard}.tar", "w") as tar:
            for row in part:
                add(tar, f"{row['id']}.png", row["image"])
                add(tar, f"{row['id']}.json", json.dumps({"key": row["id"], "url": "http://who", "label": 1}).encode())
                add(tar, f"{row['id']}.txt", b"a caption")
    return result


def pytest_terminal_summary(terminalreporter):
    """A pass without Ray is no pass of its engine's."""
    if find_spec("ray") is None:
        terminalreporter.write_line("RAY IS NOT INSTALLED: THE ENGINE ray WAS NOT TESTED (make test-ray)")
