"""Keypoint sets. One YAML, or the ``categories`` of a COCO file, says all there is to know."""

from __future__ import annotations

import difflib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from sapiens_lab.anatomy import sides

log = logging.getLogger(__name__)

# Width of a keypoint whose annotation spread nobody has measured: between those of the eye (0.025)
# and the hip (0.107) in COCO. AP depends on it, so compare such runs by PCK too.
DEFAULT_SIGMA = 0.05
SIDE_COLORS = {"left": "#00ff00", "right": "#ff8000", "center": "#3399ff"}
_ENTRY_KEYS = {"name", "sigma", "color", "part", "half"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Skeleton:
    """A keypoint set.

    ``flip_indices`` is ``None`` where left and right are not known; flipping then stays off.
    """

    name: str
    keypoints: tuple[str, ...]
    sigmas: NDArray[np.float64]  # (K,) OKS falloff as a fraction of the person's size
    flip_indices: (
        NDArray[np.int64] | None
    )  # (K,) the point that each becomes under a horizontal flip
    edges: tuple[tuple[int, int], ...] = ()
    edge_colors: NDArray[np.uint8]  # (L, 3) RGB
    colors: NDArray[np.uint8]  # (K, 3) RGB
    upper_body: tuple[int, ...] = ()
    lower_body: tuple[int, ...] = ()
    parts: dict[str, tuple[int, ...]] = field(default_factory=dict)  # body, foot, face, ...

    @property
    def num_keypoints(self) -> int:
        """``K``."""
        return len(self.keypoints)

    def index(self, name: str) -> int:
        """Return the place of a keypoint.

        Raises:
            ValueError: there is none of that name; the message lists the nearest.
        """
        return _index(name, self.keypoints, self.name)

    @staticmethod
    def load(source: str | Path | Skeleton) -> Skeleton:
        """Return the skeleton that ``source`` means.

        Args:
            source: a shipped name (``coco17``, ``wholebody133``, ``goliath308``), the path of a
                YAML, the path of a COCO annotation file, or a skeleton.

        Raises:
            FileNotFoundError: neither a shipped name nor a file.
            ValueError: the file says something impossible; the message names it.
        """
        return source if isinstance(source, Skeleton) else _load(str(source))


@lru_cache(maxsize=32)
def _load(source: str) -> Skeleton:
    shipped = {f.name[:-5]: f for f in resources.files(__package__).iterdir() if _is_skeleton(f)}
    if source in shipped:
        return _parse(yaml.safe_load(shipped[source].read_text()), f"{source}.yaml")
    path = Path(source)
    if not path.is_file():
        near = difflib.get_close_matches(source, sorted(shipped), n=2, cutoff=0.4)
        raise FileNotFoundError(
            f"skeleton {source!r} is neither a file nor one of {', '.join(sorted(shipped))}"
            + (f"; did you mean {' or '.join(near)}?" if near else "")
        )
    if path.suffix == ".json":
        return _parse(_from_coco(path), source)
    return _parse(yaml.safe_load(path.read_text()), source)


def _is_skeleton(file: Any) -> bool:
    return file.name.endswith(".yaml") and "\nkeypoints:" in file.read_text()


def _from_coco(path: Path) -> dict[str, Any]:
    """Read the keypoint category of a COCO annotation file into the YAML's form."""
    content = json.loads(path.read_text())
    categories = content.get("categories", []) if isinstance(content, dict) else []
    found = [c for c in categories if c.get("keypoints")]
    if not found:
        raise ValueError(f"{path}: none of its {len(categories)} categories names keypoints")
    if len({tuple(c["keypoints"]) for c in found}) > 1:
        names = ", ".join(str(c.get("name")) for c in found)
        raise ValueError(
            f"{path}: the categories {names} have different keypoints; write the set that you "
            "want into a YAML and give it as `skeleton=`"
        )
    category = found[0]
    names = category["keypoints"]
    edges = [[names[a - 1], names[b - 1]] for a, b in category.get("skeleton", [])]  # 1-based
    return {"name": category.get("name", path.stem), "keypoints": names, "edges": edges}


def _parse(data: Any, source: str) -> Skeleton:
    """Turn the content of a YAML into a skeleton; every complaint names ``source``."""
    if not isinstance(data, dict) or not data.get("keypoints"):
        raise ValueError(f"{source}: a skeleton needs a list `keypoints` of names")
    known = {"name", "keypoints", "flip_pairs", "edges", "sigmas"}
    if unknown := set(data) - known:
        raise ValueError(f"{source}: unknown {sorted(unknown)}; a skeleton has {sorted(known)}")
    entries = [_entry(item, source) for item in data["keypoints"]]
    names = tuple(entry["name"] for entry in entries)
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{source}: these keypoints stand there twice: {repeated}")
    edges = [(_index(a, names, source), _index(b, names, source)) for a, b, *_ in _edges(data)]
    colors = [entry.get("color", SIDE_COLORS[sides.side_of(entry["name"])]) for entry in entries]
    return Skeleton(
        name=str(data.get("name", Path(source).stem)),
        keypoints=names,
        sigmas=_sigmas(data, entries, source),
        flip_indices=_flip_indices(data, names, source),
        edges=tuple(edges),
        edge_colors=_rgb([_edge_color(link, names, colors) for link in _edges(data)], source),
        colors=_rgb(colors, source),
        upper_body=tuple(i for i, entry in enumerate(entries) if entry.get("half") == "upper"),
        lower_body=tuple(i for i, entry in enumerate(entries) if entry.get("half") == "lower"),
        parts=_parts(entries),
    )


def _entry(item: Any, source: str) -> dict[str, Any]:
    entry = {"name": str(item)} if not isinstance(item, Mapping) else dict(item)
    if "name" not in entry or (unknown := set(entry) - _ENTRY_KEYS):
        wrong = "has no name" if "name" not in entry else f"has unknown {sorted(unknown)}"
        raise ValueError(f"{source}: keypoint {item} {wrong}; known are {sorted(_ENTRY_KEYS)}")
    if entry.get("half") not in (None, "upper", "lower"):
        raise ValueError(f"{source}: keypoint {entry['name']}: half is upper or lower")
    return entry


def _sigmas(
    data: Mapping[str, Any], entries: Sequence[Mapping[str, Any]], source: str
) -> NDArray[np.float64]:
    given = data.get("sigmas", DEFAULT_SIGMA)
    if isinstance(given, list) and len(given) != len(entries):
        raise ValueError(
            f"{source}: {len(given)} sigmas for {len(entries)} keypoints; give one each, or a "
            "single number for all"
        )
    spread = given if isinstance(given, list) else [given] * len(entries)
    values = [float(e.get("sigma", s)) for e, s in zip(entries, spread, strict=True)]
    if min(values) <= 0:
        raise ValueError(f"{source}: sigmas must be positive")
    return np.array(values)


def _flip_indices(
    data: Mapping[str, Any], names: Sequence[str], source: str
) -> NDArray[np.int64] | None:
    if "flip_pairs" in data:
        named = data["flip_pairs"] or []
        pairs = [(_index(a, names, source), _index(b, names, source)) for a, b in named]
    else:
        pairs = sides.infer_pairs(names)
        if not pairs:
            log.warning(
                "%s: no left/right pairs can be read off the keypoint names, so flipping is off; "
                "name them under `flip_pairs` in a skeleton YAML (`flip_pairs: []` if there are "
                "none)",
                source,
            )
            return None
        shown = ", ".join(f"{names[a]} - {names[b]}" for a, b in pairs)
        log.info("%s: left/right pairs read off the names: %s", source, shown)
    try:
        return np.array(sides.flip_permutation(len(names), pairs))
    except ValueError as error:
        raise ValueError(f"{source}: flip_pairs: {error}") from error


def _edges(data: Mapping[str, Any]) -> list[list[Any]]:
    return data.get("edges") or []


def _edge_color(link: Sequence[Any], names: Sequence[str], colors: Sequence[str]) -> str:
    return str(link[2]) if len(link) == 3 else colors[names.index(link[1])]


def _parts(entries: Sequence[Mapping[str, Any]]) -> dict[str, tuple[int, ...]]:
    parts: dict[str, list[int]] = {}
    for i, entry in enumerate(entries):
        if "part" in entry:
            parts.setdefault(entry["part"], []).append(i)
    return {name: tuple(members) for name, members in parts.items()}


def _index(name: Any, names: Sequence[str], source: str) -> int:
    if name in names:
        return list(names).index(name)
    near = difflib.get_close_matches(str(name), names, n=3) or list(names[:3])
    raise ValueError(f"{source}: there is no keypoint {name!r}; near are {', '.join(near)}")


def _rgb(colors: Sequence[Any], source: str) -> NDArray[np.uint8]:
    """Turn ``#rrggbb`` texts into ``(N, 3)``."""
    try:
        rows = [list(bytes.fromhex(str(color).removeprefix("#"))) for color in colors]
        return np.array(rows, np.uint8).reshape(len(rows), 3)
    except ValueError as error:
        raise ValueError(f'{source}: colors are written "#rrggbb": {error}') from error
