"""Keypoint sets. One YAML, or the ``categories`` of a COCO file, describes one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sapiens_lab.anatomy import sides
from sapiens_lab.anatomy.loading import Document, Kind, flip_indices, index_of, load, parse_color

# Falloff of a keypoint whose annotation spread is unknown: between those of the eye (0.025)
# and the hip (0.107) in COCO. AP depends on it, so compare such runs by PCK too.
DEFAULT_SIGMA = 0.05
SIDE_COLORS = {"left": "#00ff00", "right": "#ff8000", "center": "#3399ff"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Skeleton:
    """A keypoint set.

    ``flip_indices`` is ``None`` where left and right are not known; flipping then stays off.
    """

    name: str
    keypoints: tuple[str, ...]
    sigmas: NDArray[np.float64]  # (K,) OKS falloff as a fraction of the person's size
    flip_indices: NDArray[np.int64] | None  # (K,) the point that each becomes under a flip
    edges: tuple[tuple[int, int], ...] = ()
    edge_colors: NDArray[np.uint8]  # (L, 3) RGB
    colors: NDArray[np.uint8]  # (K, 3) RGB
    upper_body: tuple[int, ...] = ()
    lower_body: tuple[int, ...] = ()
    parts: dict[str, tuple[int, ...]] = field(default_factory=dict)  # body, foot, face, ...

    @property
    def num_keypoints(self) -> int:
        """``K``."""
        return len(self.keypoints)

    def index(self, name: str) -> int:
        """Return the place of a keypoint.

        Raises:
            ValueError: there is none of that name; the message lists the nearest.
        """
        return index_of(name, self.keypoints, source=self.name, entry="keypoint")

    @staticmethod
    def load(source: str | Path | Skeleton) -> Skeleton:
        """Return the skeleton that ``source`` means.

        Args:
            source: a shipped name (``coco17``, ``wholebody133``, ``goliath308``), the path of a
                YAML, the path of a COCO annotation file, or a skeleton.

        Raises:
            FileNotFoundError: neither a shipped name nor a file.
            ValueError: the file says something impossible; the message names it.
        """
        return source if isinstance(source, Skeleton) else _load(str(source))


@lru_cache(maxsize=32)
def _load(source: str) -> Skeleton:
    document = load(source, _KIND)
    for entry in document.entries:
        if entry.get("half") not in (None, "upper", "lower"):
            raise document.error(f"keypoint {entry['name']}: half is upper or lower")
    colors = [
        entry.get("color", SIDE_COLORS[sides.side_of(entry["name"])]) for entry in document.entries
    ]
    edges, edge_colors = _edges(document, colors)
    return Skeleton(
        name=document.title,
        keypoints=document.names,
        sigmas=_sigmas(document),
        flip_indices=flip_indices(document, needs_pairs=True),
        edges=edges,
        edge_colors=_rgb(edge_colors, document),
        colors=_rgb(colors, document),
        upper_body=_group(document, "half").get("upper", ()),
        lower_body=_group(document, "half").get("lower", ()),
        parts=_group(document, "part"),
    )


def _from_coco(path: Path, categories: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Turn the keypoint category of a COCO file into the YAML's form."""
    found = [c for c in categories if c.get("keypoints")]
    if not found:
        raise ValueError(f"{path}: none of its {len(categories)} categories names keypoints")
    if len({tuple(c["keypoints"]) for c in found}) > 1:
        names = ", ".join(str(c.get("name")) for c in found)
        raise ValueError(
            f"{path}: the categories {names} have different keypoints; write the set that you "
            "want into a YAML and give it as `skeleton=`"
        )
    category = found[0]
    names = category["keypoints"]
    edges = [[names[a - 1], names[b - 1]] for a, b in category.get("skeleton", [])]  # 1-based
    return {"name": category.get("name", path.stem), "keypoints": names, "edges": edges}


_KIND = Kind(
    title="skeleton",
    entry="keypoint",
    key="keypoints",
    keys=frozenset({"edges", "sigmas"}),
    entry_keys=frozenset({"sigma", "color", "part", "half"}),
    from_coco=_from_coco,
)


def _sigmas(document: Document) -> NDArray[np.float64]:
    given, count = document.data.get("sigmas", DEFAULT_SIGMA), len(document.entries)
    if isinstance(given, list) and len(given) != count:
        raise document.error(
            f"{len(given)} sigmas for {count} keypoints; give one each, or a single number for all"
        )
    spread = given if isinstance(given, list) else [given] * count
    values = [float(e.get("sigma", s)) for e, s in zip(document.entries, spread, strict=True)]
    if min(values) <= 0:
        raise document.error("sigmas must be positive")
    return np.array(values)


def _edges(
    document: Document, colors: Sequence[Any]
) -> tuple[tuple[tuple[int, int], ...], list[Any]]:
    """Return edges and their colors; by default the color of an edge's second keypoint."""
    edges, edge_colors = [], []
    for start, end, *color in document.data.get("edges") or []:
        edges.append((document.index(start), document.index(end)))
        edge_colors.append(color[0] if color else colors[edges[-1][1]])
    return tuple(edges), edge_colors


def _group(document: Document, key: str) -> dict[str, tuple[int, ...]]:
    """Return the indices of the entries by their value of ``key``."""
    groups: dict[str, list[int]] = {}
    for i, entry in enumerate(document.entries):
        if entry.get(key) is not None:
            groups.setdefault(entry[key], []).append(i)
    return {name: tuple(members) for name, members in groups.items()}


def _rgb(colors: Sequence[Any], document: Document) -> NDArray[np.uint8]:
    """Turn ``#rrggbb`` texts into ``(N, 3)``."""
    rows = [parse_color(color, document.source) for color in colors]
    return np.array(rows, np.uint8).reshape(len(rows), 3)
