"""Histograms and bars as SVG: text, so a page needs no script and follows its colors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

_WIDTH, _HEIGHT = 320, 120  # of the drawing [pixels]
_LEFT, _BELOW = 6, 18
_BINS = 28
_ROW = 16  # height of a named bar
_NAME = 118  # width of its name
_MANY = 48  # names from which bars stand upright, without names
_TAIL = 0.5  # percent on either side that are counted into the last bins


def histogram(values: Mapping[str, NDArray[np.float32]]) -> str:
    """Return the distributions of several splits, each as fractions of its own samples."""
    together = np.concatenate(list(values.values()))
    low, high = np.percentile(together, (_TAIL, 100 - _TAIL))
    if high <= low:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, _BINS + 1)
    bars = {
        split: np.histogram(np.clip(v, low, high), edges)[0] / len(v) for split, v in values.items()
    }
    top = max(float(b.max()) for b in bars.values()) or 1.0
    width = (_WIDTH - 2 * _LEFT) / _BINS
    parts = []
    for split, heights in bars.items():
        for place, fraction in enumerate(heights.tolist()):
            if not fraction:
                continue
            height = max(1.0, (_HEIGHT - 8) * fraction / top)
            label = f"{split}: {edges[place]:.4g} to {edges[place + 1]:.4g}, {fraction:.1%}"
            parts.append(
                f'<rect class="{_fill(split)}" x="{_LEFT + place * width:.1f}" '
                f'y="{_HEIGHT - height:.1f}" width="{width - 1:.1f}" height="{height:.1f}">'
                f"<title>{escape(label)}</title></rect>"
            )
    ticks = [(0.0, low, "start"), (0.5, (low + high) / 2, "middle"), (1.0, high, "end")]
    parts += [
        f'<text x="{_LEFT + at * (_WIDTH - 2 * _LEFT):.1f}" y="{_HEIGHT + 13}" '
        f'text-anchor="{anchor}">{value:.4g}</text>'
        for at, value, anchor in ticks
    ]
    parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _LEFT}" y1="{_HEIGHT}" y2="{_HEIGHT}"/>')
    return _svg(_WIDTH, _HEIGHT + _BELOW, parts)


def named_bars(table: Mapping[str, Mapping[str, float]]) -> str:
    """Return a bar for each name and split; of many names, thin upright bars without names."""
    names = list(dict.fromkeys(name for fractions in table.values() for name in fractions))
    top = max((max(f.values(), default=0.0) for f in table.values()), default=0.0) or 1.0
    if len(names) > _MANY:
        return _upright(table, names, top)
    parts = []
    room = _WIDTH - _NAME - 50
    thick = (_ROW - 4) / len(table)
    for row, name in enumerate(names):
        y = row * _ROW
        shown = name if len(name) <= 18 else f"{name[:17]}…"
        parts.append(
            f'<text x="{_NAME - 6}" y="{y + 11}" text-anchor="end">{escape(shown)}'
            f"<title>{escape(name)}</title></text>"
        )
        for place, (split, fractions) in enumerate(table.items()):
            fraction = fractions.get(name, 0.0)
            parts.append(
                f'<rect class="{_class(split)}" x="{_NAME}" y="{y + 2 + place * thick:.1f}" '
                f'width="{room * fraction / top:.1f}" height="{thick:.1f}">'
                f"<title>{escape(f'{split}: {name} {fraction:.2%}')}</title></rect>"
            )
        first = next(iter(table.values())).get(name, 0.0)
        x = _NAME + room * max(f.get(name, 0.0) for f in table.values()) / top + 5
        kind = ' class="none"' if not first else ""
        parts.append(f'<text{kind} x="{x:.1f}" y="{y + 11}">{_percent(first)}</text>')
    return _svg(_WIDTH, _ROW * len(names) + 4, parts)


def _upright(table: Mapping[str, Mapping[str, float]], names: Sequence[str], top: float) -> str:
    width = (_WIDTH - 2 * _LEFT) / len(names)
    split, fractions = next(iter(table.items()))
    parts = [
        f'<rect class="{_class(split)}" x="{_LEFT + place * width:.2f}" '
        f'y="{_HEIGHT * (1 - fractions.get(name, 0.0) / top):.1f}" width="{0.85 * width:.2f}" '
        f'height="{_HEIGHT * fractions.get(name, 0.0) / top:.1f}">'
        f"<title>{escape(f'{name} {fractions.get(name, 0.0):.2%}')}</title></rect>"
        for place, name in enumerate(names)
    ]
    parts.append(
        f'<text x="{_LEFT}" y="{_HEIGHT + 13}">{len(names)} names; tallest {_percent(top)}</text>'
    )
    return _svg(_WIDTH, _HEIGHT + _BELOW, parts)


def _percent(fraction: float) -> str:
    if not fraction:
        return "none"
    return f"{fraction:.2%}" if fraction < 0.01 else f"{fraction:.0%}"


def _fill(split: str) -> str:
    """Return the class of a bar that may lie over another."""
    return "outline" if split == "val" else "train"


def _class(split: str) -> str:
    return "val" if split == "val" else "train"


def _svg(width: int, height: int, parts: Sequence[str]) -> str:
    return f'<svg viewBox="0 0 {width} {height}" role="img">{"".join(parts)}</svg>'
