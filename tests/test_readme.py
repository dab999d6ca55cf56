"""The set-up lines and the map of the code in README; links of all pages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.documentation import PAGES

README = (ROOT / "README.md").read_text()


def test_two_lines_set_everything_up() -> None:
    lines = re.findall(r"^pip install .*$", README, re.MULTILINE)
    assert lines[0] == 'pip install -e ".[all]" && python train.py'
    assert lines[1].endswith("python -m pytest -n logical")
    assert len(lines) == 2


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_and_image_exists_and_is_small(page: Path) -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        path = page.parent / target
        assert path.exists(), target
        if path.suffix in (".png", ".jpg", ".svg"):
            assert path.stat().st_size < 300_000, target


def test_the_map_of_the_code_is_complete() -> None:
    """Every module and package at the top of the package is on the map."""
    for path in (ROOT / "sapiens_lab").iterdir():
        if path.name.startswith("_") or path.name == "py.typed":
            continue
        assert f"{path.name}/" in README or f"{path.name}" in README, path.name
