"""The formats that are read, and what recognizes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sapiens_lab.data.importers import (
    coco,
    cvat,
    datumaro,
    deeplabcut,
    label_maps,
    label_studio,
    labelme,
    supervisely,
    via,
    yolo,
)
from sapiens_lab.data.importers.annotated import Annotated


@dataclass(frozen=True, slots=True, kw_only=True)
class Importer:
    """Reads one format."""

    name: str  # as ``--format`` takes it
    title: str
    find: Callable[[Path], str | None]  # what was found, in a few words; cheap
    read: Callable[[Path], Annotated]


class _Format(Protocol):
    """What the module of a format has."""

    def find(self, root: Path) -> str | None: ...

    def read(self, root: Path) -> Annotated: ...


def _importer(name: str, title: str, module: _Format) -> Importer:
    return Importer(name=name, title=title, find=module.find, read=module.read)


# The most particular first: the first that finds something reads.
IMPORTERS = (
    _importer("yolo", "YOLO-pose, YOLO-seg", yolo),
    _importer("cvat", "CVAT XML", cvat),
    _importer("supervisely", "Supervisely", supervisely),
    _importer("datumaro", "Datumaro JSON", datumaro),
    _importer("via", "VIA JSON or CSV", via),
    _importer("labelme", "LabelMe", labelme),
    _importer("label_studio", "Label Studio JSON", label_studio),
    _importer("deeplabcut", "DeepLabCut CSV", deeplabcut),
    _importer("coco", "COCO JSON", coco),
    _importer("label_maps", "label maps in .mat or HDF5", label_maps),
)


def recognize(root: str | Path) -> Importer | None:
    """Return the importer of a folder or file, by a look at its content; ``None`` if none fits."""
    return next((i for i in IMPORTERS if i.find(Path(root))), None)


def conversion_hint(root: Path) -> str:
    """Return what to say of a folder that is no dataset of ours; empty if it is unknown too."""
    importer = recognize(root)
    if importer is None or importer.name == "coco":
        return ""
    return (
        f"{root} is {importer.find(root)}: `sapiens convert {root} OUT` makes a dataset of it; "
        "experiment=finetune/pose and finetune/segmentation read it as it is"
    )


def importer_named(name: str) -> Importer:
    """Return an importer by its name.

    Raises:
        ValueError: there is none; lists them.
    """
    for importer in IMPORTERS:
        if importer.name == name:
            return importer
    raise ValueError(f"there is no format {name!r}; choose {', '.join(i.name for i in IMPORTERS)}")
