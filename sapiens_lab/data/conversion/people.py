"""Which annotations are people, and which keypoints are written of them, in which order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from sapiens_lab.anatomy.conversion import convert_points, missing_points
from sapiens_lab.anatomy.matching import match_names, places_of
from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.data.checks.finding import first
from sapiens_lab.data.importers.annotated import Annotated, Instance, PointSet
from sapiens_lab.data.importers.dropped import Dropped

_MIN_NAMED = 0.5  # fraction of a skeleton's keypoints that a source must have
_SCRATCH = 4096  # people that are converted at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The keypoints that are written."""

    title: str  # of the category
    points: PointSet
    skeleton: str | None = None  # as it was given
    missing: tuple[str, ...] = ()  # points that the source does not have


def choose_people(
    annotated: Annotated, *, skeleton: str | None, source_skeleton: str | None = None
) -> Target | None:
    """Return the keypoint set of the people of a source, ``None`` if it has no keypoints.

    Where ``skeleton`` is given, the people have its points afterwards.

    Args:
        annotated: the source.
        skeleton: what ``Skeleton.load`` takes; the source's own points if ``None``.
        source_skeleton: the set that the source's points are of, likewise.

    Raises:
        ValueError: labels have different keypoints, or those of ``skeleton`` are not there.
    """
    people = [i for image in annotated.images for i in image.instances if i.keypoints]
    sets = {label: annotated.point_sets[label] for label in sorted({i.label for i in people})}
    if not sets:
        return None
    if len({tuple(points.names) for points in sets.values()}) > 1 and skeleton is None:
        listed = ", ".join(f"{label} ({len(s.names)} points)" for label, s in sets.items())
        raise ValueError(
            f"the labels have different keypoints: {listed}. Choose one with --label NAME, or a "
            "set for all with --skeleton FILE"
        )
    title = next(iter(sets)) if len(sets) == 1 else "person"
    names = list(dict.fromkeys(name for points in sets.values() for name in points.names))
    if source_skeleton is not None:
        names = _rename(people, names, Skeleton.load(source_skeleton))
    if skeleton is None:
        own = replace(next(iter(sets.values())), names=names)
        if source_skeleton is not None:
            own = _points_of(Skeleton.load(source_skeleton))
        return Target(title=title, points=own, skeleton=source_skeleton)
    wanted = Skeleton.load(skeleton)
    if _are_numbers(names) and len(names) == wanted.num_keypoints:
        names = _rename(people, names, wanted)
    source = _named(names) if source_skeleton is None else Skeleton.load(source_skeleton)
    missing = missing_points(source, wanted)
    if wanted.num_keypoints - len(missing) < _MIN_NAMED * wanted.num_keypoints:
        raise ValueError(
            f"only {wanted.num_keypoints - len(missing)} of the {wanted.num_keypoints} keypoints "
            f"of {wanted.name!r} are in the source, which names {first(names, 8)}. Write the names "
            "of the source into a YAML and give it as --skeleton FILE"
            + (", or say with --from NAME which set its numbers are" if _are_numbers(names) else "")
        )
    _convert(people, source, wanted, annotated.dropped)
    return Target(title=title, points=_points_of(wanted), skeleton=skeleton, missing=missing)


def skeleton_text(target: Target) -> str | None:
    """Return the content of a skeleton's YAML; ``None`` where a shipped set is meant."""
    if target.skeleton is None:
        content: dict[str, Any] = {"name": target.title, "keypoints": list(target.points.names)}
        if target.points.edges:
            content["edges"] = [list(edge) for edge in target.points.edges]
        if target.points.flip_pairs is not None:
            content["flip_pairs"] = [list(pair) for pair in target.points.flip_pairs]
    elif Path(target.skeleton).suffix in (".yaml", ".yml"):
        return Path(target.skeleton).read_text(encoding="utf-8")  # it was loaded before
    elif Path(target.skeleton).suffix:  # a COCO file
        skeleton = Skeleton.load(target.skeleton)
        edges = [list(edge) for edge in target.points.edges]
        content = {"name": skeleton.name, "keypoints": list(skeleton.keypoints), "edges": edges}
    else:
        return None
    return str(yaml.safe_dump(content, sort_keys=False, default_flow_style=None))


def _rename(people: Sequence[Instance], names: Sequence[str], known: Skeleton) -> list[str]:
    """Give the points of people a set's names, and return these in the set's order.

    Raises:
        ValueError: points are numbered, and more than the set has.
    """
    if _are_numbers(names):
        if max(map(int, names)) > known.num_keypoints:
            raise ValueError(
                f"the source numbers {len(names)} keypoints, {known.name!r} has "
                f"{known.num_keypoints}"
            )
        new = {name: known.keypoints[int(name) - 1] for name in names if int(name) > 0}
    else:
        places = places_of(known.keypoints, known.aliases)
        found = match_names(names, places, known.aliases)
        new = {n: known.keypoints[i] for n, i in zip(names, found, strict=True) if i is not None}
    for person in people:
        person.keypoints = {new.get(n, n): point for n, point in person.keypoints.items()}
    return [*known.keypoints, *(name for name in names if name not in new)]


def _convert(
    people: Sequence[Instance], source: Skeleton, wanted: Skeleton, dropped: Dropped
) -> None:
    """Replace the points of people by those of another set."""
    index = {name: i for i, name in enumerate(source.keypoints)}
    used = _used(source, wanted)
    for start in range(0, len(people), _SCRATCH):
        some = people[start : start + _SCRATCH]
        points = np.zeros((len(some), len(index), 3))
        for row, person in zip(points, some, strict=True):
            for name, point in person.keypoints.items():
                if name in index:
                    row[index[name]] = point
                if name not in used:
                    reason = "points that the skeleton does not have"
                    dropped.add(reason, f"{name} of {person.label}")
        converted = convert_points(points[..., :2], points[..., 2], source, wanted)
        for person, xy, visible in zip(
            some, converted.xy.tolist(), converted.score.tolist(), strict=True
        ):
            person.keypoints = {
                name: (x, y, int(flag))
                for name, (x, y), flag in zip(wanted.keypoints, xy, visible, strict=True)
                if flag > 0
            }


def _used(source: Skeleton, wanted: Skeleton) -> set[str]:
    """Return the points of a set without which a point of another could not be had."""
    count = source.num_keypoints
    without = 1 - np.eye(count)  # in each row one is gone
    places = np.zeros((count, count, 2))
    scores = convert_points(places, without, source, wanted).score
    whole = convert_points(places[:1], np.ones((1, count)), source, wanted).score
    is_used = np.asarray((scores < whole).any(-1))
    return {name for name, use in zip(source.keypoints, is_used, strict=True) if use}


def _points_of(skeleton: Skeleton) -> PointSet:
    names = skeleton.keypoints
    return PointSet(names=list(names), edges=[(names[a], names[b]) for a, b in skeleton.edges])


def _named(names: Sequence[str]) -> Skeleton:
    """Return a set of which the names alone are known."""
    return Skeleton(
        name="source",
        keypoints=tuple(names),
        sigmas=np.ones(len(names)),
        flip_indices=None,
        edge_colors=np.zeros((0, 3), np.uint8),
        colors=np.zeros((len(names), 3), np.uint8),
    )


def _are_numbers(names: Sequence[str]) -> bool:
    return all(name.isdigit() and len(name) < 5 for name in names)
