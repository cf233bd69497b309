"""A large audit as one page of HTML: tables and plots drawn as SVG, nothing from elsewhere, no picture of anybody."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

COLOURS = ("#c83c32", "#46785a", "#3a6ea5", "#b8860b", "#6b4c9a")
WIDTH, HEIGHT, PAD = 420, 240, 36
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem; color: #1c1c1c }
table { border-collapse: collapse; margin: .6rem 0 1.4rem } th, td { padding: .25rem .8rem; text-align: right;
border-bottom: 1px solid #ddd } th:first-child, td:first-child { text-align: left } figure { display: inline-block;
margin: .4rem 1rem .4rem 0 } figcaption { font-size: .85rem; color: #555 } svg { background: #fafafa }
.note { color: #555; max-width: 46rem }
"""
VERIFIED = ("va", "auc", "eer", "tar_at_far_0.01", "tar_at_far_0.001", "tar_at_far_0.0001")
HEADS = ("VA", "AUC", "EER", "TAR at FAR 1%", "TAR at FAR .1%", "TAR at FAR .01%")


def page(figures: Mapping[str, Any]) -> str:
    """The page of what ``protocol`` found, with the run's words in "about"."""
    judges: Mapping[str, Any] = figures["judges"]
    parts = [f"<h1>Audit</h1><p class=note>{escape(str(figures.get('about', '')))}</p>", _summary(figures)]
    for name, judge_figures in judges.items():
        parts.append(f"<h2>{escape(name)}</h2>{_verification(judge_figures)}{_plots(judge_figures.get('shapes'))}")
    parts.append("<h2>What stayed</h2>" + table(("measure", "mean"), list(figures["utility"].items())))
    if figures["groups"]:
        parts.append("<h2>By group</h2>" + _groups(figures["groups"], list(judges)))
    head = f'<meta charset="utf-8"><title>Audit</title><style>{STYLE}</style>'
    return f"<!doctype html><html lang=en><head>{head}</head><body>{''.join(parts)}</body></html>\n"


def _summary(figures: Mapping[str, Any]) -> str:
    rows = [
        (
            name,
            _interval(judge["known"]),
            _interval(judge.get("share_above_0.9")),
            judge["own_mean"],
            judge["threshold"],
        )
        for name, judge in figures["judges"].items()
    ]
    problems = [(reason, count) for reason, count in figures.get("problems", {}).items()]
    unseen = "<h3>Rows without a comparison</h3>" + table(("why", "rows"), problems) if problems else ""
    heads = ("judge", "still known [95%]", "similarity above .9", "mean similarity", "threshold")
    return f"<p>{figures['faces']:,} faces, {figures['pairs']:,} pairs.</p>{table(heads, rows)}{unseen}"


def _verification(judge: Mapping[str, Any]) -> str:
    rows: list[tuple[Any, ...]] = []
    toolbox = judge.get("toolbox")
    if toolbox:
        rows.append(("pairs of originals", *(toolbox["original"][key] for key in VERIFIED), ""))
        rows.append(("the same pairs anonymized", *(toolbox["deidentified"][key] for key in VERIFIED), toolbox["psr"]))
    if "attack" in judge:
        attack = judge["attack"]
        rows.append(("results against originals", *(attack[key] for key in VERIFIED), attack["psr_own"]))
    if not rows:
        return "<p class=note>Too few pairs for verification.</p>"
    return table(("", *HEADS, "PSR"), rows)


def _groups(groups: Mapping[str, Any], judges: Sequence[str]) -> str:
    rows: list[tuple[Any, ...]] = []
    for name, group in groups.items():
        for judge in judges:
            judge_figures = group["judges"][judge]
            attack = judge_figures.get("attack", {})
            psr = judge_figures.get("toolbox", {}).get("psr")
            rows.append(
                (
                    name,
                    judge,
                    group["faces"],
                    _interval(judge_figures["known"]),
                    attack.get("auc"),
                    attack.get("eer"),
                    psr,
                )
            )
    return table(("group", "judge", "faces", "still known [95%]", "AUC", "EER", "PSR"), rows)


def _plots(shapes: Mapping[str, Any] | None) -> str:
    if not shapes:
        return ""
    low, high = shapes["span"]
    bars = {
        name: [(low + (k + 0.5) * (high - low) / len(values), value) for k, value in enumerate(values)]
        for name, values in shapes["histograms"].items()
    }
    top = max((y for line in bars.values() for _, y in line), default=1.0) or 1.0
    return plot(bars, (low, high), (0.0, top), "similarity", "share of pairs") + plot(
        {**shapes["roc"], "chance": [[0, 0], [1, 1]]}, (0.0, 1.0), (0.0, 1.0), "false accept rate", "true accept rate"
    )


def plot(
    lines: Mapping[str, Sequence[Sequence[float]]], across: tuple[float, float], up: tuple[float, float], x: str, y: str
) -> str:
    """Lines of points (x, y) as an SVG figure with a legend under it."""

    def at(point: Sequence[float]) -> str:
        left = PAD + (point[0] - across[0]) / (across[1] - across[0]) * (WIDTH - 2 * PAD)
        return f"{left:.1f},{HEIGHT - PAD - (point[1] - up[0]) / (up[1] - up[0]) * (HEIGHT - 2 * PAD):.1f}"

    colours = dict(zip(lines, COLOURS * len(lines), strict=False))
    polylines = "".join(
        f'<polyline fill="none" stroke="{colours[name]}" stroke-width="1.6" points="{" ".join(map(at, line))}"/>'
        for name, line in lines.items()
    )
    right, foot = WIDTH - PAD, HEIGHT - PAD
    frame = f'<path d="M{PAD},{PAD}V{foot}H{right}" fill="none" stroke="#888"/>'
    words = "".join(
        f'<text x="{left}" y="{top}" font-size="11" fill="#555" text-anchor="{anchor}">{escape(text)}</text>'
        for left, top, anchor, text in (
            (PAD, foot + 14, "middle", f"{across[0]:g}"), (right, foot + 14, "middle", f"{across[1]:g}"),
            (WIDTH / 2, foot + 26, "middle", x), (PAD - 4, foot, "end", f"{up[0]:g}"),
            (PAD - 4, PAD + 4, "end", f"{up[1]:.2g}"), (PAD, PAD - 10, "start", y),
        )
    )  # fmt: skip
    legend = " ".join(f'<span style="color:{colour}">&#9632;</span> {escape(name)}' for name, colour in colours.items())
    picture = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}">{frame}{polylines}{words}</svg>'
    return f"<figure>{picture}<figcaption>{legend}</figcaption></figure>"


def table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Rows as an HTML table; None is a dash."""
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(_cell(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _interval(estimate: Mapping[str, float] | None) -> str | None:
    return None if estimate is None else f"{estimate['value']:.3f} [{estimate['low']:.3f}, {estimate['high']:.3f}]"


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
