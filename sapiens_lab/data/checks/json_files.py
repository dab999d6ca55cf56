"""Checks of COCO files as parsed: their structure, their ids, and whose annotations they are."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from itertools import repeat
from typing import Any

from sapiens_lab.data.checks.finding import Finding, of_items, of_rows

Rows = Sequence[Mapping[str, Any]]

_LISTS = {"images": "{id, file_name}", "annotations": "{id, image_id}", "categories": "{id, name}"}
_KEYS = {"images": ("id", "file_name"), "annotations": ("image_id",), "categories": ("id", "name")}
_NUMBERS = {
    "images": ("height", "width"),
    "annotations": ("id", "category_id"),
    "categories": (),
}  # where they are given
_NEEDED = {*_LISTS, "bbox", "keypoints", "segmentation", "image_id", "id", "file_name"} | {
    *("height", "width", "category_id", "name", "iscrowd", "skeleton", "foot_kpts", "face_kpts"),
    *("lefthand_kpts", "righthand_kpts", "area", "counts", "size"),
}  # keys whose value is used; others may be there twice
_DETECTION = "Each is {image_id, category_id, bbox: [x, y, width, height], score}"
_MAX_NAME = 1024  # characters of a path; file systems allow 255 for each part of one
_MAX_PART = 255
_NUM_TYPICAL = 50  # rows of a list that show which of their values hold dictionaries


def check_structure(content: Any) -> list[Finding]:
    """Find lists that are no lists, entries that are no dictionaries, and keys that are missing."""
    if not isinstance(content, dict):
        kind = type(content).__name__
        return [Finding(severity="error", what=f"its top level is a {kind}, not a dictionary")]
    findings: list[Finding | None] = []
    for key, form in _LISTS.items():
        rows = content.get(key)
        if rows is None:
            continue
        if not isinstance(rows, list):
            findings.append(
                Finding(
                    severity="error",
                    what=f"`{key}` is a {type(rows).__name__}",
                    remedy=f"Write a list of {form}, one for each",
                )
            )
            continue
        findings.append(
            of_items(
                "error",
                (f"entry {i}" for i, row in enumerate(rows) if not isinstance(row, dict)),
                f"entries of `{key}` are no dictionaries",
                remedy=f"Each is {form}",
            )
        )
        are_dicts = set(map(type, rows)) <= {dict}
        for needed in _KEYS[key]:
            if are_dicts and {type(row.get(needed)) for row in rows} <= {int, float, str}:
                continue
            faulty = [
                f"entry {i}{_with_id(row)}"
                for i, row in enumerate(rows)
                if isinstance(row, dict) and not isinstance(row.get(needed), (int, float, str))
            ]
            what = f"of {len(rows)} entries of `{key}` have no {needed}"
            findings.append(of_items("error", faulty, what, remedy=f"Each is {form}"))
        findings += [_check_type(rows, key, optional) for optional in _NUMBERS[key]]
        if key == "images":
            findings.append(_check_file_names(rows))
    return [f for f in findings if f is not None]


def _check_file_names(images: Sequence[Any]) -> Finding | None:
    """Find names of images that no file can have."""
    names = [str(i["file_name"]) for i in images if isinstance(i, dict) and "file_name" in i]
    if all(names) and max(map(len, names), default=0) <= _MAX_PART and "\0" not in "".join(names):
        return None
    faulty = [
        repr(name[:40]) + ("..." if len(name) > 40 else "")
        for name in names
        if not name
        or len(name) > _MAX_NAME
        or "\0" in name
        or max(map(len, name.replace("\\", "/").split("/"))) > _MAX_PART
    ]
    what = f"of {len(images)} images have a file_name that no file can have"
    return of_items("error", faulty, what, remedy="Write the path of each image, as text")


def check_image_ids(images: Rows) -> list[Finding]:
    """Find ids that several images share, and files that are listed several times."""
    shared = _repeated([image["id"] for image in images])
    names: dict[Hashable, list[str]] = {}
    for image in images if shared else ():
        if image["id"] in shared:
            names.setdefault(image["id"], []).append(str(image["file_name"]))
    twice = _repeated([image["file_name"] for image in images])
    findings = (
        of_items(
            "error",
            (f"id {number} ({' and '.join(files[:3])})" for number, files in names.items()),
            "ids are shared by several images, so it is not known whose annotations are whose",
            remedy="Give each image an id of its own",
        ),
        of_items(
            "warning",
            twice,
            "images are listed more than once, under different ids",
            remedy="List each file once",
        ),
    )
    return [f for f in findings if f is not None]


def check_annotation_ids(annotations: Rows) -> Finding | None:
    """Find ids that several annotations share; the places in the file are used instead."""
    ids = [a["id"] for a in annotations if "id" in a]
    return of_items(
        "warning",
        (f"id {number}" for number in _repeated(ids)),
        "ids are shared by several annotations; all are numbered by their places instead",
        remedy="Give each annotation an id of its own",
    )


def check_image_links(annotations: Rows, images: Rows) -> Finding | None:
    """Find annotations whose image is not listed."""
    known = {image["id"] for image in images}
    if known.issuperset([a["image_id"] for a in annotations]):
        return None
    faulty = [a for a in annotations if a["image_id"] not in known]
    example, listed = faulty[0]["image_id"], images[0]["id"]
    if len(faulty) < len(annotations):
        return of_items(
            "warning",
            (f"id {a.get('id')} (image_id {a['image_id']})" for a in faulty),
            f"of {len(annotations)} annotations are of images that are not listed; left out",
            remedy="Take them out, or list their images",
        )
    if type(example) is not type(listed):
        remedy = "Write both as numbers"
    else:
        remedy = "Are `images` and `annotations` of the same file?"
    return Finding(
        severity="error",
        what=(
            f"no annotation's image_id ({example!r}, {_kind(example)}) is among the ids of the "
            f"images ({listed!r}, {_kind(listed)})"
        ),
        count=len(faulty),
        remedy=remedy,
    )


def check_twins(marks: Sequence[Hashable], *, name: Callable[[int], str]) -> Finding | None:
    """Find annotations that are there twice.

    Args:
        marks: what two annotations must share to be twins, with the image.
        name: names an annotation.
    """
    if len(set(marks)) == len(marks):
        return None
    first_place: dict[Hashable, int] = {}
    twins = [
        f"{name(first_place[mark])} and {name(i)}"
        for i, mark in enumerate(marks)
        if first_place.setdefault(mark, i) != i
    ]
    what = f"of {len(marks)} annotations are there twice, the same in the same image"
    return of_items("warning", twins, what, remedy="Take one of each out")


def check_detections(rows: Any) -> list[Finding]:
    """Find what is no list of detections: ``image_id``, ``bbox`` and ``score`` each."""
    if not isinstance(rows, list) or not rows:
        return [Finding(severity="error", what="it is no list of detections", remedy=_DETECTION)]
    faulty = [not isinstance(row, dict) or not _is_detection(row) for row in rows]
    found = of_rows(
        "error",
        faulty,
        "detections lack a number",
        name=lambda i: f"entry {i} ({str(rows[i])[:40]})",
        remedy=_DETECTION,
    )
    return [found] if found else []


def _is_detection(row: Mapping[str, Any]) -> bool:
    box, score = row.get("bbox"), row.get("score")
    return (
        isinstance(row.get("image_id"), int | str)
        and isinstance(box, list)
        and len(box) == 4
        and all(isinstance(n, int | float) and math.isfinite(n) for n in [*box, score])
    )


def check_category_links(annotations: Rows, categories: Rows) -> Finding | None:
    """Find annotations of a category that is not listed."""
    known = {category["id"] for category in categories}
    faulty = [a.get("category_id") not in known for a in annotations]
    return of_rows(
        "error",
        faulty,
        "annotations have a category_id that `categories` does not list",
        name=lambda i: f"id {annotations[i].get('id')} ({annotations[i].get('category_id')!r})",
        remedy="List their categories",
    )


def check_repeated_keys(raw: bytes, content: Mapping[str, Any]) -> Finding | None:
    """Find dictionaries that have a key twice: parsers silently keep the last.

    Args:
        raw: the file.
        content: the same, parsed and well-formed.
    """
    # Written `"key":` by nearly all programs. Where it is not, or a text holds such signs, the
    # numbers differ, and a closer look takes as long as parsing did.
    if raw.count(b'":') + raw.count(b'" :') == _num_keys(content):
        return None
    repeated: Counter[str] = Counter()

    def note(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        row = dict(pairs)
        if len(row) < len(pairs):
            keys = [key for key, _ in pairs]
            where = _with_id(row)
            repeated.update(f"{key}{where}" for key in _NEEDED & set(keys) if keys.count(key) > 1)
        return row

    json.loads(raw, object_pairs_hook=note)
    return of_items(
        "error",
        (f"`{key}`" for key in repeated),
        "keys occur twice in one dictionary, so that one of the values is lost",
        remedy="Keep one of each",
    )


def _num_keys(node: Any) -> int:
    """Count the keys of all dictionaries within a parsed JSON value.

    Of long lists, lists of dictionaries are looked into that the first rows have, so it may be too
    few.
    """
    if isinstance(node, dict):
        return len(node) + sum(map(_num_keys, node.values()))
    if not isinstance(node, list) or not node or not isinstance(node[0], (dict, list)):
        return 0
    rows = [row for row in node if type(row) is dict]
    typical = rows[:_NUM_TYPICAL]
    nested = {key for row in typical for key, value in row.items() if _num_keys(value)}
    nested |= {
        key for key in {key for row in typical for key in row} - nested
        if dict in set(map(type, map(dict.get, rows, repeat(key))))
    }  # fmt: skip
    within = (_num_keys(row.get(key)) for key in nested for row in rows)
    lists = (_num_keys(row) for row in node[:_NUM_TYPICAL] if type(row) is list)
    return sum(map(len, rows)) + sum(within) + sum(lists)


def _check_type(rows: Sequence[Any], key: str, number: str) -> Finding | None:
    kinds = (int, float) if key == "images" else (int, float, str)
    if set(map(type, rows)) <= {dict} and {type(row.get(number, 0)) for row in rows} <= {*kinds}:
        return None
    faulty = [
        f"entry {i}{_with_id(row)}: {str(row[number])[:40]!r}"
        for i, row in enumerate(rows)
        if isinstance(row, dict) and not isinstance(row.get(number, 0) or 0, kinds)
    ]
    what = f"of {len(rows)} entries of `{key}` have a {number} that is no number"
    return of_items("error", faulty, what, remedy="Write numbers")


def _repeated(values: Sequence[Hashable]) -> list[Hashable]:
    if len(set(values)) == len(values):
        return []
    return [value for value, count in Counter(values).items() if count > 1]


def _kind(value: Any) -> str:
    return "text" if isinstance(value, str) else "a number"


def _with_id(row: Mapping[str, Any]) -> str:
    return f" (id {row['id']})" if "id" in row else ""
