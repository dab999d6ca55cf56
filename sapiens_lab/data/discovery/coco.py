"""Finding annotations and images below a folder, whatever it calls them.

COCO's own layout, Roboflow's and a bare ``annotations.json`` beside ``images/`` are all found by
the same rule, so that ``data.root=FOLDER`` is usually all that has to be said.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sapiens_lab.anatomy.skeleton import Skeleton

log = logging.getLogger(__name__)

Split = Literal["train", "val"]

_SPLIT_WORDS = {"train": {"train", "training"}, "val": {"val", "valid", "validation"}}
_POSE_WORDS = ("keypoint", "wholebody", "kpt", "pose", "coco")
# COCO-WholeBody keeps its 133 points under five keys; joined in this order.
WHOLEBODY_KEYS = ("keypoints", "foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts")


@dataclass(frozen=True, slots=True, kw_only=True)
class CocoFile:
    """A parsed annotation file."""

    path: Path
    content: dict[str, Any]
    is_whole: bool  # it has no partner for the other split, so its images must be divided


def find_annotations(root: Path, split: Split, skeleton: Skeleton, given: str | None) -> CocoFile:
    """Return the annotation file of a split.

    Args:
        root: folder of the data set.
        split: ``train`` or ``val``.
        skeleton: its number of keypoints decides which file fits.
        given: file to use, absolute or relative to ``root``; ``None`` searches ``root``,
            ``root/annotations`` and the folder of the split.

    Raises:
        FileNotFoundError: no folder, no file, or none that fits; each is listed with its fault.
        ValueError: the given file does not fit.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"data.root={root} is not a folder (looked from {Path.cwd()})")
    if given is not None:
        path = root / given
        if not path.is_file():
            near = ", ".join(p.name for p in _json_files(root, split)) or "none"
            raise FileNotFoundError(f"there is no annotation file {path}; JSON files near: {near}")
        content = read_json(path)
        if fault := find_fault(content, skeleton):
            raise ValueError(f"{path}: {fault}")
        return CocoFile(path=path, content=content, is_whole=False)
    faults = []
    files = _json_files(root, split)
    named = [path for path in files if _splits_in(path, root)]
    for path in _ranked(files, split, root, skeleton):
        content = read_json(path)
        if fault := find_fault(content, skeleton):
            faults.append(f"  {path.relative_to(root)}: {fault}")
            continue
        whole = split not in _splits_in(path, root) and path not in named
        log.info("%s annotations: %s", split, path)
        return CocoFile(path=path, content=content, is_whole=whole)
    raise FileNotFoundError(
        f"no {split} annotations with the {skeleton.num_keypoints} keypoints of "
        f"{skeleton.name!r} below {root}. "
        + ("Looked at:\n" + "\n".join(faults) if faults else "There is no JSON file in it.")
        + f"\nName the file with data.{split}.annotation_file=FILE, or the keypoint set with "
        "skeleton=FILE (the annotation file itself will do)"
    )


def find_image_folder(root: Path, file: CocoFile, split: Split, given: str | None) -> Path:
    """Return the folder that the file names of an annotation file are relative to.

    Raises:
        FileNotFoundError: none of the usual folders holds them.
    """
    names = [str(image["file_name"]) for image in file.content["images"][:50]]
    if given is not None:
        return root / given
    words = [split, f"{split}2017", f"{split}2014", *sorted(_SPLIT_WORDS[split])]
    folders = [file.path.parent, root, *(p / "images" for p in (file.path.parent, root))]
    folders += [base / word for base in (root, root / "images") for word in words]
    best = max(folders, key=lambda folder: sum((folder / name).is_file() for name in names))
    if not any((best / name).is_file() for name in names):
        looked = ", ".join(dict.fromkeys(str(f) for f in folders if f.is_dir()))
        raise FileNotFoundError(
            f"the images of {file.path} are not there, e.g. {names[0]}; looked in {looked}. "
            f"Name their folder with data.{split}.image_dir=FOLDER"
        )
    return best


def missing_images(folder: Path, names: Iterable[str]) -> list[str]:
    """Return the names that are no files, listing every folder once."""
    listed: dict[Path, set[str]] = {}
    missing = []
    for name in names:
        path = folder / name
        if path.parent not in listed:
            entries = path.parent.iterdir() if path.parent.is_dir() else ()
            listed[path.parent] = {entry.name for entry in entries}
        if path.name not in listed[path.parent]:
            missing.append(name)
    return missing


def read_json(path: Path) -> Any:
    """Parse a JSON file.

    Raises:
        ValueError: it is not JSON; the message has file and line.
    """
    try:
        return json.loads(path.read_bytes())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error


def find_fault(content: Any, skeleton: Skeleton) -> str:
    """Say why a JSON file does not hold people with these keypoints; empty if it does."""
    if not isinstance(content, dict):
        return "not a COCO file: its top level is a list (detections?), not a dictionary"
    if lacking := [key for key in ("images", "annotations") if not content.get(key)]:
        return f"not a COCO file: it has no {' and no '.join(lacking)}"
    person = next((a for a in content["annotations"] if "keypoints" in a), None)
    if person is None:
        return "its annotations have no keypoints"
    count = num_keypoints(person, skeleton)
    if count != skeleton.num_keypoints:
        return (
            f"its people have {count:g} keypoints, {skeleton.name!r} has "
            f"{skeleton.num_keypoints}; skeleton={'FILE'} takes the set from a file"
        )
    return ""


def num_keypoints(annotation: dict[str, Any], skeleton: Skeleton) -> float:
    """Return how many keypoints an annotation has, joined if the skeleton is the whole body's."""
    return sum(len(annotation[key]) for key in keypoint_keys(annotation, skeleton)) / 3


def keypoint_keys(annotation: dict[str, Any], skeleton: Skeleton) -> Sequence[str]:
    """Return the keys whose numbers together are the skeleton's keypoints."""
    joined = len(annotation["keypoints"]) != 3 * skeleton.num_keypoints
    return WHOLEBODY_KEYS if joined and "foot_kpts" in annotation else ("keypoints",)


def _json_files(root: Path, split: Split) -> list[Path]:
    folders = [root, root / "annotations", *(root / word for word in sorted(_SPLIT_WORDS[split]))]
    return [path for folder in folders if folder.is_dir() for path in sorted(folder.glob("*.json"))]


def _ranked(files: Sequence[Path], split: Split, root: Path, skeleton: Skeleton) -> list[Path]:
    """Order files by how well their names fit; those of the other split are left out."""
    fitting = [path for path in files if _splits_in(path, root) <= {split}]
    whole = skeleton.num_keypoints == 133

    def rank(path: Path) -> tuple[bool, bool, bool]:
        name = path.name.lower()
        return (
            split not in _splits_in(path, root),
            not any(word in name for word in _POSE_WORDS),
            ("wholebody" in name) != whole,
        )

    return sorted(fitting, key=rank)


def _splits_in(path: Path, root: Path) -> set[str]:
    """Return the splits that a path speaks of."""
    words = set(re.split(r"[^a-z]+", str(path.relative_to(root)).lower()))
    return {split for split, known in _SPLIT_WORDS.items() if words & known}
