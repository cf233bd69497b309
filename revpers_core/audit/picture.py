"""The audit as a picture: before, after, and a bar a judge. It shows the originals: keep it as private as they are."""

from PIL import Image, ImageDraw, ImageFont

from ..media.images import to_pil
from .compare import PANEL, FaceComparison
from .report import Report

MARGIN, LINE, BARS, HEAD = 10, 26, 420, 64  # pixels
ROWS = 12
"""Faces shown, the likeliest to be known first."""
GOOD, BAD, TICK = (70, 140, 90), (200, 60, 50), (30, 30, 30)


def audit_picture(report: Report) -> Image.Image:
    """An RGB picture: the verdict, then a row a face. A bar beyond its tick means that the judge knows the person;
    a red one before it that it could not look."""
    faces = sorted(report.faces, key=lambda entry: -_worst(report, entry))[:ROWS]
    width = 2 * (PANEL + MARGIN) + MARGIN + BARS + MARGIN
    row = max(PANEL, LINE * (len(report.judge_reports) + 1)) + MARGIN
    sheet = Image.new("RGB", (width, HEAD + max(1, len(faces)) * row), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=14)
    for i, line in enumerate(_wrapped(report.verdict, width - 2 * MARGIN, font)[:3]):
        draw.text((MARGIN, MARGIN / 2 + 18 * i), line, font=font, fill=GOOD if report.passed else BAD)
    for i, entry in enumerate(faces):
        top = HEAD + i * row
        for k, crop in enumerate((entry.before, entry.after)):
            sheet.paste(to_pil(crop), (MARGIN + k * (PANEL + MARGIN), top))
        left = 2 * (PANEL + MARGIN) + MARGIN
        note = ", not found any more" if entry.lost else ""
        draw.text((left, top), f"{entry}{note}"[-60:], font=font, fill="black")
        _bars(draw, font, report, entry, (left, top + LINE))
    return sheet


def _bars(
    draw: ImageDraw.ImageDraw,
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
    report: Report,
    entry: FaceComparison,
    corner: tuple[int, int],
) -> None:
    """A judge's bar runs from half its way below the threshold to as far above it; the tick is the threshold."""
    left, top = corner
    span = BARS - 200
    for k, (judged, value, known) in enumerate(zip(report.judge_reports, entry.likeness, entry.known, strict=True)):
        bad = known or entry.lost or entry.blind[k]
        y = top + k * LINE
        share = 1.0 if value != value else min(1.0, max(0.0, 0.5 + (value - judged.threshold) / 2))
        draw.rectangle((left, y + 3, left + span, y + LINE - 7), fill=(235, 235, 235))
        draw.rectangle((left, y + 3, left + round(share * span), y + LINE - 7), fill=BAD if bad else GOOD)
        draw.line((left + span / 2, y, left + span / 2, y + LINE - 4), fill=TICK, width=2)
        draw.text((left + span + 8, y + 2), f"{value:+.2f} {judged.judge}"[:26], font=font, fill="black")


def _worst(report: Report, entry: FaceComparison) -> float:
    """How far above its threshold the judge is who is surest; without end where one could not look."""
    if entry.lost or any(entry.blind):
        return float("inf")
    above = [v - judged.threshold for v, judged in zip(entry.likeness, report.judge_reports, strict=True)]
    return max((float("inf") if v != v else v for v in above), default=0.0)


def _wrapped(text: str, width: int, font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
