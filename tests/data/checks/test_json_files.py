"""Repeated keys of a JSON file are found, and files without are not parsed a second time."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sapiens_lab.data.checks.json_files import check_repeated_keys

RLE = {"counts": "ab", "size": [4, 4]}


def content() -> dict[str, Any]:
    """Annotations of which one of a hundred is a crowd, as in COCO's own files."""
    polygons = [[1, 2, 3, 4, 5, 6]]
    annotations: list[dict[str, Any]] = [
        {"id": i, "image_id": 1, "segmentation": RLE if i == 99 else polygons, "of": {"a": {}}}
        for i in range(100)
    ]  # fmt: skip
    return {
        "info": {"url": "https://images.org", "versions": [{"a": 1}, {"a": 2, "b": [[{"c": 3}]]}]},
        "images": [{"id": 1, "file_name": "a.png"}],
        "annotations": annotations,
        "categories": [],
    }


@pytest.mark.parametrize("separators", [(", ", ": "), (",", ":"), (", ", " : ")])
@pytest.mark.parametrize("indent", [None, 2])
def test_a_file_without_repeated_keys_is_not_parsed_again(
    monkeypatch: pytest.MonkeyPatch, separators: tuple[str, str], indent: int | None
) -> None:
    raw = json.dumps(content(), separators=separators, indent=indent).encode()
    monkeypatch.setattr("sapiens_lab.data.checks.json_files.json.loads", None)
    assert check_repeated_keys(raw, content()) is None


@pytest.mark.parametrize(
    ("before", "after", "named"),
    [
        (b'"id": 7,', b'"id": 5, "id": 7,', "`id (id 7)`"),
        (b'"size"', b'"counts": "c", "size"', "`counts`"),
        (b'"images":', b'"images": [], "images":', "`images`"),
        (b'"file_name"', b'"file_name": "b.png", "file_name"', "`file_name (id 1)`"),
    ],
)
def test_a_repeated_key_is_named(before: bytes, after: bytes, named: str) -> None:
    raw = json.dumps(content()).encode()
    assert raw.count(before) == 1
    finding = check_repeated_keys(raw.replace(before, after), content())
    assert finding is not None
    assert (finding.count, finding.items) == (1, (named,))


def test_what_nobody_reads_may_be_there_twice() -> None:
    raw = json.dumps(content()).encode()
    assert check_repeated_keys(raw.replace(b'"url"', b'"url": "x", "url"'), content()) is None
    text = raw.replace(b"https", b'\\": \\": https')
    assert check_repeated_keys(text, json.loads(text)) is None
