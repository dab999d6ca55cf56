"""A keypoint set that selects points of a shipped one takes what it does not say from there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sapiens_lab.anatomy import sides
from sapiens_lab.anatomy.loading import Document
from sapiens_lab.anatomy.matching import describe_missing, match_names


def inherit(document: Document, base: Document, aliases: Mapping[str, Sequence[str]]) -> Document:
    """Return a document with sigmas, colors, parts, edges and flip pairs of a shipped set.

    Args:
        document: lists points of ``base`` by the names there, or by its own with ``aliases``.
        base: the shipped set.
        aliases: names in ``base``.

    Raises:
        ValueError: ``base`` lacks every point, or a point is listed whose left/right partner is
            not.
    """
    places = {name: i for i, name in enumerate(base.names)}
    found = match_names(document.names, places, aliases)
    if all(place is None for place in found):
        missing = describe_missing(document.names, base.names)
        raise document.error(
            f"base {base.title} has none of its keypoints: {missing}. `aliases:` says what they "
            "are called there"
        )
    selected = [(n, i) for n, i in zip(document.names, found, strict=True) if i is not None]
    ours = {base.names[i]: name for name, i in selected}
    if len(ours) < len(selected):
        raise document.error(f"two of its keypoints are the same one of {base.title}")
    own_sigmas = {"sigma"} if "sigmas" in document.data else set()
    entries = [
        entry if i is None else {**_without(base.entries[i], own_sigmas), **entry}
        for entry, i in zip(document.entries, found, strict=True)
    ]
    data = dict(document.data)
    if "edges" not in data:
        data["edges"] = _renamed(base.pairs("edges", most=3), ours)
    if "flip_pairs" not in data:
        new = [name for name, i in zip(document.names, found, strict=True) if i is None]
        pairs = [(new[a], new[b]) for a, b in sides.infer_pairs(new)]
        paired = {name for pair in pairs for name in pair}
        if all(name in paired or sides.side_of(name) == "center" for name in new):
            data["flip_pairs"] = [*_flip_pairs(document, base, ours), *map(list, pairs)]
    return replace(document, data=data, entries=entries)


def _flip_pairs(document: Document, base: Document, ours: Mapping[str, str]) -> list[list[Any]]:
    pairs = base.pairs("flip_pairs")
    halves = [(a, b) if a in ours else (b, a) for a, b in pairs if (a in ours) != (b in ours)]
    if halves:
        shown = ", ".join(f"{ours[here]} without {absent}" for here, absent in halves[:5])
        raise document.error(
            f"{len(halves)} left/right pairs of {base.title} are half here: {shown}. List both "
            "of each, or switch flipping off with `flip_pairs: null`"
        )
    return _renamed(pairs, ours)


def _renamed(pairs: Sequence[Sequence[Any]], ours: Mapping[str, str]) -> list[list[Any]]:
    return [[ours[a], ours[b], *rest] for a, b, *rest in pairs if a in ours and b in ours]


def _without(entry: Mapping[str, Any], keys: set[str]) -> dict[str, Any]:
    return {k: v for k, v in entry.items() if k not in keys}
