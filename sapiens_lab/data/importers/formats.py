"""The formats that are read, and what recognizes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sapiens_lab.data.importers import labelme, yolo
from sapiens_lab.data.importers.annotated import Annotated


@dataclass(frozen=True, slots=True, kw_only=True)
class Importer:
    """Reads one format."""

    name: str  # as ``--format`` takes it
    title: str
    find: Callable[[Path], str | None]  # what was found, in a few words; cheap
    read: Callable[[Path], Annotated]


# The most particular first: the first that finds something reads.
IMPORTERS = (
    Importer(name="yolo", title="YOLO-pose, YOLO-seg", find=yolo.find, read=yolo.read),
    Importer(name="labelme", title="LabelMe", find=labelme.find, read=labelme.read),
)


def recognize(root: str | Path) -> Importer | None:
    """Return the importer of a folder or file, by a look at its content; ``None`` if none fits."""
    return next((i for i in IMPORTERS if i.find(Path(root))), None)


def importer_named(name: str) -> Importer:
    """Return an importer by its name.

    Raises:
        ValueError: there is none; lists them.
    """
    for importer in IMPORTERS:
        if importer.name == name:
            return importer
    raise ValueError(f"there is no format {name!r}; choose {', '.join(i.name for i in IMPORTERS)}")
