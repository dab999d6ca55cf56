"""Keypoint sets. One YAML, or the ``categories`` of a COCO file, describes one."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sapiens_lab.anatomy import sides
from sapiens_lab.anatomy.inherit import inherit
from sapiens_lab.anatomy.loading import (
    Document,
    Kind,
    flip_indices,
    index_of,
    load,
    parse_color,
    shipped_names,
)

log = logging.getLogger(__name__)

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
    aliases: dict[str, tuple[str, ...]] = field(default_factory=dict)  # names in other sets
    midpoints: dict[int, tuple[int, int]] = field(default_factory=dict)  # defined by two others
    base: str | None = None  # the shipped set from which it selects

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
            source: a shipped name (``coco17``, ``face68``, ``goliath308``, ...), the path of a
                YAML, the path of a COCO annotation file, or a skeleton.

        Raises:
            FileNotFoundError: neither a shipped name nor a file.
            ValueError: the file says something impossible; the message names it.
        """
        return source if isinstance(source, Skeleton) else _load(str(source), _version(source))


def suggest_shipped(count: int) -> str:
    """Return ``skeleton=NAME`` for each shipped set of ``count`` keypoints, joined by ``or``.

    Their names end in their numbers of keypoints. Empty if there is none.
    """
    names = [name for name in shipped_names(_KIND) if re.fullmatch(rf"\D+{count}", name)]
    return " or ".join(f"skeleton={name}" for name in names)


def _version(source: str | Path) -> tuple[int, int] | None:
    """Return what changes when a file does; ``None`` for a shipped set."""
    path = Path(source)
    if not path.is_file():
        return None
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size


@lru_cache(maxsize=32)
def _load(source: str, version: tuple[int, int] | None) -> Skeleton:
    document = load(source, _KIND)
    aliases = _aliases(document)
    if "base" in document.data:
        document = inherit(document, _base(document), aliases)
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
        aliases=aliases,
        midpoints=_midpoints(document),
        base=document.data.get("base"),
    )


def _base(document: Document) -> Document:
    name = document.data["base"]
    if name not in shipped_names(_KIND):
        shipped = ", ".join(shipped_names(_KIND))
        raise document.error(f"base is the name of a shipped set ({shipped}), not {name!r}")
    return load(name, _KIND)


def _aliases(document: Document) -> dict[str, tuple[str, ...]]:
    """Return what other sets may call the keypoints; a name belongs to one keypoint alone."""
    given = document.data.get("aliases") or {}
    if not isinstance(given, Mapping):
        raise document.error(
            "`aliases` must be a table, {keypoint: name or [names] in other files}"
        )
    found: dict[str, tuple[str, ...]] = {}
    owners = {name: name for name in document.names}
    for key, value in given.items():
        keypoint = document.names[document.index(str(key))]
        others = value if isinstance(value, list) else [value]
        if not all(isinstance(other, str | int) for other in others):
            raise document.error(f"the aliases of {keypoint} must be a name or a list of names")
        for other in map(str, others):
            if owners.setdefault(other, keypoint) != keypoint:
                raise document.error(
                    f"{other} cannot be an alias of {keypoint}: it names {owners[other]}"
                )
        found[keypoint] = tuple(map(str, others))
    return found


def _midpoints(document: Document) -> dict[int, tuple[int, int]]:
    """Return the two keypoints in the middle of which others lie by definition."""
    given = document.data.get("midpoints") or {}
    if not isinstance(given, Mapping) or any(
        not isinstance(ends, list) or len(ends) != 2 for ends in given.values()
    ):
        raise document.error("`midpoints` must be a table, {keypoint: [one end, other end]}")
    return {
        document.index(name): (document.index(a), document.index(b))
        for name, (a, b) in given.items()
    }


def _from_coco(path: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    """Turn the keypoint category of a COCO file into the YAML's form."""
    categories = content.get("categories") or []
    found = [c for c in categories if c.get("keypoints")]
    if not found:
        return _numbered(path, content)
    if wrong := [c for c in found if not isinstance(c["keypoints"], list)]:
        kind = type(wrong[0]["keypoints"]).__name__
        raise ValueError(
            f"{path}: the keypoints of category {wrong[0].get('name')!r} are a {kind}; a list of "
            "names is needed"
        )
    if len({tuple(map(str, c["keypoints"])) for c in found}) > 1:
        titles = ", ".join(str(c.get("name")) for c in found)
        raise ValueError(
            f"{path}: the categories {titles} have different keypoints; write the set that you "
            "want into a YAML and give it as `skeleton=`"
        )
    category = found[0]
    names = [str(name) for name in category["keypoints"]]
    edges = _edges_of(path, category.get("skeleton") or [], names)
    return {"name": category.get("name", path.stem), "keypoints": names, "edges": edges}


def _numbered(path: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    """Return numbered points where a file names none but has some."""
    annotations = content.get("annotations")
    rows = annotations if isinstance(annotations, list) else []
    counts = {
        len(row["keypoints"])
        for row in rows
        if isinstance(row, dict) and isinstance(row.get("keypoints"), list) and row["keypoints"]
    }
    if len(counts) != 1 or (count := counts.pop()) % 3:
        raise ValueError(
            f"{path}: none of its {len(content.get('categories') or [])} categories names "
            "keypoints, and its annotations do not have the same number each"
        )
    known = suggest_shipped(count // 3)
    log.warning(
        "%s: no category names its %d keypoints; they are numbered, and flipping is off. %sNames "
        "and left/right pairs can be given in a YAML, as skeleton=FILE",
        path, count // 3, f"If they are a known set, give it: {known}. " if known else "",
    )  # fmt: skip
    return {"name": path.stem, "keypoints": [str(i + 1) for i in range(count // 3)]}


def _edges_of(path: Path, links: Any, names: Sequence[str]) -> list[list[str]]:
    """Return pairs of names for links, which are numbers from 1; others are left out."""
    pairs = [link for link in links if _is_link(link)] if isinstance(links, list) else []
    start = 1
    if any(0 in pair for pair in pairs) and all(max(pair) < len(names) for pair in pairs):
        log.warning("%s: the links of its skeleton count from 0, COCO's from 1", path)
        start = 0
    good = [p for p in pairs if all(start <= n < start + len(names) for n in p)]
    bad = [p for p in (links if isinstance(links, list) else [links]) if p not in good]
    if bad:
        log.warning(
            "%s: %d links of its skeleton are left out, e.g. %s: they are no pairs of its %d "
            "keypoints, counted from 1", path, len(bad), str(bad[0])[:40], len(names),
        )  # fmt: skip
    return [[names[a - start], names[b - start]] for a, b in good]


def _is_link(link: Any) -> bool:
    return isinstance(link, list) and len(link) == 2 and all(isinstance(n, int) for n in link)


_KIND = Kind(
    title="skeleton",
    entry="keypoint",
    key="keypoints",
    keys=frozenset({"edges", "sigmas", "aliases", "base", "midpoints"}),
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
    values = [
        document.number(e.get("sigma", s), "sigma")
        for e, s in zip(document.entries, spread, strict=True)
    ]
    if min(values) <= 0:
        raise document.error("sigmas must be positive")
    return np.array(values)


def _edges(
    document: Document, colors: Sequence[Any]
) -> tuple[tuple[tuple[int, int], ...], list[Any]]:
    """Return edges and their colors; by default the color of an edge's second keypoint."""
    edges, edge_colors = [], []
    for start, end, *color in document.pairs("edges", most=3):
        edges.append((document.index(start), document.index(end)))
        edge_colors.append(color[0] if color else colors[edges[-1][1]])
    return tuple(edges), edge_colors


def _group(document: Document, key: str) -> dict[str, tuple[int, ...]]:
    """Return the indices of the entries by their value of ``key``."""
    groups: dict[str, list[int]] = {}
    for i, entry in enumerate(document.entries):
        if entry.get(key) is not None:
            groups.setdefault(str(entry[key]), []).append(i)
    return {name: tuple(members) for name, members in groups.items()}


def _rgb(colors: Sequence[Any], document: Document) -> NDArray[np.uint8]:
    """Turn ``#rrggbb`` texts into ``(N, 3)``."""
    rows = [parse_color(color, document.source) for color in colors]
    return np.array(rows, np.uint8).reshape(len(rows), 3)
