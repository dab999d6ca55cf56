"""``report.html``: one file that opens offline, without scripts; every text is escaped."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path

from sapiens_lab.atomic import write_text
from sapiens_lab.commands.doctor.charts import histogram, named_bars
from sapiens_lab.commands.doctor.diagnosis import (
    STATUSES,
    Diagnosis,
    Line,
    Section,
    plural,
    printable,
)
from sapiens_lab.commands.doctor.run import Shown
from sapiens_lab.commands.doctor.statistics import distributions, tables
from sapiens_lab.commands.doctor.target import MARK
from sapiens_lab.commands.doctor.tiles import Tile
from sapiens_lab.visualize.image import encode_jpeg

_TILE_HEIGHT, _NARROWEST = 168, 60  # pixels of an image on the page
# Nothing but what is in the file: a name that were HTML after all could load and run nothing.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def write_report(path: Path, diagnosis: Diagnosis, shown: Shown | None) -> None:
    """Write the page whole."""
    write_text(path, render(diagnosis, shown or Shown()))


def render(diagnosis: Diagnosis, shown: Shown) -> str:
    """Return the page."""
    style = Path(__file__).with_name("style.css").read_text()
    body = "\n".join(
        [
            *_head(diagnosis),
            *_findings(diagnosis, shown.offenders),
            *_samples(shown.samples),
            *_charts(shown),
            *(part for section in diagnosis.sections for part in _section(section)),
        ]
    )
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">{MARK}
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>sapiens doctor: {_text(diagnosis.verdict())}</title>
<style>{style}</style></head>
<body><main>
{body}
<footer>sapiens_lab {_text(diagnosis.version)}, {_text(diagnosis.time)}</footer>
</main></body></html>
"""


def _text(value: str) -> str:
    """Return a text as HTML that shows it, whatever is in it."""
    return escape(printable(value))


def _head(diagnosis: Diagnosis) -> Iterator[str]:
    counts = diagnosis.counts()
    yield "<h1>sapiens doctor</h1>"
    yield f'<div class="faint">{_text(diagnosis.time)}</div>'
    words = _text(" ".join(["sapiens", "doctor", *diagnosis.command]))
    yield f'<div class="command">{words}</div>'
    boxes = "".join(
        f'<div class="count {status if counts[status] else "zero"}"><b>{counts[status]}</b>'
        f"{plural(status, counts[status])}</div>"
        for status in STATUSES
    )
    yield f'<div class="counts">{boxes}</div>'


def _findings(diagnosis: Diagnosis, offenders: Mapping[Line, Sequence[Tile]]) -> Iterator[str]:
    """Show what is wrong, from all sections, with the images that it is about."""
    lines = [
        (section.name, line)
        for section in diagnosis.sections
        for line in section.lines
        if line.status in ("error", "warning")
    ]
    if not lines:
        return
    yield "<h2>What needs attention</h2>"
    for section, line in sorted(lines, key=lambda pair: STATUSES.index(pair[1].status)):
        tiles = "".join(_figure(tile) for tile in offenders.get(line, ()))
        shown = f'<div class="tiles">{tiles}</div>' if tiles else ""
        yield (
            f'<div class="finding {line.status}"><div><span class="status">{line.status}</span> '
            f'<span class="faint">{_text(section)}, {_text(line.name)}</span></div>'
            f"{_body(line)}{shown}</div>"
        )


def _samples(samples: Mapping[str, Sequence[Tile]]) -> Iterator[str]:
    for split, tiles in samples.items():
        if tiles:
            yield f"<h2>Samples of the {_text(split)} set, as the network gets them</h2>"
            yield f'<div class="tiles">{"".join(_figure(tile) for tile in tiles)}</div>'


def _charts(shown: Shown) -> Iterator[str]:
    charts = [
        (title, named_bars(table), tuple(table))
        for title, table in tables(shown.statistics).items()
    ]
    charts += [
        (title, histogram(values), tuple(values))
        for title, values in distributions(shown.statistics).items()
    ]
    if not charts:
        return
    yield "<h2>Distributions</h2>"
    keys = "".join(
        f'<span class="key {"val" if split == "val" else "train"}"></span>{_text(split)}, '
        f"{counted.num_samples:,} samples, {counted.num_read:,} images read"
        for split, counted in shown.statistics.items()
    )
    yield f'<p class="faint">Fractions of each set.{keys}</p>'
    boxes = "".join(
        f'<div class="chart"><h3>{_text(title)}</h3>{svg}</div>' for title, svg, _ in charts
    )
    yield f'<div class="charts">{boxes}</div>'


def _section(section: Section) -> Iterator[str]:
    yield f"<h2>{_text(section.name.capitalize())}</h2>"
    yield "".join(
        f'<div class="line {line.status}"><span class="status">{line.status}</span>'
        f'<span class="name">{_text(line.name)}</span><div class="body">{_body(line)}</div></div>'
        for line in section.lines
    )


def _body(line: Line) -> str:
    """Return text, source, items and remedy of a line."""
    parts = [f"<pre>{_text(line.text)}</pre>"]
    if line.source and line.source not in line.text:
        parts.append(f'<div class="faint"><code>{_text(line.source)}</code></div>')
    if line.items:
        items = [f"<li><code>{_text(item)}</code></li>" for item in line.items]
        if line.count > len(line.items):
            items.append(f'<li class="faint">and {line.count - len(line.items):,} more</li>')
        parts.append(f"<ul>{''.join(items)}</ul>")
    if line.remedy:
        parts.append(f'<div class="remedy">{_text(line.remedy)}</div>')
    return "".join(parts)


def _figure(tile: Tile) -> str:
    data = base64.b64encode(encode_jpeg(tile.image)).decode()
    name = _text(tile.caption)
    width = max(_NARROWEST, round(_TILE_HEIGHT * tile.image.shape[1] / tile.image.shape[0]))
    return (
        f'<figure style="width:{width}px"><img alt="{name}" src="data:image/jpeg;base64,{data}">'
        f'<figcaption title="{name}">{name}</figcaption></figure>'
    )
