"""Class lists of body parts. One YAML says names, colors, sides, weights and what files hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sapiens_lab.anatomy.loading import Document, Kind, flip_indices, index_of, load, parse_color

IGNORED = 255  # what ignored pixels hold once a file is read, whatever they held there
MAX_CLASSES = 255  # ids are 8 bits and 255 is taken


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parts:
    """A class list.

    ``flip_indices`` is ``None`` where left and right are not known; flipping then stays off.
    """

    name: str
    classes: tuple[str, ...]  # in the order of their ids
    colors: NDArray[np.uint8]  # (C, 3) RGB
    flip_indices: NDArray[np.int64] | None  # (C,) the class that each becomes under a flip
    weights: NDArray[np.float64] | None = None  # (C,) factors in the loss
    ignore_index: int = IGNORED
    # (256,) value in a file -> class id or ignore_index; where it gives C or more, a mistake
    lookup: NDArray[np.uint8] = field(default_factory=lambda: np.arange(256, dtype=np.uint8))
    merged_names: dict[str, int] = field(default_factory=dict)  # the same for names in files
    explained: frozenset[int] = frozenset()  # values in files that the list speaks of itself

    @property
    def num_classes(self) -> int:
        """``C``."""
        return len(self.classes)

    def index(self, name: str) -> int:
        """Return the id of a class.

        Raises:
            ValueError: there is none of that name; the message lists the nearest.
        """
        return index_of(name, self.classes, source=self.name, entry="class")

    def class_of(self, name: str) -> int:
        """Return what a name in an annotation file becomes: a class id or ``ignore_index``.

        Raises:
            ValueError: it is neither a class nor merged nor ignored.
        """
        return self.merged_names[name] if name in self.merged_names else self.index(name)

    @staticmethod
    def load(source: str | Path | Parts) -> Parts:
        """Return the class list that ``source`` means.

        Args:
            source: a shipped name (``goliath28``, ``seg29``, ``face19``, ``lip20``, ``cihp20``),
                the path of a YAML, the path of a COCO annotation file (its categories, after a
                background with id 0), or a class list.

        Raises:
            FileNotFoundError: neither a shipped name nor a file.
            ValueError: the file says something impossible; the message names it.
        """
        return source if isinstance(source, Parts) else _load(str(source))


def read_255_as(parts: Parts, class_id: int) -> Parts:
    """Return a class list for which 255 in files is a class and not what is ignored."""
    lookup = parts.lookup.copy()
    lookup[IGNORED] = class_id
    return replace(parts, lookup=lookup)


def default_colors(count: int) -> NDArray[np.uint8]:
    """Return distinct colors ``(count, 3)``, the first black.

    The map of PASCAL VOC, which labeling tools use too: bits 0, 1, 2 of every three bits of the
    id become the next lower bit of red, green and blue, from the highest down.
    """
    ids = np.arange(count)[:, None]
    colors = np.zeros((count, 3), np.int64)
    for place in range(8):
        colors |= ((ids >> (3 * place + np.arange(3))) & 1) << (7 - place)
    return colors.astype(np.uint8)


@lru_cache(maxsize=32)
def _load(source: str) -> Parts:
    document = load(source, _KIND)
    names = document.names
    if len(names) > MAX_CLASSES:
        raise document.error(f"{len(names)} classes; at most {MAX_CLASSES} fit into 8 bits")
    lookup, merged_names = _lookup(document)
    return Parts(
        name=document.title,
        classes=names,
        colors=_colors(document),
        flip_indices=flip_indices(document, needs_pairs=False),
        weights=_weights(document),
        lookup=lookup,
        merged_names=merged_names,
        explained=_explained(document),
    )


def _from_coco(path: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    """Turn the categories of a COCO file, in the order of their ids, into the YAML's form."""
    categories = content.get("categories") or []
    if not categories:
        raise ValueError(f"{path}: not a COCO file with `categories`, so it names no classes")
    if any(not isinstance(c.get("id"), int) for c in categories):
        raise ValueError(f"{path}: each of its categories needs an id that is a number")
    names = [str(c["name"]) for c in sorted(categories, key=lambda c: c["id"])]
    others = [name for name in names if name.lower() != "background"]
    return {"name": path.stem, "classes": ["background", *others]}


_KIND = Kind(
    title="class list",
    entry="class",
    key="classes",
    keys=frozenset({"ignore_index", "merge", "ignore"}),
    entry_keys=frozenset({"color", "weight"}),
    from_coco=_from_coco,
)


def _colors(document: Document) -> NDArray[np.uint8]:
    colors = default_colors(len(document.entries))
    for row, entry in zip(colors, document.entries, strict=True):
        if "color" in entry:
            row[:] = parse_color(entry["color"], f"{document.source}: class {entry['name']}")
    return colors


def _weights(document: Document) -> NDArray[np.float64] | None:
    if not any("weight" in entry for entry in document.entries):
        return None
    weights = np.array([document.number(e.get("weight", 1), "weight") for e in document.entries])
    if not (weights >= 0).all():
        raise document.error(f"weights must not be negative: {weights.tolist()}")
    return weights


def _lookup(document: Document) -> tuple[NDArray[np.uint8], dict[str, int]]:
    """Return what values and names in annotation files become."""
    data, names = document.data, document.names
    if not isinstance(data.get("merge") or {}, Mapping):
        raise document.error("`merge` must be a table, {value in files: class}")
    if not isinstance(data.get("ignore") or [], list):
        raise document.error("`ignore` must be a list of values in files")
    targets = {
        data.get("ignore_index", IGNORED): IGNORED,
        **{raw: _class_id(goal, document) for raw, goal in (data.get("merge") or {}).items()},
        **dict.fromkeys(data.get("ignore") or [], IGNORED),
    }
    lookup = np.arange(256, dtype=np.uint8)
    merged_names: dict[str, int] = {}
    for raw, goal in targets.items():
        if isinstance(raw, str):
            merged_names[raw] = goal
            if raw not in names:
                continue
        value = names.index(raw) if isinstance(raw, str) else raw
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 255:
            raise document.error(f"{raw!r} is no value of a label file; those are 0..255")
        lookup[value] = goal
    return lookup, merged_names


def _explained(document: Document) -> frozenset[int]:
    data = document.data
    given = [*(data.get("merge") or {}), *(data.get("ignore") or []), data.get("ignore_index")]
    return frozenset(value for value in given if isinstance(value, int))


def _class_id(goal: Any, document: Document) -> int:
    if isinstance(goal, int) and 0 <= goal < len(document.entries):
        return goal
    return document.index(goal)
