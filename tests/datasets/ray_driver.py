"""A run on a Ray cluster in a process of its own, so that a test can kill it: ADDRESS INPUT OUTPUT LOG."""

import json
import sys
from functools import partial
from pathlib import Path

import dataset_fakes as fakes

from revpers_core.datasets.checkpoints import Checkpoints
from revpers_core.datasets.encode import Encoder
from revpers_core.datasets.engine_ray import OnRay
from revpers_core.datasets.records import Columns, blocks_of
from revpers_core.datasets.run import open_sink, open_source, run_blocks, summary
from revpers_core.datasets.task import AnonymizeTask

LABELS = {"settings_hash": "abc", "version": "1"}


def main(address: str, root: Path, output: Path, log: Path) -> None:
    source = open_source(root, Columns())
    sink, points = open_sink(source, output, ".png", LABELS), Checkpoints(output)
    points.begin({"steps": 2})
    load = fakes.load_nothing if log.name == "nothing" else partial(fakes.load_logging, log)
    task = AnonymizeTask(source, sink, output, load, Encoder(), bytes(range(32)))
    done = run_blocks(OnRay(address, 2), task, sink, blocks_of(source, 2), points, lambda progress: None)
    print(json.dumps(summary(done)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], *map(Path, sys.argv[2:]))
