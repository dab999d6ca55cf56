"""What of a source is written: which labels, which keypoints, which classes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sapiens_lab.anatomy.parts import MAX_CLASSES, Parts
from sapiens_lab.data.checks.finding import first
from sapiens_lab.data.conversion.people import Target, choose_people
from sapiens_lab.data.importers.annotated import Annotated, AnnotatedImage, Instance

NO_POINTS = "people without any point of the skeleton"
NOTHING_LEFT = "images without an annotation that is written"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What is written."""

    images: list[AnnotatedImage]
    target: Target | None  # keypoints of people
    parts: Parts | None  # classes of regions, as they were given
    classes: list[str]  # labels of regions


def choose(
    annotated: Annotated,
    *,
    labels: Collection[str],
    skeleton: str | None,
    source_skeleton: str | None,
    classes: str | None,
    is_masks: bool,
) -> Chosen:
    """Choose what is written; what is left out is counted in ``annotated.dropped``.

    Args:
        annotated: the source.
        labels: that are kept; none keeps all.
        skeleton: order and names of the keypoints; ``None`` takes the source's.
        source_skeleton: the set that the source's keypoints are of, where it matters.
        classes: class list of regions; ``None`` takes the source's labels.
        is_masks: whether regions alone are written.

    Raises:
        ValueError: nothing is left; says what the source has.
    """
    known = sorted({i.label for image in annotated.images for i in image.instances})
    if unknown := [label for label in labels if label not in known]:
        raise ValueError(f"there is no label {unknown[0]!r}; the labels are {first(known, 12)}")
    if labels:
        keep_labels(annotated, labels)
    parts = Parts.load(classes) if classes else None
    had_points = {id(i) for image in annotated.images for i in image.instances if i.keypoints}
    target = None
    if not is_masks:
        target = choose_people(annotated, skeleton=skeleton, source_skeleton=source_skeleton)
    for image in annotated.images:
        kept = [
            _kept(i, image, target, parts, annotated, had_points=id(i) in had_points)
            for i in image.instances
        ]
        image.instances = [i for i in kept if i is not None]
    images = [image for image in annotated.images if image.instances]
    empty = [image.name for image in annotated.images if not image.instances]
    annotated.dropped.add(NOTHING_LEFT, empty[0] if empty else "", len(empty))
    if not images:
        raise ValueError(
            f"{annotated.root}: nothing is left to write of {len(annotated.images)} images:\n  "
            + "\n  ".join(annotated.dropped.lines())
        )
    used = {i.label for image in images for i in image.instances if i.has_region}
    return Chosen(
        images=images,
        target=target,
        parts=parts,
        classes=[label for label in annotated.classes if label in used],
    )


def keep_labels(annotated: Annotated, labels: Collection[str]) -> None:
    """Leave all other labels out of a source."""
    for image in annotated.images:
        for instance in image.instances:
            if instance.label not in labels:
                annotated.dropped.add("annotations of other labels", instance.label)
        image.instances = [i for i in image.instances if i.label in labels]


def class_ids(chosen: Chosen) -> tuple[list[str], dict[str, int]]:
    """Return the classes of masks in the order of their ids, and the id of each label.

    Raises:
        ValueError: there are too many.
    """
    if chosen.parts is not None:
        parts = chosen.parts
        return list(parts.classes), {label: parts.class_of(label) for label in chosen.classes}
    others = [label for label in chosen.classes if label.lower() != "background"]
    names = ["background", *others]
    if len(names) > MAX_CLASSES:
        raise ValueError(f"{len(names)} classes; at most {MAX_CLASSES} fit into a mask")
    ids = {label: names.index(label) for label in others}
    return names, {**ids, **{label: 0 for label in chosen.classes if label not in ids}}


def parts_yaml(chosen: Chosen, names: Sequence[str]) -> dict[str, Any]:
    """Return the content of a class list's YAML."""
    if chosen.parts is None:
        return {"name": "classes", "classes": list(names)}
    colors = ["#" + bytes(color).hex() for color in chosen.parts.colors.tolist()]
    entries = [{"name": n, "color": c} for n, c in zip(names, colors, strict=True)]
    return {"name": Path(chosen.parts.name).stem, "classes": entries}


def _kept(
    instance: Instance,
    image: AnnotatedImage,
    target: Target | None,
    parts: Parts | None,
    annotated: Annotated,
    *,
    had_points: bool,
) -> Instance | None:
    """Return what of an annotation is written."""
    dropped, item = annotated.dropped, f"{instance.label} in {image.name}"
    kept = replace(instance, keypoints=dict(instance.keypoints))
    if target is None:
        kept.keypoints = {}
    if parts is not None and kept.has_region:
        try:
            parts.class_of(kept.label)
        except ValueError:
            dropped.add("regions of a class that the class list does not have", item)
            kept.polygons, kept.counts = [], None
    if kept.keypoints or kept.has_region:
        return kept
    if not (instance.keypoints or instance.has_region):  # else counted above, or not asked for
        dropped.add(NO_POINTS if had_points else "boxes without keypoints or region", item)
    return None
