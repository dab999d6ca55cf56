"""Class lists of body parts. One YAML says names, colors, sides, weights and what files hold."""

from __future__ import annotations

import difflib
import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from sapiens_lab.anatomy import sides

log = logging.getLogger(__name__)

IGNORED = 255  # what ignored pixels hold once a file is read, whatever they held there
MAX_CLASSES = 255  # ids are 8 bits and 255 is taken
_KEYS = {"name", "classes", "flip_pairs", "ignore_index", "merge", "ignore"}
_ENTRY_KEYS = {"name", "color", "weight"}
_NUMBERED = re.compile(r"(class|label|part|id)?[\s_-]*\d+", re.IGNORECASE)  # says nothing of sides


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parts:
    """A class list.

    ``flip_indices`` is ``None`` where left and right are not known; flipping then stays off.
    """

    name: str
    classes: tuple[str, ...]  # in the order of their ids
    colors: NDArray[np.uint8]  # (C, 3) RGB
    flip_indices: (
        NDArray[np.int64] | None
    )  # (C,) the class that each becomes under a horizontal flip
    weights: NDArray[np.float64] | None = None  # (C,) factors in the loss
    ignore_index: int = IGNORED
    # (256,) value in a file -> class id or ignore_index; where it gives C or more, a mistake
    lookup: NDArray[np.uint8] = field(default_factory=lambda: np.arange(256, dtype=np.uint8))
    merged_names: dict[str, int] = field(default_factory=dict)  # the same for names in files

    @property
    def num_classes(self) -> int:
        """``C``."""
        return len(self.classes)

    def index(self, name: str) -> int:
        """Return the id of a class.

        Raises:
            ValueError: there is none of that name; the message lists the nearest.
        """
        return _index(name, self.classes, self.name)

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
    shipped = {f.name[:-5]: f for f in resources.files(__package__).iterdir() if _is_parts(f)}
    if source in shipped:
        return _parse(yaml.safe_load(shipped[source].read_text()), f"{source}.yaml")
    path = Path(source)
    if not path.is_file():
        near = difflib.get_close_matches(source, sorted(shipped), n=2, cutoff=0.4)
        raise FileNotFoundError(
            f"class list {source!r} is neither a file nor one of {', '.join(sorted(shipped))}"
            + (f"; did you mean {' or '.join(near)}?" if near else "")
        )
    return _parse(_from_coco(path) if path.suffix == ".json" else _read_yaml(path), source)


def _is_parts(file: Any) -> bool:
    return file.name.endswith(".yaml") and "\nclasses:" in file.read_text()


def _read_yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not valid YAML: {error}") from error


def _from_coco(path: Path) -> dict[str, Any]:
    """Read the categories of a COCO annotation file, in the order of their ids."""
    try:
        content = json.loads(path.read_bytes())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error
    categories = content.get("categories", []) if isinstance(content, dict) else []
    if not categories:
        raise ValueError(f"{path}: not a COCO file with `categories`, so it names no classes")
    names = [str(c["name"]) for c in sorted(categories, key=lambda c: c["id"])]
    others = [name for name in names if name.lower() != "background"]
    return {"name": path.stem, "classes": ["background", *others]}


def _parse(data: Any, source: str) -> Parts:
    """Turn the content of a YAML into a class list; every complaint names ``source``."""
    if not isinstance(data, dict) or not data.get("classes"):
        raise ValueError(f"{source}: a class list needs a list `classes` of names")
    if unknown := set(data) - _KEYS:
        raise ValueError(f"{source}: unknown {sorted(unknown)}; a class list has {sorted(_KEYS)}")
    entries = [_entry(item, source) for item in data["classes"]]
    names = tuple(entry["name"] for entry in entries)
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{source}: these classes stand there twice: {repeated}")
    if len(names) > MAX_CLASSES:
        raise ValueError(f"{source}: {len(names)} classes; at most {MAX_CLASSES} fit into 8 bits")
    lookup, merged_names = _lookup(data, names, source)
    return Parts(
        name=str(data.get("name", Path(source).stem)),
        classes=names,
        colors=_colors(entries, source),
        flip_indices=_flip_indices(data, names, source),
        weights=_weights(entries, source),
        lookup=lookup,
        merged_names=merged_names,
    )


def _entry(item: Any, source: str) -> dict[str, Any]:
    entry = dict(item) if isinstance(item, Mapping) else {"name": item}
    if "name" not in entry or (unknown := set(entry) - _ENTRY_KEYS):
        wrong = "has no name" if "name" not in entry else f"has unknown {sorted(unknown)}"
        raise ValueError(f"{source}: class {item} {wrong}; known are {sorted(_ENTRY_KEYS)}")
    return {**entry, "name": str(entry["name"])}


def _colors(entries: Sequence[Mapping[str, Any]], source: str) -> NDArray[np.uint8]:
    colors = default_colors(len(entries))
    for row, entry in zip(colors, entries, strict=True):
        try:
            if "color" in entry:
                row[:] = list(bytes.fromhex(str(entry["color"]).removeprefix("#")))
        except ValueError as error:
            raise ValueError(
                f'{source}: class {entry["name"]}: colors are written "#rrggbb", not '
                f"{entry['color']!r}"
            ) from error
    return colors


def _weights(entries: Sequence[Mapping[str, Any]], source: str) -> NDArray[np.float64] | None:
    if not any("weight" in entry for entry in entries):
        return None
    weights = np.array([float(entry.get("weight", 1)) for entry in entries])
    if not (weights >= 0).all():
        raise ValueError(f"{source}: weights must not be negative: {weights.tolist()}")
    return weights


def _flip_indices(
    data: Mapping[str, Any], names: Sequence[str], source: str
) -> NDArray[np.int64] | None:
    if data.get("flip_pairs") is not None:
        pairs = [
            (_index(a, names, source), _index(b, names, source)) for a, b in data["flip_pairs"]
        ]
    else:
        pairs = sides.infer_pairs(names)
        paired = {names[i] for pair in pairs for i in pair}
        sided = {name for name in names if sides.side_of(name) != "center"} - paired
        if fault := _unknown_sides(data, names, sorted(sided)):
            log.warning(
                "%s: %s, so flipping is off; name the left/right classes under `flip_pairs` "
                "(`flip_pairs: []` if there are none)", source, fault,
            )  # fmt: skip
            return None
        shown = ", ".join(f"{names[a]} - {names[b]}" for a, b in pairs)
        log.info("%s: left/right pairs read off the names: %s", source, shown or "none")
    try:
        return np.array(sides.flip_permutation(len(names), pairs))
    except ValueError as error:
        raise ValueError(f"{source}: flip_pairs: {error}") from error


def _unknown_sides(data: Mapping[str, Any], names: Sequence[str], alone: Sequence[str]) -> str:
    """Say why left and right cannot be read off the names; empty if they can."""
    if "flip_pairs" in data:
        return "flip_pairs is null"
    if alone:
        return f"{', '.join(alone)} have no partner on the other side"
    if sum(bool(_NUMBERED.fullmatch(name)) for name in names) > 1:
        return "numbered classes do not say which are left and right"
    return ""


def _lookup(
    data: Mapping[str, Any], names: Sequence[str], source: str
) -> tuple[NDArray[np.uint8], dict[str, int]]:
    """Return what values and names in annotation files become."""
    targets = {
        data.get("ignore_index", IGNORED): IGNORED,
        **{raw: _class_id(goal, names, source) for raw, goal in (data.get("merge") or {}).items()},
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
        if not isinstance(value, int) or not 0 <= value <= 255:
            raise ValueError(f"{source}: {raw!r} is no value of a label file; those are 0..255")
        lookup[value] = goal
    return lookup, merged_names


def _class_id(goal: Any, names: Sequence[str], source: str) -> int:
    if isinstance(goal, int) and 0 <= goal < len(names):
        return goal
    return _index(goal, names, source)


def _index(name: Any, names: Sequence[str], source: str) -> int:
    if name in names:
        return list(names).index(name)
    near = difflib.get_close_matches(str(name), names, n=3) or list(names[:3])
    raise ValueError(f"{source}: there is no class {name!r}; near are {', '.join(near)}")
