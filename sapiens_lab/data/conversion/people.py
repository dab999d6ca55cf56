"""Which annotations are people, and in which order their keypoints stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.data.importers.annotated import Annotated, PointSet

_MIN_NAMED = 0.5  # fraction of a skeleton's keypoints that a source must have


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The keypoints that are written, and where they come from."""

    title: str  # of the category
    points: PointSet
    sources: tuple[str, ...]  # labels of the people
    names: dict[str, str]  # a source's name -> the target's
    skeleton: str | None  # as it was given


def choose_people(annotated: Annotated, *, skeleton: str | None) -> Target | None:
    """Return the keypoint set of the people of a source, ``None`` if it has no keypoints.

    Args:
        annotated: the source.
        skeleton: what ``Skeleton.load`` takes; the source's own points if ``None``.

    Raises:
        ValueError: labels have different keypoints, or those of ``skeleton`` are not there.
    """
    used = {
        instance.label
        for image in annotated.images
        for instance in image.instances
        if instance.keypoints
    }
    sets = {label: annotated.point_sets[label] for label in sorted(used)}
    if not sets:
        return None
    if len({tuple(points.names) for points in sets.values()}) > 1 and skeleton is None:
        listed = ", ".join(f"{label} ({len(s.names)} points)" for label, s in sets.items())
        raise ValueError(
            f"the labels have different keypoints: {listed}. Choose one with --label NAME, or a "
            "set for all with --skeleton FILE"
        )
    title = next(iter(sets)) if len(sets) == 1 else "person"
    if skeleton is None:
        points = replace(next(iter(sets.values())))
        named = {name: name for name in points.names}
        return Target(title=title, points=points, sources=tuple(sets), names=named, skeleton=None)
    found = list(dict.fromkeys(name for points in sets.values() for name in points.names))
    wanted = Skeleton.load(skeleton)
    return Target(
        title=title,
        points=PointSet(names=list(wanted.keypoints), edges=_named_edges(wanted)),
        sources=tuple(sets),
        names=match_names(found, wanted),
        skeleton=skeleton,
    )


def match_names(found: Sequence[str], skeleton: Skeleton) -> dict[str, str]:
    """Return the skeleton's name of each name of a source that it has.

    Names are compared by letters and digits; numbered points of the same count go by their order.

    Raises:
        ValueError: too few of the skeleton's names are there.
    """
    count = skeleton.num_keypoints
    if len(found) == count and all(name.isdigit() for name in found):
        return dict(zip(sorted(found, key=int), skeleton.keypoints, strict=True))
    ours = {_plain(name): name for name in skeleton.keypoints}
    names = {name: ours[_plain(name)] for name in found if _plain(name) in ours}
    if len(set(names.values())) < _MIN_NAMED * count:
        raise ValueError(
            f"only {len(names)} of the {count} keypoints of {skeleton.name!r} are in the source, "
            f"which names {', '.join(found[:8])}{', ...' if len(found) > 8 else ''}. Write the "
            "names of the source into a YAML and give it as --skeleton FILE"
        )
    return names


def skeleton_yaml(target: Target) -> dict[str, Any] | None:
    """Return the content of a skeleton's YAML; ``None`` where a shipped set is meant."""
    if target.skeleton is not None:
        return None if not Path(target.skeleton).suffix else _from_file(target.skeleton)
    content: dict[str, Any] = {"name": target.title, "keypoints": list(target.points.names)}
    if target.points.edges:
        content["edges"] = [list(edge) for edge in target.points.edges]
    if target.points.flip_pairs is not None:
        content["flip_pairs"] = [list(pair) for pair in target.points.flip_pairs]
    return content


def _from_file(source: str) -> dict[str, Any]:
    skeleton = Skeleton.load(source)
    content: dict[str, Any] = {
        "name": skeleton.name,
        "keypoints": list(skeleton.keypoints),
        "sigmas": skeleton.sigmas.tolist(),
        "edges": [list(edge) for edge in _named_edges(skeleton)],
        "flip_pairs": None,
    }
    if skeleton.flip_indices is not None:
        names, flips = skeleton.keypoints, skeleton.flip_indices.tolist()
        content["flip_pairs"] = [[names[i], names[j]] for i, j in enumerate(flips) if i < j]
    return content


def _named_edges(skeleton: Skeleton) -> list[tuple[str, str]]:
    return [(skeleton.keypoints[a], skeleton.keypoints[b]) for a, b in skeleton.edges]


def _plain(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())
