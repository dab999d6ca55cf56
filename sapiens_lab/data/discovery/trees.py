"""Find all images, or all tar archives of images, below a folder."""

from __future__ import annotations

import logging
from pathlib import Path, PurePath

from sapiens_lab.data.discovery.splits import SPLITS, Split, check_root, divide, split_of
from sapiens_lab.data.images import SUFFIXES

log = logging.getLogger(__name__)


def find_images(root: str | Path, split: Split, *, val_fraction: float | None) -> list[str]:
    """Return the images of a split, sorted, as paths below ``root``.

    If the tree has folders of both splits, they decide; else all images are divided by a checksum
    of their paths, unless ``val_fraction`` is ``None``. An image alone serves both splits.

    Raises:
        FileNotFoundError: there is no such folder, or no image in it.
    """
    root = check_root(root, split)
    found = sorted(
        p.relative_to(root).as_posix() for p in root.rglob("*") if p.suffix.lower() in SUFFIXES
    )
    if not found:
        raise FileNotFoundError(f"no image below {root}; looked for {', '.join(sorted(SUFFIXES))}")
    named = {name: split_of(PurePath(name).parent) for name in found}
    if set(named.values()).issuperset(SPLITS):
        chosen = [name for name in found if named[name] == split]
    else:
        chosen = divide(found, split, val_fraction) if len(found) > 1 else found
    log.info("%s: %d of %d images below %s", split, len(chosen), len(found), root)
    return chosen


def find_archives(
    root: str | Path, split: Split | None, *, val_fraction: float | None
) -> list[Path]:
    """Return the tar archives of a split, or all of them, sorted.

    If paths name a split, they decide; else the last archives in this order validate, since
    shards are shuffled when they are made; all serve both if ``val_fraction`` is ``None``.

    Raises:
        FileNotFoundError: there is no such folder, or no archive for the split in it.
    """
    root = check_root(root, split)
    found = sorted(root.rglob("*.tar"))
    if not found:
        packed = next((path.name for path in root.rglob("*.tar.*") if path.suffix != ".npy"), None)
        hint = f"; {packed} is compressed: unpack it to plain .tar" if packed else ""
        raise FileNotFoundError(
            f"no .tar below {root}{hint}. `sapiens shards make IMAGES --out FOLDER` writes them; "
            "data=image_folder reads a tree of images"
        )
    if split is None:
        return found
    named = {path: split_of(path.relative_to(root)) for path in found}
    if any(named.values()):
        chosen = [path for path in found if named[path] == split]
    elif val_fraction is None:
        chosen = found
    else:
        count = max(1, round(val_fraction * len(found)))
        chosen = found[-count:] if split == "val" else found[:-count]
    if not chosen:
        raise FileNotFoundError(
            f"no archive below {root} for the {split} set, among {len(found)}; name some "
            f"{split}-*.tar or put them into a folder {split}/"
        )
    return chosen
