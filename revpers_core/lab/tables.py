"""Results as files: JSON for machines, a Markdown table for people, each with the command that made it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..metrics.interval import Estimate


def write(folder: Path, name: str, command: str, rows: Sequence[Mapping[str, Any]], text: str) -> None:
    """``name``.json with all figures and ``name``.md with ``text``, into a folder that is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    document = {"command": command, "rows": [{k: plain(v) for k, v in row.items()} for row in rows]}
    (folder / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    (folder / f"{name}.md").write_text(text, encoding="utf-8")


def plain(value: Any) -> Any:
    """Estimates as {"value", "low", "high"} to 4 digits."""
    return {k: round(v, 4) for k, v in value._asdict().items()} if isinstance(value, Estimate) else value


def table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table; estimates with their interval."""
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
    if isinstance(value, Estimate):
        return f"{value.value:.2f} ({value.low:.2f} to {value.high:.2f})"
    return f"{value:.2f}" if isinstance(value, float) else str(value)
