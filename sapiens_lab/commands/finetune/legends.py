"""Names of classes beside a folder of masks, as tools write them.

``classes.txt`` (a name a line), ``labelmap.txt`` (CVAT), ``_classes.csv`` (Roboflow), a YAML of
ours, and the YAML of YOLO (``names:``).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sapiens_lab.anatomy.yaml_files import read_yaml
from sapiens_lab.limits import read_file

_MAX_BYTES = 1 << 20
_TEXTS = ("classes.txt", "labels.txt", "class_names.txt", "obj.names")
_NUMBERED = re.compile(r"(\d+)\s*[:,;\s]\s*(\S.*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Legend:
    """A file that names classes."""

    path: Path
    names: Mapping[int, str] = field(default_factory=dict)  # by value in the masks
    colors: Mapping[str, str] = field(default_factory=dict)  # "#rrggbb" by name
    is_list: bool = False  # it is a class list of ours
    is_from_one: bool = False  # its numbers are places in a list that may lack a background


def find_legend(root: Path) -> Legend | None:
    """Return the legend in a folder, or in its folder of training data.

    Raises:
        ValueError: it is malformed; names it.
    """
    for folder in (root, root / "train", root / "labels", root / "masks"):
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if path.is_file() and (legend := _read(path)) is not None:
                return legend
    return None


def _read(path: Path) -> Legend | None:
    name = path.name.lower()
    if name in _TEXTS:
        return _text(path)
    if name == "labelmap.txt":
        return _label_map(path)
    if name == "_classes.csv":
        return _csv(path)
    return _yaml(path) if path.suffix.lower() in (".yaml", ".yml") else None


def _lines(path: Path) -> Iterator[str]:
    text = read_file(path, _MAX_BYTES).decode("utf-8-sig", errors="replace")
    lines = (line.strip() for line in text.splitlines())
    return (line for line in lines if line and not line.startswith("#"))


def _text(path: Path) -> Legend | None:
    lines = list(_lines(path))
    numbered = [_NUMBERED.fullmatch(line) for line in lines]
    if all(numbered) and lines:
        return Legend(path=path, names={int(m[1]): m[2] for m in numbered if m})
    return Legend(path=path, names=dict(enumerate(lines)), is_from_one=True) if lines else None


def _label_map(path: Path) -> Legend | None:
    """Read CVAT's ``name:red,green,blue:parts:actions``."""
    names: dict[int, str] = {}
    colors: dict[str, str] = {}
    for index, line in enumerate(_lines(path)):
        name, color, *_ = [*line.split(":"), ""]
        numbers = color.split(",")
        names[index] = name
        if len(numbers) == 3 and all(n.strip().isdigit() and int(n) < 256 for n in numbers):
            colors[name] = "#" + "".join(f"{int(n):02x}" for n in numbers)
    return Legend(path=path, names=names, colors=colors) if names else None


def _csv(path: Path) -> Legend | None:
    """Read Roboflow's table of pixel values and classes."""
    rows = csv.reader(_lines(path))
    names = {int(r[0]): r[1].strip() for r in rows if len(r) > 1 and r[0].strip().isdigit()}
    return Legend(path=path, names=names) if names else None


def _yaml(path: Path) -> Legend | None:
    try:
        content: Any = read_yaml(path)
    except ValueError:
        return None  # some other program's
    if not isinstance(content, Mapping):
        return None
    if isinstance(content.get("classes"), list):
        return Legend(path=path, is_list=True)
    names = content.get("names")
    if isinstance(names, list):
        return Legend(path=path, names={i: str(n) for i, n in enumerate(names)}, is_from_one=True)
    if isinstance(names, Mapping) and all(isinstance(key, int) for key in names):
        return Legend(path=path, names={int(k): str(n) for k, n in names.items()}, is_from_one=True)
    return None
