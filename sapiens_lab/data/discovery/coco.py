"""Find COCO annotations and their images below a folder, whatever they are called.

COCO's own layout, Roboflow's and a bare ``annotations.json`` beside ``images/`` are all found by
the same rule, so that ``data.root=FOLDER`` is usually enough.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sapiens_lab.anatomy.loading import read_json
from sapiens_lab.data.checks.finding import OnError, first, of_rows, settle
from sapiens_lab.data.checks.json_files import check_structure
from sapiens_lab.data.discovery.splits import WORDS, Split, check_root, split_of
from sapiens_lab.data.images import SUFFIXES
from sapiens_lab.data.importers.formats import conversion_hint

log = logging.getLogger(__name__)

_MOST_FAULTS = 8  # files that a message says the fault of


@dataclass(frozen=True, slots=True, kw_only=True)
class CocoFile:
    """A parsed annotation file."""

    path: Path
    content: dict[str, Any]
    is_whole: bool  # it serves both splits, so its images must be divided


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What an annotation file must hold."""

    what: str  # a message calls it so
    find_fault: Callable[[dict[str, Any]], str]  # why a COCO file does not fit; empty if it does
    keys: Sequence[str]  # lists that the file must have
    rank: Callable[[str], Sequence[bool]]  # of a lower-case file name; False is likelier
    remedy: str  # ends the message if no file fits


def find_annotations(
    root: str | Path, split: Split, wanted: Wanted, *, given: str | None
) -> CocoFile:
    """Return the annotation file of a split.

    A file whose path names a split serves that split. Any other file serves both, unless the
    other split has a fitting file of its own.

    Args:
        root: folder of the dataset.
        split: ``train`` or ``val``.
        wanted: what the file must hold.
        given: file to use, absolute or relative to ``root``; ``None`` searches ``root``,
            ``root/annotations`` and the folders of the splits.

    Raises:
        FileNotFoundError: no folder, no file, or none that fits; each is listed with its fault.
        ValueError: the given file does not fit.
    """
    root = check_root(root, split)
    files = {path: split_of(path.relative_to(root)) for path in _json_files(root)}
    if given is not None:
        return _read_given(root / given, list(files), wanted)
    faults = []
    for path in sorted(
        (path for path, named in files.items() if named in (split, None)),
        key=lambda path: (files[path] is None, *wanted.rank(path.name.lower())),
    ):
        content = read_json(path)
        if fault := find_fault(content, wanted):
            faults.append(f"  {path.relative_to(root)}: {fault}")
            continue
        log.info("%s annotations: %s", split, path)
        partners = (p for p, named in files.items() if named not in (split, None))
        is_whole = files[path] is None and all(find_fault(read_json(p), wanted) for p in partners)
        return CocoFile(path=path, content=content, is_whole=is_whole)
    if hint := conversion_hint(root):
        raise FileNotFoundError(hint)
    if len(faults) > _MOST_FAULTS:
        faults[_MOST_FAULTS:] = [f"  and {len(faults) - _MOST_FAULTS} other files"]
    raise FileNotFoundError(
        f"no {split} annotations with {wanted.what} below {root}. "
        + ("Looked at:\n" + "\n".join(faults) if faults else "There is no JSON file in it.")
        + f"\nName the file with data.{split}.annotation_file=FILE{wanted.remedy}"
    )


def find_image_folder(root: str | Path, file: CocoFile, split: Split, *, given: str | None) -> Path:
    """Return the folder that the file names of an annotation file are relative to.

    Raises:
        FileNotFoundError: none of the usual folders holds them.
        ValueError: a name leads out of ``root`` and of ``given``; names it.
    """
    root = Path(root)
    names = [file_name(image) for image in file.content["images"]]
    folder = _image_folder(root, file, split, names[:50]) if given is None else root / given
    outside = [name for name in names if not _is_inside(name, folder, (root, folder))]
    if outside:
        raise ValueError(
            f"{file.path}: {len(outside)} of {len(names)} images have a file_name that leads out "
            f"of {root}, e.g. {outside[0]}. If that is meant, name the folder that holds them with "
            f"data.{split}.image_dir=FOLDER"
        )
    return folder


def _is_inside(name: str, folder: Path, allowed: Iterable[Path]) -> bool:
    """Return whether a file name stays in the allowed folders; a link counts as where it lies."""
    if ".." not in name and ":" not in name and not name.startswith("/"):
        return True  # nearly all of them
    path, *bases = (Path(os.path.normpath(p.absolute())) for p in (folder / name, *allowed))
    return any(path.is_relative_to(base) for base in bases)


def _image_folder(root: Path, file: CocoFile, split: Split, names: Sequence[str]) -> Path:
    # CVAT keeps the images of a task that has no subsets in images/default.
    words = [split, f"{split}2017", f"{split}2014", *sorted(WORDS[split]), "default"]
    folders = [file.path.parent, root, *(p / "images" for p in (file.path.parent, root))]
    folders += [base / word for base in (root, root / "images") for word in words]
    best = max(folders, key=lambda folder: sum((folder / name).is_file() for name in names))
    if not any((best / name).is_file() for name in names):
        looked = ", ".join(dict.fromkeys(str(f) for f in folders if f.is_dir()))
        near = _of_similar_name(names[0], folders)
        remedy = (
            f"There is {near}: write file_name as it is called, relative to its folder"
            if near
            else f"Name their folder with data.{split}.image_dir=FOLDER"
        )
        raise FileNotFoundError(
            f"the images of {file.path} are not there, e.g. {names[0]}; looked in {looked}. "
            + remedy
        )
    return best


def _of_similar_name(name: str, folders: Sequence[Path]) -> Path | None:
    """Return a file that is called so but for its folders, capitals and suffix."""
    stem = name.rpartition("/")[2].rpartition(".")[0].lower()
    entries = (entry for folder in folders if folder.is_dir() for entry in sorted(folder.iterdir()))
    return next(
        (e for e in entries if e.stem.lower() == stem and e.suffix.lower() in SUFFIXES), None
    )


def report_missing(folder: Path, names: Collection[str], *, on_error: OnError) -> set[str]:
    """Return the names that are no files, once they are reported.

    Raises:
        FileNotFoundError: there are some and ``on_error`` is not ``skip``; names them.
    """
    ordered = sorted(names)
    missing = _missing(folder, ordered)
    fault = of_rows(
        "error",
        [name in missing for name in ordered],
        f"images are not in {folder}",
        name=lambda i: ordered[i],
        remedy="Put them there",
    )
    settle([fault], source="images", on_error=on_error, error=FileNotFoundError)
    return missing


def find_fault(content: Any, wanted: Wanted) -> str:
    """Say why a parsed JSON file does not hold what is wanted; empty if it does."""
    if not isinstance(content, dict):
        return "not a COCO file: its top level is a list (detections?), not a dictionary"
    if lacking := [key for key in wanted.keys if not content.get(key)]:
        return f"not a COCO file: it has no {' and no '.join(lacking)}"
    faults = check_structure(content)
    return "\n    ".join(map(str, faults)) if faults else wanted.find_fault(content)


def file_name(image: Mapping[str, Any]) -> str:
    """Return the path of an image; files that were made on Windows separate by backslashes."""
    return str(image["file_name"]).replace("\\", "/")


def _read_given(path: Path, near: Sequence[Path], wanted: Wanted) -> CocoFile:
    if not path.is_file():
        names = first(file.name for file in near) or "none"
        raise FileNotFoundError(f"there is no annotation file {path}; JSON files near: {names}")
    content = read_json(path)
    if fault := find_fault(content, wanted):
        raise ValueError(f"{path}: {fault}")
    return CocoFile(path=path, content=content, is_whole=False)


def _json_files(root: Path) -> list[Path]:
    folders = [root, root / "annotations"]
    folders += sorted(path for path in root.iterdir() if path.is_dir() and split_of(path.name))
    return [path for folder in folders for path in sorted(folder.glob("*.json"))]


def _missing(folder: Path, names: Iterable[str]) -> set[str]:
    """Return the names that are no files, listing every folder once."""
    listed: dict[str, set[str]] = {}
    missing = set()
    for name in names:
        parent, _, base = name.rpartition("/")  # a Path for each takes seconds for 100,000
        if parent not in listed:
            inside = folder / parent if parent or not name.startswith("/") else Path("/")
            entries = inside.iterdir() if inside.is_dir() else ()
            listed[parent] = {entry.name for entry in entries}
        if base not in listed[parent]:
            missing.add(name)
    return missing
