"""Checks of which classes a training and a validation set have."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sapiens_lab.anatomy.parts import Parts
from sapiens_lab.data.checks.finding import Finding, of_items

_NUM_MAPS = 100  # that must be read, if not all are, before a class is called absent


def check_presence(
    train: NDArray[np.int64],
    val: NDArray[np.int64] | None,
    parts: Parts,
    *,
    num_maps: tuple[int, int],
    num_samples: tuple[int, int],
) -> list[Finding]:
    """Find classes that no map has, or that are in one set only.

    Args:
        train: pixels of each class ``(C,)`` in the training maps that were read.
        val: the same of the validation set, if there is one.
        parts: the class list.
        num_maps: how many maps of each set were read.
        num_samples: how many each has.
    """
    is_known = [n >= min(_NUM_MAPS, m) for n, m in zip(num_maps, num_samples, strict=True)]
    if not is_known[0]:
        return []
    looked = f"{num_maps[0]} training maps looked into"
    found = [
        of_items(
            "warning",
            (
                parts.classes[i]
                for i in np.flatnonzero((train == 0) & (val == 0 if val is not None else True))
            ),
            f"of {parts.num_classes} classes are in none of the {looked}",
            remedy="Do ids in files begin at another number than those of the class list, or is it "
            "another list? parts=FILE",
        )
    ]
    if val is not None and is_known[1]:
        found += [
            of_items(
                "warning",
                (parts.classes[i] for i in np.flatnonzero((train > 0) & (val == 0))),
                f"of {parts.num_classes} classes are in none of the {num_maps[1]} validation maps "
                "looked into, so that they have no IoU",
                remedy="Divide by another seed, or let more validate (data.train.val_fraction=0.2)",
            ),
            of_items(
                "warning",
                (parts.classes[i] for i in np.flatnonzero((train == 0) & (val > 0))),
                f"of {parts.num_classes} classes are validated, and are in none of the {looked}",
                remedy="Nothing can be learned of them: divide otherwise",
            ),
        ]
    return [f for f in found if f is not None]
