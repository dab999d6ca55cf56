"""From what weights say of themselves to the task that reads their outputs.

A description names keypoints and classes, their left/right pairs and colors, so nothing else is
needed. Its values come from a file: they are checked, and no path among them is followed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from sapiens_lab.anatomy import sides
from sapiens_lab.anatomy.loading import parse_color
from sapiens_lab.anatomy.parts import MAX_CLASSES, Parts, default_colors
from sapiens_lab.anatomy.skeleton import DEFAULT_SIGMA, SIDE_COLORS, Skeleton
from sapiens_lab.tasks.depth import DepthTask
from sapiens_lab.tasks.multitask import MultiTask
from sapiens_lab.tasks.normal import NormalTask
from sapiens_lab.tasks.pose import PoseTask
from sapiens_lab.tasks.segmentation import SegmentationTask
from sapiens_lab.tasks.task import Task

TASKS = ("pose", "segmentation", "depth", "normal")


@contextmanager
def believed(where: str) -> Iterator[None]:
    """Say of a description whose values are of another kind that it is damaged.

    Raises:
        ValueError: it is.
    """
    try:
        yield
    except (TypeError, AttributeError, KeyError, IndexError, OverflowError) as error:
        raise ValueError(
            f"{where}: its description is damaged ({error}); export it again"
        ) from error


def task_of(
    values: Mapping[str, Any], *, num_outputs: int, flip_test: bool | None, where: str
) -> Task:
    """Return the task that predicts with such weights; it has neither loss nor metrics.

    Args:
        values: ``Description.task``.
        num_outputs: channels of the output, for keypoints and classes without names.
        flip_test: average with the flipped image; ``None`` as the weights say.
        where: the weights come from, for messages.

    Raises:
        ValueError: the weights are for something else, or contradict themselves.
    """
    name = str(values.get("name"))
    flips = bool(values.get("flip_test", False)) if flip_test is None else flip_test
    if name == "pose":
        skeleton = skeleton_of(values, num_outputs, where)
        return PoseTask(skeleton=skeleton, loss=nn.Identity(), metrics={}, flip_test=flips)
    if name == "segmentation":
        parts = parts_of(values, num_outputs, where)
        return SegmentationTask(parts=parts, loss=nn.Identity(), metrics={}, flip_test=flips)
    if name == "depth":
        kind = _meaning(values).get("depth", "relative")
        return DepthTask(kind=kind, loss=nn.Identity(), metrics={}, flip_test=flips)
    if name == "normal":
        return NormalTask(loss=nn.Identity(), metrics={}, flip_test=flips)
    raise ValueError(
        f"{where} is a model for {name}; images are predicted for {', '.join(TASKS)} or several "
        "of them" + (": `sapiens reconstruct` shows what it does" if name == "pretrain" else "")
    )


def multitask_of(
    values: Mapping[str, Any], *, num_outputs: Mapping[str, int], flip_test: bool | None, where: str
) -> MultiTask:
    """Return the task of weights that answer several at once, each with a head of its own.

    Raises:
        ValueError: the weights do not describe their tasks.
    """
    described = values.get("tasks")
    if not isinstance(described, Mapping) or set(described) != set(num_outputs):
        raise ValueError(
            f"{where} has the heads {', '.join(num_outputs)}, but does not describe their tasks; "
            "export it again"
        )
    together = bool(values.get("flip_test", False)) if flip_test is None else flip_test
    return MultiTask(
        tasks={
            name: task_of(
                described[name], num_outputs=num_outputs[name], flip_test=together, where=where
            )
            for name in described
        }
    )


def skeleton_of(values: Mapping[str, Any], num_outputs: int, where: str) -> Skeleton:
    """Return the keypoints of pose weights, the shipped ones where they are the same."""
    names = _names(_meaning(values).get("skeleton"), num_outputs, "keypoint", where)
    title = str(values.get("skeleton", "keypoints"))
    shipped = Skeleton.load(title) if _is_shipped(title) else None
    if shipped is not None and shipped.keypoints == names:
        return replace(shipped, flip_indices=_flip(values, shipped.flip_indices, names, where))
    colors = np.array([parse_color(SIDE_COLORS[sides.side_of(name)], where) for name in names])
    edges = tuple(
        (int(a), int(b))
        for a, b in values.get("edges") or ()
        if 0 <= int(a) < len(names) and 0 <= int(b) < len(names)
    )
    return Skeleton(
        name=title,
        keypoints=names,
        sigmas=_sigmas(values.get("sigmas"), len(names)),
        flip_indices=_flip(values, None, names, where),
        edges=edges,
        edge_colors=colors[[b for _, b in edges]].astype(np.uint8).reshape(-1, 3),
        colors=colors.astype(np.uint8),
    )


def parts_of(values: Mapping[str, Any], num_outputs: int, where: str) -> Parts:
    """Return the classes of weights for parts, the shipped ones where they are the same."""
    names = _names(_meaning(values).get("parts"), num_outputs, "class", where)
    if len(names) > MAX_CLASSES:
        raise ValueError(f"{where} has {len(names)} classes; at most {MAX_CLASSES} fit into 8 bits")
    title = str(values.get("parts", "classes"))
    shipped = Parts.load(title) if _is_shipped(title) else None
    same = shipped if shipped is not None and shipped.classes == names else None
    colors = default_colors(len(names)) if same is None else same.colors
    own = np.asarray(values.get("colors", colors))
    return Parts(
        name=title,
        classes=names,
        colors=own.astype(np.uint8) if own.shape == colors.shape else colors,
        flip_indices=_flip(values, None if same is None else same.flip_indices, names, where),
    )


def _meaning(values: Mapping[str, Any]) -> Mapping[str, Any]:
    meaning = values.get("meaning")
    return meaning if isinstance(meaning, Mapping) else {}


def _names(given: Any, count: int, entry: str, where: str) -> tuple[str, ...]:
    if not isinstance(given, Sequence) or isinstance(given, str):
        return tuple(f"{entry} {i + 1}" for i in range(count))
    if len(given) != count:
        raise ValueError(f"{where} names {len(given)} of its {count} outputs; export it again")
    return tuple(str(name) for name in given)


def _flip(
    values: Mapping[str, Any],
    default: NDArray[np.int64] | None,
    names: Sequence[str],
    where: str,
) -> NDArray[np.int64] | None:
    if "flip_indices" not in values:
        return default
    given = values["flip_indices"]
    if given is None:
        return None
    if sorted(given) != list(range(len(names))):
        raise ValueError(f"{where}: its flip_indices are no permutation of {len(names)}")
    return np.array(given, np.int64)


def _sigmas(given: Any, count: int) -> NDArray[np.float64]:
    is_list = isinstance(given, Sequence) and len(given) == count
    return np.array(given if is_list else [DEFAULT_SIGMA] * count, np.float64)


def _is_shipped(name: str) -> bool:
    """Tell whether the package has such a list; a file's word is never taken for a path."""
    if not re.fullmatch(r"\w+", name):
        return False
    return resources.files("sapiens_lab.anatomy").joinpath(f"{name}.yaml").is_file()
