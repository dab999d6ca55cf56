"""What README promises exists: its set-up lines, its files, its experiments."""

from __future__ import annotations

import re

from sapiens_lab.commands.hydra_app import config_folder
from tests.conftest import ROOT

README = (ROOT / "README.md").read_text()


def test_two_lines_set_everything_up() -> None:
    lines = re.findall(r"^pip install .*$", README, re.MULTILINE)
    assert lines[0] == 'pip install -e ".[all]" && python train.py'
    assert lines[1].endswith("python -m pytest")
    assert len(lines) == 2


def test_every_link_and_image_exists_and_is_small() -> None:
    targets = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert len(targets) > 5
    for target in targets:
        path = ROOT / target
        assert path.exists(), target
        if path.suffix in (".png", ".jpg"):
            assert path.stat().st_size < 300_000, target


def test_every_experiment_that_is_named_exists() -> None:
    named = set(re.findall(r"experiment=([\w/.]+)", README))
    assert named
    for name in named:
        assert (config_folder() / "experiment" / f"{name}.yaml").is_file(), name


def test_the_map_of_the_code_is_complete() -> None:
    """Every module and package at the top of the package is on the map."""
    for path in (ROOT / "sapiens_lab").iterdir():
        if path.name.startswith("_") or path.name == "py.typed":
            continue
        assert f"{path.name}/" in README or f"{path.name}" in README, path.name
