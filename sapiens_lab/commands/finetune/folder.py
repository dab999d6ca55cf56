"""Look at a folder: what its data are, and how they are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from sapiens_lab.anatomy.parts import Parts
from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.commands.finetune.class_list import find_classes
from sapiens_lab.commands.finetune.imported import Imported, import_foreign
from sapiens_lab.commands.finetune.keypoints import describe_skeleton, find_skeleton
from sapiens_lab.commands.finetune.request import Decision, Request, word
from sapiens_lab.data.datasets.coco_parts import WANTED
from sapiens_lab.data.datasets.coco_people import any_people
from sapiens_lab.data.datasets.part_masks import LAYOUTS, Layout, find_label_files
from sapiens_lab.data.discovery import coco
from sapiens_lab.data.discovery.splits import check_root

_LAYOUTS = {
    "pose": "a COCO JSON with keypoints, and its images",
    "segmentation": "images/ and labels/ (or masks/), or a COCO JSON with polygons or RLE",
    "depth": "images/ and depths/ (or rgb/ and depth/), perhaps masks/",
    "normal": "images/ and normals/ (or rgb/ and normal/), perhaps masks/",
}


def look(request: Request) -> list[Decision]:
    """Say what the data of a folder are, and decide how they are read.

    Raises:
        FileNotFoundError: there are no data of the task; says what is looked for.
        ValueError: there is no task to look for.
    """
    if request.task not in _LAYOUTS:
        raise ValueError(f"task={request.task}: recipe= knows {', '.join(_LAYOUTS)}")
    check_root(request.root, None)
    if request.task == "pose":
        return _pose(request)
    if request.task == "segmentation":
        return _segmentation(request)
    text = f"images and {request.task} maps below {request.root}"
    return [Decision(title="data", text=text)]


def _pose(request: Request) -> list[Decision]:
    file = _coco(request, any_people())
    if isinstance(file, str):
        if (foreign := import_foreign(request)) is not None:
            return [foreign.decision(request.root), _foreign_skeleton(request, foreign)]
        raise FileNotFoundError(_nothing(request, file))
    found = [Decision(title="data", text=f"COCO keypoints, {file.path}")]
    if request.is_open("skeleton"):
        return [*found, find_skeleton(request, file)]
    names = Skeleton.load(str(request.value("skeleton"))).num_keypoints
    return [
        *found,
        Decision(title="skeleton", text=f"{names} points of {request.value('skeleton')}"),
    ]


def _segmentation(request: Request) -> list[Decision]:
    if not request.is_free("data", "parts"):
        return _typed_data(request)
    faults = []
    for layout in _layouts(request):
        try:
            masks = _find_masks(request, layout)
        except (FileNotFoundError, ValueError) as error:
            faults.append(str(error))
        else:
            return _mask_folder(request, layout, masks)
    file = _coco(request, WANTED)
    if isinstance(file, str):
        if (foreign := import_foreign(request)) is not None:
            return _foreign_classes(request, foreign)
        raise FileNotFoundError(_nothing(request, f"{faults[0]}\n{file}"))
    text = f"COCO polygons or RLE, {file.path} (data=coco_parts)"
    found = Decision(title="data", text=text, words=("data=coco_parts",))
    return [found, *_classes(request, lambda: _categories(file.path))]


def _foreign_skeleton(request: Request, foreign: Imported) -> Decision:
    if not request.is_open("skeleton"):
        return Decision(title="skeleton", text=f"{request.value('skeleton')}, as you say")
    if foreign.skeleton is None:
        raise FileNotFoundError(f"{request.root} is {foreign.what}, and has no keypoints")
    return describe_skeleton(foreign.skeleton)


def _foreign_classes(request: Request, foreign: Imported) -> list[Decision]:
    if foreign.parts is None:
        raise FileNotFoundError(f"{request.root} is {foreign.what}, and has no regions")
    parts = foreign.parts
    data = foreign.decision(request.root)
    data = replace(data, words=("data=coco_parts", *data.words))

    def decide() -> Decision:
        text = f"{Parts.load(parts).num_classes} of {parts}"
        return Decision(title="classes", text=text, words=(word("parts", parts),))

    return [data, *_classes(request, decide)]


def _mask_folder(request: Request, layout: Layout, masks: list[Path]) -> list[Decision]:
    words = () if layout == "folders" else (word("data.train.layout", layout),)
    what = "images and masks" if layout == "folders" else f"the layout of {layout}"
    found = Decision(title="data", text=f"{what}, {masks[0].parent}", words=words)
    return [found, *_classes(request, lambda: find_classes(request, masks))]


def _find_masks(request: Request, layout: Layout) -> list[Path]:
    """Return the masks of the training set."""
    files = find_label_files(
        request.root,
        "train",
        layout=layout,
        image_dir=request.value("data.train.image_dir"),
        label_dir=request.value("data.train.label_dir"),
        val_fraction=None,
        group_by=None,
        on_error="skip",
    )
    return files["label"]


def _layouts(request: Request) -> tuple[Layout, ...]:
    return (
        (request.value("data.train.layout"),) if request.is_typed("data.train.layout") else LAYOUTS
    )


def _typed_data(request: Request) -> list[Decision]:
    """Describe what the user chose with ``data=``."""
    found = Decision(title="data", text=f"data={request.choices['data']}, as you say")
    if not request.is_open("parts"):
        return [found, *_classes(request, None)]
    if request.choices["data"] != "coco_parts":
        raise ValueError(f"parts has no value: with data={request.choices['data']}, add parts=FILE")
    file = _coco(request, WANTED)
    if isinstance(file, str):
        raise FileNotFoundError(_nothing(request, file))
    return [found, _categories(file.path)]


def _classes(request: Request, decide: Callable[[], Decision] | None) -> list[Decision]:
    """Return the class list: the user's, or what is found."""
    source = request.value("parts")
    found = []
    if request.is_open("parts"):
        assert decide is not None
        found = [decide()]
        source = found[0].words[0].split("=", 1)[1].strip("'")
    parts = Parts.load(str(source))
    if not found:
        found = [Decision(title="classes", text=f"{parts.num_classes} of {source}")]
    sides = (
        "" if parts.flip_indices is not None else "; left or right unclear, so nothing is flipped"
    )
    if parts.weights is None:
        balance = "; rare ones count more (task.loss.class_weights=null: all alike)"
        words = (*found[0].words, "task.loss.class_weights=auto")
        return [Decision(title="classes", text=found[0].text + sides + balance, words=words)]
    return [replace(found[0], text=found[0].text + sides)]


def _categories(path: Path) -> Decision:
    parts = Parts.load(str(path))
    text = f"{parts.num_classes}, the categories of {path.name} after a background"
    return Decision(title="classes", text=text, words=(word("parts", path),))


def _coco(request: Request, wanted: coco.Wanted) -> coco.CocoFile | str:
    """Return the annotation file of the training set, or why there is none."""
    try:
        return coco.find_annotations(
            request.root, "train", wanted, given=request.value("data.train.annotation_file")
        )
    except FileNotFoundError as error:
        return str(error)


def _nothing(request: Request, faults: str) -> str:
    return (
        f"{request.root} holds no data for {request.task} that are known: {_LAYOUTS[request.task]} "
        f"(docs/data.md).\n{faults}"
    )
