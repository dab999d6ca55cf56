"""From a folder of another tool to the layouts that the datasets read."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sapiens_lab.data.conversion.choose import Chosen, choose, class_ids, parts_yaml
from sapiens_lab.data.conversion.coco_rows import Made, coco_content
from sapiens_lab.data.conversion.mask_files import draw_labels, encode_labels
from sapiens_lab.data.conversion.people import Target, skeleton_text
from sapiens_lab.data.conversion.placing import Images, Placed, image_dir, place_images
from sapiens_lab.data.conversion.splits import WHOLE, divide_groups, given_splits
from sapiens_lab.data.conversion.whole_folder import check_empty, whole_folder
from sapiens_lab.data.importers.annotated import AnnotatedImage
from sapiens_lab.data.importers.dropped import Dropped
from sapiens_lab.data.importers.formats import Importer, importer_named, recognize

SKELETON_FILE, PARTS_FILE = "skeleton.yaml", "parts.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is written, and how."""

    masks: bool = False  # PNG masks instead of COCO's JSON
    fraction: float | None = None  # that trains; None keeps the source's split
    group_by: str | None = None  # what stays on one side: folder, video or a regular expression
    seed: int = 0
    skeleton: str | None = None  # order and names of the keypoints
    source_skeleton: str | None = None  # the set that the source's keypoints are of
    classes: str | None = None  # class list of regions
    labels: tuple[str, ...] = ()  # that are kept; none keeps all
    images: Images = "link"


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """What was written. Paths are those of the finished folder; sets are train, val, ... or all."""

    root: Path
    splits: dict[str, list[AnnotatedImage]]
    annotation_files: dict[str, Path]  # empty for masks
    image_dirs: dict[str, Path]
    target: Target | None  # keypoints
    skeleton: str | None  # what `skeleton=` takes
    parts: str | None  # what `parts=` takes
    class_ids: dict[str, int]
    made: Made
    dropped: Dropped

    @property
    def num_people(self) -> int:
        """How many people with keypoints were written."""
        return sum(bool(i.keypoints) for i in self._instances())

    @property
    def num_regions(self) -> int:
        """How many regions were written."""
        return sum(i.has_region for i in self._instances())

    def _instances(self) -> list[Any]:
        return [i for images in self.splits.values() for image in images for i in image.instances]


def find_importer(source: Path, name: str | None = None) -> Importer:
    """Return the importer of a folder or file.

    Raises:
        FileNotFoundError: there is nothing.
        ValueError: no format is recognized, or there is none called ``name``.
    """
    if not source.exists():
        raise FileNotFoundError(f"{source} does not exist (looked from {Path.cwd()})")
    if name is not None:
        return importer_named(name)
    found = recognize(source)
    if found is None:
        raise ValueError(
            f"{source}: no known format is recognized. Give the folder of an export with its "
            "images, or name the format with --format"
        )
    return found


def convert(
    importer: Importer,
    source: Path,
    out: Path,
    options: Options,
) -> Converted:
    """Read a source and write it whole, or not at all.

    Args:
        importer: of its format.
        source: folder or file.
        out: folder that does not exist yet, or is empty.
        options: what is written.

    Raises:
        FileNotFoundError, ValueError: the source cannot be read, nothing is left to write, or
            ``out`` is not empty.
        OSError: ``out`` cannot be written.
    """
    check_empty(out)
    inside = source if source.is_dir() else source.parent
    if out.resolve().is_relative_to(inside.resolve()):
        raise ValueError(
            f"{out} lies within {inside}, so that the next conversion would read it as well; name "
            "a folder beside it"
        )
    if options.masks and options.images == "none":
        raise ValueError("masks are found by their images: --masks needs --images link or copy")
    annotated = importer.read(source)
    chosen = choose(
        annotated,
        labels=options.labels,
        skeleton=options.skeleton,
        source_skeleton=options.source_skeleton,
        classes=options.classes,
        is_masks=options.masks,
    )
    splits = _divide(chosen.images, options)
    names, ids = class_ids(chosen) if chosen.classes else ([], {})
    out = out.absolute()
    with whole_folder(out) as part:
        places = place_images(annotated.root, splits, part, options.images)
        made = Made()
        files: dict[str, Path] = {}
        if options.masks:
            _write_masks(places, part, ids, names)
        else:
            files, made = _write_coco(places, part, chosen)
        skeleton = skeleton_text(chosen.target) if chosen.target else None
        if skeleton is not None:
            (part / SKELETON_FILE).write_text(skeleton, encoding="utf-8")
        if names:
            text = yaml.safe_dump(parts_yaml(chosen, names), sort_keys=False)
            (part / PARTS_FILE).write_text(text, encoding="utf-8")
    given = chosen.target.skeleton if chosen.target else None
    return Converted(
        root=out,
        splits=splits,
        annotation_files={name: out / path.relative_to(part) for name, path in files.items()},
        image_dirs={name: image_dir(out, name, annotated.root, options.images) for name in splits},
        target=chosen.target,
        skeleton=given if skeleton is None else str(out / SKELETON_FILE),
        parts=str(out / PARTS_FILE) if names else None,
        class_ids=ids,
        made=made,
        dropped=annotated.dropped,
    )


def import_into(
    root: str | Path,
    out: str | Path,
    *,
    images: Images = "none",
    skeleton: str | None = None,
    classes: str | None = None,
) -> Converted:
    """Read a foreign folder into ``out`` as COCO's JSON, by default without its images.

    Args:
        root: folder or file of a known format.
        out: folder that does not exist yet, such as one in a cache.
        images: whether images are linked, copied, or stay where they are.
        skeleton: order and names of the keypoints; ``None`` takes the source's.
        classes: class list of regions; ``None`` takes the source's labels.

    Returns:
        ``annotation_files`` and ``image_dirs`` by split, or for ``all`` where the source has no
        split; ``skeleton`` and ``parts`` are what those settings take.

    Raises:
        FileNotFoundError, ValueError, OSError: as ``convert``.
    """
    importer = find_importer(Path(root))
    options = Options(images=images, skeleton=skeleton, classes=classes)
    return convert(importer, Path(root), Path(out), options)


def _divide(images: Sequence[AnnotatedImage], options: Options) -> dict[str, list[AnnotatedImage]]:
    if options.fraction is None:
        if options.group_by is not None:
            raise ValueError("--group-by says how to divide: add --split 0.8")
        return given_splits(images)
    return divide_groups(images, options.fraction, group_by=options.group_by, seed=options.seed)


def _write_coco(places: Placed, part: Path, chosen: Chosen) -> tuple[dict[str, Path], Made]:
    made, files = Made(), {}
    (part / "annotations").mkdir()
    for split, images in places.items():
        content, some = coco_content(images, chosen.target, chosen.classes)
        files[split] = part / "annotations" / f"{split}.json"
        files[split].write_text(json.dumps(content, separators=(",", ":")))
        made.boxes, made.areas = made.boxes + some.boxes, made.areas + some.areas
    return files, made


def _write_masks(places: Placed, part: Path, ids: dict[str, int], names: Collection[str]) -> None:
    background = next((i for i, n in enumerate(names) if n.lower() == "background"), 255)
    for split, images in places.items():
        folder = part / "labels" if split == WHOLE else part / "labels" / split
        stems = [name.rpartition(".")[0] for _, name in images]
        if len(set(stems)) < len(stems):
            twice = next(stem for stem in stems if stems.count(stem) > 1)
            raise ValueError(f"two images are called {twice}, so that their masks would be one")
        for (image, _), stem in zip(images, stems, strict=True):
            path = folder / f"{stem}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode_labels(draw_labels(image, ids, background=background)))
