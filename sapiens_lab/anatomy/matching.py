"""Find keypoints of one set in another by their names."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Mapping, Sequence


def plain(name: object) -> str:
    """Return a name without case and separators: ``Left Eye`` and ``left_eye`` are one name."""
    return "".join(c for c in str(name).lower() if c.isalnum())


def match_names(
    names: Sequence[str], places: Mapping[str, int], aliases: Mapping[str, Sequence[str]]
) -> list[int | None]:
    """Return where each name stands in another list, ``None`` if it is not there.

    A name itself comes before its aliases, and equal spelling before equal but for case and
    separators.

    Args:
        names: what is looked for.
        places: index of each name of the other list.
        aliases: what the other list may call a name instead.
    """
    counts = Counter(plain(name) for name in places)
    loose = {plain(name): i for name, i in places.items() if counts[plain(name)] == 1}
    found = []
    for name in names:
        candidates = (name, *aliases.get(name, ()))
        hits = (places.get(c, loose.get(plain(c))) for c in candidates)
        found.append(next((hit for hit in hits if hit is not None), None))
    return found


def places_of(names: Sequence[str], aliases: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Return the index under every name and alias; a name comes before an equal alias."""
    places = {name: i for i, name in enumerate(names)}
    for i, name in enumerate(names):
        for alias in aliases.get(name, ()):
            places.setdefault(alias, i)
    return places


def describe_missing(names: Sequence[str], others: Sequence[str]) -> str:
    """Return names that are not in another list, each with the nearest ones there."""
    shown = []
    for name in names[:8]:
        near = difflib.get_close_matches(name, others, n=2)
        shown.append(f"{name} (near: {', '.join(near)})" if near else name)
    return ", ".join(shown) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
