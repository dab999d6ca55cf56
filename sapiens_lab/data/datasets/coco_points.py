"""Which columns of a COCO file are a skeleton's keypoints: all as they stand, or some by name."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sapiens_lab.anatomy.matching import describe_missing, match_names
from sapiens_lab.anatomy.skeleton import Skeleton, suggest_shipped

log = logging.getLogger(__name__)

# COCO-WholeBody keeps its 133 points under five keys; joined in this order.
_WHOLEBODY_KEYS = ("keypoints", "foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts")


@dataclass(frozen=True, slots=True, kw_only=True)
class PointColumns:
    """Where the ``K`` keypoints of a skeleton stand among the ``F`` of a file's people."""

    skeleton: Skeleton
    count: int  # F
    is_joined: bool = False  # of COCO-WholeBody's five lists
    columns: NDArray[np.int64] | None = None  # (K,) into F; None: all, as they stand

    @property
    def owner(self) -> str:
        """Whose the ``F`` keypoints are, for messages."""
        return repr(self.skeleton.name) if self.columns is None else "the file's other people"

    def numbers(self, annotation: Mapping[str, Any]) -> Any:
        """Return the 3 F numbers of an annotation, unchecked."""
        own = annotation.get("keypoints", [])
        is_whole = isinstance(own, list) and len(own) == 3 * self.count
        return _join(annotation) if self.is_joined and not is_whole else own

    def select(self, values: NDArray[Any]) -> NDArray[Any]:
        """Turn the file's ``(N, 3 F)`` into the skeleton's ``(N, K, 3)``."""
        points = values.reshape(len(values), self.count, 3)
        return points if self.columns is None else points[:, self.columns]

    def report(self) -> None:
        """Log which keypoints are read by name."""
        if self.columns is None:
            return
        name, found = self.skeleton.name, len(self.columns)
        log.info("%s: %d of the file's %d keypoints, by name", name, found, self.count)
        if found == self.count:
            log.warning("%s: the file has these keypoints in another order", name)


class _Lists(NamedTuple):
    """One way to read the lists of a file's people."""

    is_joined: bool
    num_points: float  # a fraction where the numbers are no triples
    names: Sequence[str]  # empty where the file gives none


def find_columns(content: Mapping[str, Any], skeleton: Skeleton) -> PointColumns:
    """Return where a skeleton's keypoints stand in a file's lists.

    Names come from the file's category, or are those of COCO-WholeBody where people have its five
    lists, or, in a file without names, those of the skeleton's base if that has as many keypoints.
    Otherwise the skeleton's keypoints must be all of the file's, as they stand.

    Raises:
        ValueError: the file does not have the keypoints; says which are missing.
    """
    ways = _read_lists(content, skeleton)
    K = skeleton.num_keypoints
    for way in ways:
        found = [i for i in _match(skeleton, way.names) if i is not None]
        if len(set(found)) == K:
            count, is_same = int(way.num_points), found == list(range(int(way.num_points)))
            columns = None if is_same else np.array(found)
            return PointColumns(
                skeleton=skeleton, count=count, is_joined=way.is_joined, columns=columns
            )
    for way in ways:
        elsewhere = [i for i, at in enumerate(_match(skeleton, way.names)) if at not in (None, i)]
        if way.num_points == K and not elsewhere:
            return PointColumns(skeleton=skeleton, count=K, is_joined=way.is_joined)
    raise ValueError(_why_not(skeleton, ways[-1]))


def _read_lists(content: Mapping[str, Any], skeleton: Skeleton) -> list[_Lists]:
    person = next((a for a in content["annotations"] if a.get("keypoints")), None)
    if person is None:
        raise ValueError("its annotations have no keypoints")
    own = person["keypoints"]
    if not isinstance(own, list):
        raise ValueError(f"its keypoints are {type(own).__name__}, not lists of x, y, visible")
    if isinstance(own[0], list | dict):
        kind = "lists" if isinstance(own[0], list) else "dictionaries"
        raise ValueError(
            f"its keypoints are {len(own)} {kind} within a list; COCO's format wants one "
            "flat list, x, y, visible for each point: join them"
        )
    if len(own) == 2 * skeleton.num_keypoints or len(own) % 3:
        raise ValueError(
            f"its keypoints are {len(own)} numbers; COCO's format wants three for each point, x, "
            "y, visible: add a 2 after each x, y that is labeled, or write 0, 0, 0"
        )
    count = len(own) / 3
    names: Sequence[str] = _names_of(content.get("categories") or [], person.get("category_id"))
    if not names and skeleton.base is not None:
        names = Skeleton.load(skeleton.base).keypoints
    ways = [_Lists(False, count, names if len(names) == count else ())]
    if "foot_kpts" in person:
        whole = Skeleton.load("wholebody133").keypoints
        count = len(_join(person)) / 3
        ways.append(_Lists(True, count, whole if len(whole) == count else ()))
    return ways


def _names_of(categories: Sequence[Mapping[str, Any]], category_id: Any) -> list[str]:
    """Return the names of the keypoints of a category; of the only one if the id is unknown."""
    named = [c for c in categories if isinstance(c.get("keypoints"), list)]
    own = [c for c in named if c.get("id") == category_id]
    chosen = own or (named if len(named) == 1 else [])
    return [str(name) for name in chosen[0]["keypoints"]] if chosen else []


def _match(skeleton: Skeleton, names: Sequence[str]) -> list[int | None]:
    counts = Counter(names)
    places = {name: i for i, name in enumerate(names) if counts[name] == 1}
    return match_names(skeleton.keypoints, places, skeleton.aliases)


def _why_not(skeleton: Skeleton, way: _Lists) -> str:
    K, found = skeleton.num_keypoints, _match(skeleton, way.names)
    repeated = [name for name, times in Counter(way.names).items() if times > 1]
    missing = [name for name, i in zip(skeleton.keypoints, found, strict=True) if i is None]
    if not way.names:
        known = suggest_shipped(int(way.num_points))
        remedy = f"{known}, or `base:` in the skeleton's YAML, to select from it"
        hint = f". If they are a known set: {remedy}" if known else ""
        return (
            f"its people have {way.num_points:g} keypoints, {skeleton.name!r} has {K}, and no "
            f"category names them, so none can be selected by name{hint}"
        )
    if missing:
        return (
            f"its people have {way.num_points:g} keypoints, but not {len(missing)} of the {K} of "
            f"{skeleton.name!r}: {describe_missing(missing, way.names)}. `aliases:` in the "
            f"skeleton's YAML says what a file calls a keypoint, e.g. {{{missing[0]}: NAME}}"
            + (f". It names more than one {', '.join(repeated[:3])}" if repeated else "")
        )
    twice = sorted({str(way.names[i]) for i in found if i is not None and found.count(i) > 1})
    return f"several keypoints of {skeleton.name!r} are its {', '.join(twice)}; see `aliases:`"


def _join(annotation: Mapping[str, Any]) -> list[Any]:
    lists: Iterator[Any] = (annotation.get(key) for key in _WHOLEBODY_KEYS)
    return [number for part in lists if isinstance(part, list) for number in part]
