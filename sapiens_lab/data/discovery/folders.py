"""Find images and their maps in sibling folders, and match them by name.

Every dataset of maps holds an image in one folder and a file of the same name in another. Sets
differ in what the folders are called and in whether the files are split already.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sapiens_lab.data.arrays import MAP_SUFFIXES, MASK_SUFFIXES
from sapiens_lab.data.checks.finding import NUM_SHOWN, Finding, OnError, first, settle
from sapiens_lab.data.discovery.splits import Split, check_root, divide, split_of
from sapiens_lab.data.images import SUFFIXES
from sapiens_lab.data.importers.formats import conversion_hint

log = logging.getLogger(__name__)

Files = dict[str, Path]  # by path below their folder, without suffix


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One file that every sample has; its folder is given as the argument ``<name>_dir``."""

    name: str
    folders: Sequence[str]  # lower-case names that its folder may have, the likeliest first
    suffixes: AbstractSet[str]
    given: str | None  # its folder, absolute or relative to the root; None searches
    is_optional: bool = False  # no folder, no file


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """A folder of files."""

    path: Path
    is_whole: bool  # it serves both splits, so its files must be divided


def images(given: str | None, *names: str) -> Kind:
    """Return the kind of the images; ``names`` are further names of their folder."""
    folders = ("images", "image", "rgb", "imgs", "img", *names)
    return Kind(name="image", folders=folders, suffixes=SUFFIXES, given=given)


def maps(name: str, given: str | None) -> Kind:
    """Return the kind of the maps of numbers called ``name``, such as ``depth``."""
    return Kind(name=name, folders=(f"{name}s", name), suffixes=MAP_SUFFIXES, given=given)


def masks(given: str | None) -> Kind:
    """Return the kind of the foreground masks, which not every dataset has."""
    names, optional = ("masks", "mask"), given is None
    return Kind(
        name="mask", folders=names, suffixes=MASK_SUFFIXES, given=given, is_optional=optional
    )


def find_files(
    root: str | Path,
    split: Split,
    kinds: Sequence[Kind],
    *,
    val_fraction: float | None,
    group_by: str | None,
    on_error: OnError,
) -> dict[str, list[Path]]:
    """Return the files of a split by ``Kind.name``, one per sample, sorted by name.

    The folders ``NAME/SPLIT``, ``SPLIT/NAME`` and ``NAME`` below ``root`` are searched, in any
    case. A folder whose name contains ``train`` or ``val`` serves that split; others serve both,
    and their files are divided by a checksum of their names.

    Args:
        root: folder of the dataset.
        split: ``train`` or ``val``.
        kinds: the images first.
        val_fraction: fraction that validates if the folders are not split; ``None`` divides none.
        group_by: what of them stays on one side, see ``splits.groups_of``.
        on_error: ``skip`` leaves images that lack a file out and logs them.

    Raises:
        FileNotFoundError: a folder is missing or empty; says what is there instead.
        ValueError: names do not match; the first five are named.
    """
    root = check_root(root, split)
    folders = {kind.name: folder for kind in kinds if (folder := _find(root, split, kind))}
    files = {k.name: list_files(folders[k.name].path, k) for k in kinds if k.name in folders}
    log.info("%s set: %s", split, ", ".join(f"{k}s in {f.path}" for k, f in folders.items()))
    if folders[kinds[0].name].is_whole:  # the maps alone may be split
        for what in (w for w, folder in folders.items() if not folder.is_whole):
            files[kinds[0].name] = {n: p for n, p in files["image"].items() if n in files[what]}
    # Maps of both splits may share a folder: then each split's images are rightly fewer.
    is_even = len({folder.is_whole for folder in folders.values()}) == 1
    names = match(files, on_error=on_error, warn_of_spare=is_even)
    if all(folder.is_whole for folder in folders.values()):
        names = divide(names, split, val_fraction, group_by)
    return {what: [paths[name] for name in names] for what, paths in files.items()}


def list_files(folder: Path, kind: Kind) -> Files:
    """Return the files below a folder, sorted.

    Raises:
        FileNotFoundError: there are none of the kind.
        ValueError: two files differ in their suffix alone.
    """
    files: Files = {}
    others_there: set[str] = set()
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if any(part.startswith(".") for part in relative.parts) or path.is_dir():
            continue
        if path.suffix.lower() not in kind.suffixes:
            others_there.add(path.suffix.lower())
            continue
        stem = relative.with_suffix("").as_posix()
        if stem in files:
            raise ValueError(f"{files[stem]} and {path} have the same name; remove one of them")
        files[stem] = path
    if not files:
        raise FileNotFoundError(
            f"{folder} holds no {kind.name} files ({', '.join(sorted(kind.suffixes))})"
            + (f"; those there end in {', '.join(sorted(others_there))}" if others_there else "")
        )
    return files


def match(
    files: Mapping[str, Files], *, on_error: OnError, warn_of_spare: bool = False
) -> list[str]:
    """Return the names that every kind of file has, sorted; ``files["image"]`` leads.

    Raises:
        ValueError: no image has a map, or some lack one and ``on_error`` is not ``skip``.
    """
    known = files["image"]
    names = set(known)
    for what, others in files.items():
        missing = sorted(set(known) - set(others))
        if len(missing) == len(known):
            raise ValueError(
                f"no image has a {what} of its name: the images are called "
                f"{first(known, 3)}, the {what}s {first(others, 3)}"
            )
        if missing:
            paths = [known[name] for name in missing]
            fault = Finding(
                severity="error",
                what=f"{len(missing)} of {len(known)} images have no {what} of their name",
                items=tuple(str(path) for path in paths[:NUM_SHOWN]),
                count=len(missing),
                remedy=f"Add their {what}s, or take them out",
                rows=np.arange(len(missing)),
            )
            settle([fault], source=f"{what}s", on_error=on_error)
        if spare := sorted(set(others) - set(known)):
            level = logging.WARNING if warn_of_spare else logging.INFO
            log.log(level, "%d %ss have no image: %s", len(spare), what, first(spare))
        names -= set(missing)
    return sorted(names)


def _find(root: Path, split: Split, kind: Kind) -> Folder | None:
    if kind.given is not None:
        near = Path(*Path(kind.given).parts[-2:])
        found = _enter(root / kind.given, split, is_split=split_of(near) == split)
    else:
        found = _search(root, split, kind.folders)
    if found is None and not kind.is_optional:
        if kind.given is None and (hint := conversion_hint(root)):
            raise FileNotFoundError(hint)
        looked = kind.given or f"{kind.folders[0]}/ (or {', '.join(kind.folders[1:])})"
        raise FileNotFoundError(
            f"there is no folder {looked} of {kind.name}s for the {split} set below {root}; "
            f"folders there: {first(_subfolders(root), 12) or 'none'}. "
            f"Name it with data.{split}.{kind.name}_dir=FOLDER"
        )
    return found


def _search(root: Path, split: Split, names: Sequence[str]) -> Folder | None:
    parents = [*((root / s, True) for s in _split_folders(root, split)), (root, False)]
    for parent, is_split in parents:
        folders = {name.lower(): parent / name for name in _subfolders(parent)}
        for name in names:
            if name in folders and (found := _enter(folders[name], split, is_split=is_split)):
                return found
    return None


def _enter(folder: Path, split: Split, *, is_split: bool) -> Folder | None:
    """Go into the folder of the split, if there is one; a folder of the other alone is none."""
    if not folder.is_dir():
        return None
    if inner := _split_folders(folder, split):
        return Folder(path=folder / inner[0], is_whole=False)
    if is_split:
        return Folder(path=folder, is_whole=False)
    is_divided = any(split_of(name) for name in _subfolders(folder))
    return None if is_divided else Folder(path=folder, is_whole=True)


def _split_folders(folder: Path, split: Split) -> list[str]:
    return [name for name in _subfolders(folder) if split_of(name) == split]


def _subfolders(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    return sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
