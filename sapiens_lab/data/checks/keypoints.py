"""Checks of keypoints: numbers, visibility, and whether they lie where a person's would."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sapiens_lab.anatomy.matching import match_names
from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.data.checks.finding import Finding, of_rows

Array = NDArray[np.float64]
Name = Callable[[int], str]

_NUM_PERCENT = 3  # annotations that are needed to take them for percents
_LARGE = 250.0  # pixels of the shorter side of images that are not annotated in one corner only
_OUTSIDE = 0.05  # fraction of people with a point outside of the image that is taken for normal


class Columns(NamedTuple):
    """Keypoints of ``N`` people with the people last, which is quick to reduce."""

    x: Array  # (K, N)
    y: Array  # (K, N)
    visible: Array  # (K, N)

    @staticmethod
    def of(points: Array) -> Columns:
        """Return points ``(N, K, 3)`` so."""
        x, y, visible = (np.ascontiguousarray(points[..., i].T) for i in range(3))
        return Columns(x, y, visible)

    def extents(self) -> tuple[Array, Array]:
        """Return the lowest and highest x and y ``(2, N)`` of labeled points.

        Of none they are infinity and its negative.
        """
        labeled = self.visible > 0
        low = [np.where(labeled, c, np.inf).min(0, initial=np.inf) for c in (self.x, self.y)]
        high = [np.where(labeled, c, -np.inf).max(0, initial=-np.inf) for c in (self.x, self.y)]
        return np.array(low), np.array(high)


def check_lists(numbers: Sequence[Any], count: int, owner: str, *, name: Name) -> Finding | None:
    """Find keypoints that are not one flat list of ``3 count`` values."""
    wanted = 3 * count
    if set(map(type, numbers)) <= {list} and set(map(len, numbers)) <= {wanted}:
        return None
    faulty = [not isinstance(n, list) or len(n) != wanted for n in numbers]
    if not any(faulty):
        return None
    example = numbers[faulty.index(True)]
    remedy = f"Each has {count} times x, y, visible, in one flat list"
    if isinstance(example, list) and example and isinstance(example[0], list):
        remedy += "; lists within the list must be joined"
    elif isinstance(example, list) and len(example) == 2 * count:
        remedy += "; add a 2 after each x, y that is labeled"
    what = f"people do not have the {count} keypoints of {owner}"
    return of_rows("error", faulty, what, name=name, remedy=remedy)


def as_array(numbers: Sequence[Any]) -> NDArray[Any] | None:
    """Return lists of equal length as an array, ``None`` if they hold more than numbers."""
    try:
        values = np.array(numbers)
    except (ValueError, TypeError, OverflowError):
        return None
    return values if values.dtype.kind in "iuf" and values.ndim == 2 else None


def check_numbers(numbers: Sequence[Any], *, name: Name) -> Finding | None:
    """Find keypoints that are text, null or lists."""
    faulty = [not isinstance(n, list) or not set(map(type, n)) <= {int, float} for n in numbers]
    remedy = "Write numbers, and 0, 0, 0 for a point that is not labeled"
    what = "people have keypoints that are not numbers"
    return of_rows("error", faulty, what, name=name, remedy=remedy)


def check_values(points: Columns, sizes: Array, *, name: Name) -> list[Finding]:
    """Find NaN, infinity, points far from their images, and visibilities that mean nothing.

    Args:
        points: of all people.
        sizes: ``(N, 2)`` height, width; infinite where they are not stated.
        name: names a person.
    """
    x, y, visible = points
    labeled = visible > 0
    known = np.isfinite(x) & np.isfinite(y)
    broken = ((~known & labeled) | ~np.isfinite(visible)).any(0)
    height, width = np.where(np.isfinite(sizes), sizes, 1e5).T
    with np.errstate(invalid="ignore"):
        counted = known & labeled
        far = (x < -width) | (x > 2 * width) | (y < -height) | (y > 2 * height)
        far = (far & counted).any(0)
        outside = (x < -2) | (x > width + 2) | (y < -2) | (y > height + 2)
        outside = (outside & counted).any(0)
        strange = ((visible > 2) | (visible < 0)).any(0)
    found = [
        of_rows(
            "error", broken, "people have labeled keypoints that are NaN or infinite",
            name=name, remedy="Correct them, or write 0, 0, 0 for a point that is not labeled",
        ),
        of_rows(
            "error", far, "people have keypoints far outside of their image",
            name=name, remedy="Correct them, or write 0, 0, 0 for a point that is not labeled",
        ),
        of_rows(
            "error", strange, "people have a visibility other than 0, 1 or 2",
            name=name, remedy="0 is not labeled, 1 labeled but hidden, 2 visible",
        ),
    ]  # fmt: skip
    leaving = outside & ~far
    if leaving.size and leaving.mean() > _OUTSIDE:
        found.append(
            of_rows(
                "warning", leaving, "people have keypoints outside of their image",
                name=name,
                remedy="Are they of a larger image, or are height and width of it exchanged?",
            )
        )  # fmt: skip
    return [f for f in found if f is not None]


def check_pixels(points: Columns, *, name: Name) -> Finding | None:
    """Find keypoints that are fractions of the image instead of pixels."""
    x, y, visible = points
    labeled = visible > 0
    largest = np.where(labeled, np.maximum(x, y), 0).max(0, initial=0)
    faulty = (largest <= 1.5) & (labeled.sum(0) > 1)
    remedy = "COCO's format wants pixels: multiply by width and height"
    what = "people have keypoints between 0 and 1, which seem to be fractions of the image"
    return of_rows("error", faulty, what, name=name, remedy=remedy)


def check_percent(points: Columns, sizes: Array) -> Finding | None:
    """Find keypoints that are percents of the image, as some tools export them, throughout.

    Args:
        points: of all people.
        sizes: ``(N, 2)`` height, width; infinite where they are not stated.
    """
    labeled = points.visible > 0
    largest = np.where(labeled, np.maximum(points.x, points.y), 0).max(0, initial=0)
    return percent_finding(largest, sizes.min(1), "keypoints")


def percent_finding(largest: Array, sides: Array, what: str) -> Finding | None:
    """Return a warning where no coordinate is above 100 though all images are far larger.

    Args:
        largest: ``(N,)`` the largest coordinate of each annotation.
        sides: ``(N,)`` the shorter side of its image; infinite where it is not stated.
        what: is annotated.
    """
    known = np.isfinite(sides)
    if known.sum() < _NUM_PERCENT or (largest > 100).any() or largest.max() < 50:
        return None
    if sides[known].min() < _LARGE:
        return None
    return Finding(
        severity="warning",
        what=f"the {what} of all {len(largest)} annotations are below 100 in images of at least "
        f"{sides[known].min():.0f} pixels, so they seem to be percents of the image",
        count=len(largest),
        remedy="COCO's format wants pixels: multiply by width / 100 and height / 100",
    )


def check_collapsed(points: Columns, *, name: Name) -> Finding | None:
    """Find people all of whose labeled points are one."""
    low, high = points.extents()
    labeled = (points.visible > 0).sum(0)
    faulty = (labeled >= 3) & (low == high).all(0)
    what = "people have all of their keypoints at one place"
    return of_rows("warning", faulty, what, name=name, remedy="Take them out or label them again")


def marks(image_index: NDArray[np.int64], points: Array) -> list[tuple[int, bytes]]:
    """Return what twins have in common: image and keypoints; of none, if all differ at a glance.

    Args:
        image_index: ``(N,)`` of their images.
        points: ``(N, K, 3)``.
    """
    sums = points.reshape(len(points), -1) @ np.random.default_rng(0).random(points[0].size)
    if len(np.unique(sums)) == len(sums):
        return []
    return [(int(i), p.tobytes()) for i, p in zip(image_index, points, strict=True)]


def check_categories(
    categories: Sequence[Mapping[str, Any]], used: Mapping[Any, int]
) -> list[Finding]:
    """Find people of several categories.

    Args:
        categories: of the file.
        used: number of people of each category's id.
    """
    of_people = [c for c in categories if c.get("id") in used]
    titles = [f"{c.get('name')} ({used[c['id']]})" for c in of_people]
    named = {tuple(map(str, c.get("keypoints") or ())) for c in of_people}
    if len(titles) < 2 or (len(named) == 1 and named != {()}):
        return []
    return [
        Finding(
            severity="error" if len(named) > 1 else "warning",
            what=f"people of {len(titles)} categories are mixed",
            items=tuple(titles[:5]),
            count=len(titles),
            remedy="Take the annotations of all but one out of the file",
        )
    ]


def check_names(
    categories: Sequence[Mapping[str, Any]], used: Mapping[Any, int], skeleton: Skeleton
) -> list[Finding]:
    """Compare the names of keypoints that are read as they stand with the skeleton's."""
    of_people = [c for c in categories if c.get("id") in used]
    findings = [_compare(c, skeleton) for c in of_people if isinstance(c.get("keypoints"), list)]
    return [f for f in findings if f is not None]


def _compare(category: Mapping[str, Any], skeleton: Skeleton) -> Finding | None:
    theirs = [str(name) for name in category["keypoints"]]
    if len(theirs) != skeleton.num_keypoints:
        return None
    places = {name: i for i, name in enumerate(theirs)}
    found = match_names(skeleton.keypoints, places, skeleton.aliases)
    differ = [i for i, place in enumerate(found) if place != i]
    if not differ:
        return None
    return Finding(
        severity="warning",
        what=(
            f"the file names {len(differ)} of {len(theirs)} keypoints differently than "
            f"{skeleton.name!r}, and the order is taken for the same"
        ),
        items=tuple(f"{theirs[i]} for {skeleton.keypoints[i]}" for i in differ[:5]),
        count=len(differ),
        remedy="skeleton=FILE takes names and order from the annotation file; `aliases:` in a "
        "skeleton's YAML says that two names mean the same",
    )
