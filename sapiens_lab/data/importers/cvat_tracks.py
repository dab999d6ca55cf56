"""Tracks of CVAT's video XML: shapes by frame, with those between keyframes made.

CVAT writes every frame of a track, other programs its keyframes alone. A frame that lies between
two that are written, and has an image, gets the shape linearly between them, as CVAT shows it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.etree.ElementTree import Element

from sapiens_lab.data.importers.annotated import AnnotatedImage
from sapiens_lab.data.importers.gather import NO_IMAGE, Gatherer, number

_BOX = ("xtl", "ytl", "xbr", "ybr")
_FRAME = re.compile(r"(\d{1,12})$")
_BETWEEN = "outlines between keyframes, which are not interpolated"


def read_tracks(
    gatherer: Gatherer, tree: Element, path: Path
) -> Iterator[tuple[AnnotatedImage, list[Element]]]:
    """Return the images of a video and the shapes of all tracks in each."""
    tracks = [(t.get("label", ""), _by_frame(t, gatherer)) for t in tree.iter("track")]
    if not tracks:
        return
    names = _frame_names(gatherer, tree)
    found: dict[int, list[Element]] = {}
    for label, shapes in tracks:
        order = sorted(shapes)
        for frame in order:
            if frame in names:
                found.setdefault(frame, []).append(_labeled(shapes[frame], label))
            elif shapes[frame].get("outside") != "1":
                gatherer.dropped.add(NO_IMAGE, f"frame {frame} of {path.name}")
        for frame in names if len(order) > 1 else ():
            if frame not in shapes and order[0] < frame < order[-1]:
                place = bisect_right(order, frame)
                between = _between(shapes, order[place - 1], frame, order[place])
                if between is not None:
                    found.setdefault(frame, []).append(_labeled(between, label))
                elif shapes[order[place - 1]].get("outside") != "1":
                    gatherer.dropped.add(_BETWEEN, f"frame {frame} of {path.name}")
    video = tree.findtext(".//source") or path.parent.name or path.stem
    size = tree.find(".//original_size")
    stated = None if size is None else tuple(number(size.findtext(k)) for k in ("height", "width"))
    for frame in sorted(found):
        image = gatherer.image(
            names[frame], size=(stated[0], stated[1]) if stated else None, video=video
        )
        if image is not None:
            yield image, found[frame]


def _by_frame(track: Element, gatherer: Gatherer) -> dict[int, Element]:
    shapes: dict[int, Element] = {}
    for element in track:
        text = element.get("frame", "")
        if text.isdigit() and len(text) < 13:
            shapes[int(text)] = element
        elif element.tag != "attribute":
            gatherer.dropped.add("shapes of a track without a frame", element.tag[:30])
    return shapes


def _labeled(element: Element, label: str) -> Element:
    """Give the shape of a track the track's label."""
    if element.get("label") is None:
        element.set("label", label)
    return element


def _frame_names(gatherer: Gatherer, tree: Element) -> dict[int, str]:
    """Return the images by frame number: the last number of their names, or their order."""
    names = gatherer.files.names
    matches = [(_FRAME.search(name.rpartition(".")[0]), name) for name in names]
    numbers = {int(match[1]): name for match, name in matches if match}
    size = number(tree.findtext(".//size"))
    if len(numbers) == len(names) and (len(names) != size or min(numbers, default=0) == 0):
        return numbers
    return dict(enumerate(names)) if len(names) == size else numbers


def _between(shapes: Mapping[int, Element], first: int, frame: int, last: int) -> Element | None:
    """Return the shape of a frame between two others; ``None`` if there is none to be made."""
    a, b = shapes[first], shapes[last]
    if a.get("outside") == "1" or a.tag != b.tag:
        return None
    weight = (frame - first) / (last - first)
    made = Element(a.tag, a.attrib)
    if a.tag == "box":
        for key in _BOX:
            made.set(key, str(_mix(number(a.get(key)), number(b.get(key)), weight)))
        return made
    if a.tag == "points":
        return _mix_points(a, b, weight)
    if a.tag != "skeleton":
        return None
    others = {child.get("label"): child for child in b.iter("points")}
    for child in a.iter("points"):
        other = others.get(child.get("label"), child)
        if (point := _mix_points(child, other, weight)) is not None:
            made.append(point)
    return made


def _mix_points(a: Element, b: Element, weight: float) -> Element | None:
    first, last = _values(a), _values(b)
    if len(first) != len(last):
        return None
    values = [_mix(x, y, weight) for x, y in zip(first, last, strict=True)]
    made = Element("points", a.attrib)
    pairs = zip(values[::2], values[1::2], strict=False)
    made.set("points", ";".join(f"{x},{y}" for x, y in pairs))
    return made


def _values(element: Element) -> list[float]:
    return [number(value) for value in re.split("[,;]", element.get("points", ""))]


def _mix(first: float, last: float, weight: float) -> float:
    return first + (last - first) * weight
