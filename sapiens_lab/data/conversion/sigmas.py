"""Sigmas of keypoints from repeated annotations of the same people.

COCO defines the sigma of keypoint ``i`` by ``sigma_i^2 = E[d_i^2 / s^2]``: ``d_i`` is the distance
between an annotation and the true place, ``s^2`` the area of the person's segment
(https://cocodataset.org/#keypoints-eval, 1.3). COCO took the ground truth for the true place. Here
the true place is not known: it is the mean of the ``M`` annotations of a person, and
``d_1^2 + ... + d_M^2`` is divided by ``M - 1`` and not by ``M``, as for every variance. For two
annotations that is half of their squared distance.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sapiens_lab.anatomy.loading import read_json
from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.data.checks.keypoints import as_array
from sapiens_lab.data.datasets.coco_ground_truth import AREA_OF_BOX
from sapiens_lab.data.datasets.coco_people import box_of_points
from sapiens_lab.data.importers.gather import number

_SAME = 0.5  # greatest mean distance of two annotations of a person, in sizes of the person


@dataclass(frozen=True, slots=True, kw_only=True)
class Sigmas:
    """Sigmas of a skeleton."""

    names: tuple[str, ...]
    values: NDArray[np.float64]  # (K,)
    counts: NDArray[np.int64]  # (K,) pairs of annotations that each comes from
    num_people: int  # that were annotated more than once
    num_single: int  # annotations without a partner


@dataclass(frozen=True, slots=True)
class _Person:
    points: NDArray[np.float64]  # (K, 3)
    area: float


def estimate_sigmas(files: Sequence[Path], *, min_pairs: int = 10) -> Sigmas:
    """Return the sigmas of keypoints from COCO files that annotate the same images.

    Images belong together by the names of their files, people of an image by the distance between
    their keypoints.

    Args:
        files: at least two, with the same keypoints.
        min_pairs: fewest pairs of annotations of every keypoint.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: the files do not fit, or a keypoint has too few pairs; lists them.
    """
    if len(files) < 2:
        raise ValueError("give two files or more that annotate the same images")
    skeletons = [Skeleton.load(path) for path in files]
    names = skeletons[0].keypoints
    for path, skeleton in zip(files, skeletons, strict=True):
        if skeleton.keypoints != names:
            raise ValueError(f"{path} has other keypoints than {files[0]}, or another order")
    by_file = [_people(path, len(names)) for path in files]
    squares = np.zeros(len(names))
    weights = np.zeros(len(names), np.int64)
    pairs = np.zeros(len(names), np.int64)
    num_people, num_single = 0, 0
    for image in sorted({name for found in by_file for name in found}):
        for group in _same_people([found.get(image, []) for found in by_file]):
            if len(group) < 2:
                num_single += 1
                continue
            num_people += 1
            square, count = _scatter(group)
            squares += square
            weights += np.maximum(count - 1, 0)
            pairs += count * (count - 1) // 2
    if (pairs < min_pairs).any():
        few = [f"{n} {c}" for n, c in zip(names, pairs.tolist(), strict=True) if c < min_pairs]
        raise ValueError(
            f"{len(few)} of {len(names)} keypoints have fewer than {min_pairs} pairs of "
            f"annotations ({', '.join(few[:8])}{', ...' if len(few) > 8 else ''}), from "
            f"{num_people} people that are annotated more than once. Annotate more of the same "
            "images, or lower --min-pairs"
        )
    return Sigmas(
        names=names,
        values=np.sqrt(squares / weights),
        counts=pairs,
        num_people=num_people,
        num_single=num_single,
    )


def sigmas_yaml(sigmas: Sigmas) -> Iterator[str]:
    """Return the lines of a skeleton's YAML, with the pairs of each keypoint behind it."""
    yield f"# from {sigmas.num_people} people that are annotated more than once"
    if sigmas.num_single:
        yield f"# {sigmas.num_single} annotations have no partner in another file"
    yield "keypoints:"
    for name, value, count in zip(
        sigmas.names, sigmas.values.tolist(), sigmas.counts.tolist(), strict=True
    ):
        yield f"  - {{name: {_quoted(name)}, sigma: {value:.4f}}}  # {count} pairs"


def _quoted(name: str) -> str:
    """Return a name as YAML reads it back as text."""
    is_plain = name.replace("_", "").isalpha() and name.lower() not in (
        "y", "n", "yes", "no", "on", "off", "true", "false", "null",
    )  # fmt: skip
    return name if is_plain else "'" + name.replace("'", "''") + "'"


def _people(path: Path, count: int) -> dict[str, list[_Person]]:
    """Return the people of each image, by the name of its file."""
    content = read_json(path)
    images = content.get("images") if isinstance(content, dict) else None
    rows = content.get("annotations") if isinstance(content, dict) else None
    if not isinstance(images, list) or not isinstance(rows, list):
        raise ValueError(f"{path} has no lists `images` and `annotations`")
    names: dict[Any, str] = {}
    for image in images:
        if isinstance(image, dict) and isinstance(image.get("id"), (int, str)):
            stated = str(image.get("file_name")).replace("\\", "/")
            names[image["id"]] = PurePosixPath(stated).name
    found: dict[str, list[_Person]] = {}
    for row in rows:
        if not isinstance(row, dict) or not isinstance(row.get("keypoints"), list):
            continue
        image_id = row.get("image_id")
        name = names.get(image_id) if isinstance(image_id, (int, str)) else None
        values = as_array([row["keypoints"]])
        if name is None or values is None or values.size != 3 * count:
            continue
        points = values.astype(np.float64).reshape(-1, 3)
        area = _area(row, points)
        if np.isfinite(points).all() and np.isfinite(area) and area > 0:
            found.setdefault(name, []).append(_Person(points, area))
    return found


def _area(row: Mapping[str, Any], points: NDArray[np.float64]) -> float:
    """Return a person's area, made of its box or keypoints where the file has none."""
    if area := number(row.get("area") or 0):
        return area
    given = row.get("bbox")
    box = given if isinstance(given, list) and len(given) == 4 else box_of_points(points).tolist()
    return AREA_OF_BOX * number(box[2]) * number(box[3])


def _same_people(files: Sequence[list[_Person]]) -> list[list[_Person]]:
    """Return the annotations of each person of an image, at most one of each file."""
    groups: list[list[_Person]] = []
    for people in files:
        options = sorted(
            (_distance(group[0], person), i, j)
            for i, group in enumerate(groups)
            for j, person in enumerate(people)
        )
        taken: set[int] = set()
        joined: set[int] = set()
        for distance, i, j in options:
            if distance <= _SAME and i not in joined and j not in taken:
                groups[i].append(people[j])
                joined.add(i)
                taken.add(j)
        groups += [[person] for j, person in enumerate(people) if j not in taken]
    return groups


def _distance(a: _Person, b: _Person) -> float:
    """Return the mean distance of the points that both have, in sizes of the person."""
    both = (a.points[:, 2] > 0) & (b.points[:, 2] > 0)
    if not both.any():
        return np.inf
    distances = np.hypot(*(a.points[both, :2] - b.points[both, :2]).T)
    return float(distances.mean() / np.sqrt((a.area + b.area) / 2))


def _scatter(group: Sequence[_Person]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the summed squared distance from the mean over the area ``(K,)``, and the counts."""
    points = np.stack([person.points for person in group])  # (M, K, 3)
    labeled = points[..., 2] > 0
    count = labeled.sum(0)
    xy = np.where(labeled[..., None], points[..., :2], 0)
    mean = xy.sum(0) / np.maximum(count, 1)[:, None]
    squared = (np.where(labeled[..., None], xy - mean, 0) ** 2).sum((0, 2))
    area = float(np.mean([person.area for person in group]))
    return np.where(count > 1, squared, 0) / area, count
