"""Read a list of named entries, keypoints or classes, from a YAML or a COCO file.

A ``Document`` is the checked content of one file; every error names the file.
"""

from __future__ import annotations

import difflib
import gc
import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from sapiens_lab.anatomy import sides
from sapiens_lab.anatomy.yaml_files import read_yaml
from sapiens_lab.limits import MAX_JSON_BYTES, read_file

log = logging.getLogger(__name__)

_NUMBERED = re.compile(r"(class|label|part|id)?[\s_-]*\d+", re.IGNORECASE)  # names no side


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What a kind of file holds, and how messages call it."""

    title: str  # of the file
    entry: str  # of one entry
    key: str  # of the list of entries
    keys: frozenset[str]  # that a file may have beside ``name``, ``flip_pairs`` and the list
    entry_keys: frozenset[str]  # that an entry may have beside ``name``
    from_coco: Callable[[Path, Mapping[str, Any]], dict[str, Any]]  # a COCO file -> YAML


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """The content of a file."""

    kind: Kind
    source: str  # for messages
    data: Mapping[str, Any]
    entries: Sequence[Mapping[str, Any]]  # each with a name of its own

    @property
    def title(self) -> str:
        """The name that the file gives, or its own."""
        return str(self.data.get("name", Path(self.source).stem))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the entries."""
        return tuple(entry["name"] for entry in self.entries)

    def index(self, name: Any) -> int:
        """Return the index of an entry.

        Raises:
            ValueError: there is none of that name; the message lists the nearest.
        """
        return index_of(name, self.names, source=self.source, entry=self.kind.entry)

    def pairs(self, key: str, *, most: int = 2) -> list[list[Any]]:
        """Return a list of lists of two names, or up to ``most`` entries.

        Raises:
            ValueError: it is something else.
        """
        given = self.data.get(key) or []
        if not isinstance(given, list) or any(
            not isinstance(pair, list) or not 2 <= len(pair) <= most for pair in given
        ):
            raise self.error(
                f"`{key}` must be a list of pairs of {self.kind.entry}s, [[a, b], ...]"
            )
        return given

    def number(self, value: Any, what: str) -> float:
        """Return a finite number.

        Raises:
            ValueError: it is something else.
        """
        if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
            raise self.error(f"{what} must be a number, not {value!r}")
        return float(value)

    def error(self, message: str) -> ValueError:
        """Return an error that names the file."""
        return ValueError(f"{self.source}: {message}")


def load(source: str, kind: Kind) -> Document:
    """Read a file that the package ships, by its name, or any other by its path.

    Raises:
        FileNotFoundError: neither a shipped name nor a file.
        ValueError: the file is malformed; names it.
    """
    texts = _shipped_texts(kind)
    if source in texts:
        return _check(yaml.safe_load(texts[source]), f"{source}.yaml", kind)
    path = Path(source)
    if not path.is_file():
        near = difflib.get_close_matches(source, texts, n=2, cutoff=0.4)
        raise FileNotFoundError(
            f"{kind.title} {source!r} is neither a file nor one of {', '.join(texts)}"
            + (f"; did you mean {' or '.join(near)}?" if near else "")
        )
    if path.suffix != ".json":
        return _check(read_yaml(path), source, kind)
    content = read_json(path)
    categories = content.get("categories") if isinstance(content, dict) else None
    if not isinstance(categories or [], list) or any(
        not isinstance(category, dict) or "name" not in category for category in categories or []
    ):
        raise ValueError(f"{source}: `categories` is no list of dictionaries with a name each")
    return _check(kind.from_coco(path, content if isinstance(content, dict) else {}), source, kind)


def shipped_names(kind: Kind) -> list[str]:
    """Return the names of the files of a kind that the package ships."""
    return list(_shipped_texts(kind))


def _shipped_texts(kind: Kind) -> dict[str, str]:
    files = sorted(resources.files(__package__).iterdir(), key=lambda file: file.name)
    texts = {f.name[:-5]: f.read_text() for f in files if f.name.endswith(".yaml")}
    return {name: text for name, text in texts.items() if f"\n{kind.key}:" in text}


def read_json(path: Path) -> Any:
    """Parse a JSON file.

    Raises:
        ValueError: it is not JSON; the message has file and line. Or it is larger than the limit.
    """
    content = read_file(path, MAX_JSON_BYTES)
    try:
        with uncollected():
            return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error


@contextmanager
def uncollected() -> Iterator[None]:
    """Pause the garbage collector while large files are read; serves as a decorator as well.

    Nothing in a parsed file is garbage, and looking for some takes a third of the time.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def index_of(name: Any, names: Sequence[str], *, source: str, entry: str) -> int:
    """Return the index of a name.

    Raises:
        ValueError: there is no such name; the message lists the nearest.
    """
    if name in names:
        return names.index(name)
    near = difflib.get_close_matches(str(name), names, n=3) or names[:3]
    raise ValueError(f"{source}: there is no {entry} {name!r}; near are {', '.join(near)}")


def parse_color(color: Any, where: str) -> tuple[int, int, int]:
    """Turn ``#rrggbb`` into (red, green, blue).

    Raises:
        ValueError: it is written in another way.
    """
    if not re.fullmatch(r"#?[0-9a-fA-F]{6}", str(color)):
        raise ValueError(f'{where}: colors are written "#rrggbb", not {color!r}')
    red, green, blue = bytes.fromhex(str(color).removeprefix("#"))
    return red, green, blue


def flip_indices(document: Document, *, needs_pairs: bool) -> NDArray[np.int64] | None:
    """Return the index that each entry becomes under a horizontal flip.

    They are given as ``flip_pairs`` or inferred from the names.

    Args:
        document: the file.
        needs_pairs: whether names without any pair mean that left and right are unknown.

    Returns:
        ``(N,)``, or ``None``, with a warning, if left and right are not known.

    Raises:
        ValueError: ``flip_pairs`` makes no sense.
    """
    given = document.data.get("flip_pairs")
    if given is not None:
        pairs = [(document.index(a), document.index(b)) for a, b in document.pairs("flip_pairs")]
    else:
        names = document.names
        pairs = sides.infer_pairs(names)
        is_null = "flip_pairs" in document.data
        fault = "flip_pairs is null" if is_null else _find_fault(names, pairs, needs_pairs)
        if fault:
            log.warning(
                "%s: %s, so flipping is off; name the left/right pairs under `flip_pairs` in a "
                "YAML (`flip_pairs: []` if there are none)", document.source, fault,
            )  # fmt: skip
            return None
        shown = ", ".join(f"{names[a]} - {names[b]}" for a, b in pairs)
        log.info("%s: left/right pairs inferred from names: %s", document.source, shown or "none")
    try:
        return np.array(sides.flip_permutation(len(document.entries), pairs))
    except ValueError as error:
        raise document.error(f"flip_pairs: {error}") from error


def _find_fault(names: Sequence[str], pairs: Sequence[tuple[int, int]], needs_pairs: bool) -> str:
    """Say why names do not tell left from right; empty if they do."""
    paired = {names[i] for pair in pairs for i in pair}
    alone = [n for n in names if n not in paired and sides.side_of(n) != "center"]
    if alone:
        return f"{', '.join(sorted(alone))} have no partner on the other side"
    if sum(bool(_NUMBERED.fullmatch(name)) for name in names) > 1:
        return "numbered names do not say which are left and right"
    return "the names have no left/right pairs" if needs_pairs and not pairs else ""


def _check(data: Any, source: str, kind: Kind) -> Document:
    if not isinstance(data, Mapping) or not data.get(kind.key):
        raise ValueError(f"{source}: a {kind.title} needs a list `{kind.key}` of names")
    if not isinstance(data[kind.key], list):
        found = type(data[kind.key]).__name__
        raise ValueError(f"{source}: `{kind.key}` must be a list of names, it is a {found}")
    known = kind.keys | {"name", "flip_pairs", kind.key}
    if unknown := set(data) - known:
        shown = sorted(map(str, unknown))
        raise ValueError(f"{source}: unknown {shown}; a {kind.title} has {sorted(known)}")
    entries = [_entry(item, source, kind) for item in data[kind.key]]
    names = [entry["name"] for entry in entries]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{source}: `{kind.key}` lists these names twice: {repeated}")
    return Document(kind=kind, source=source, data=data, entries=entries)


def _entry(item: Any, source: str, kind: Kind) -> dict[str, Any]:
    entry = dict(item) if isinstance(item, Mapping) else {"name": item}
    known = kind.entry_keys | {"name"}
    unknown = sorted(map(str, set(entry) - known))
    if not isinstance(entry.get("name"), str | int | float) or unknown:
        wrong = f"has unknown {unknown}" if unknown else "has no name"
        raise ValueError(f"{source}: {kind.entry} {item} {wrong}; known are {sorted(known)}")
    return {**entry, "name": str(entry["name"])}
