"""No run writes into the folder of another."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sapiens_lab.commands.claim import claim_folder
from tests.command import TINY, Commands, status

FAST = (*TINY, "debug=fast")


def test_every_claim_gets_a_folder_of_its_own(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(lambda _: claim_folder(tmp_path / "a" / "run"), range(8)))
    names = ["run", *(f"run_{i}" for i in range(1, 8))]
    assert sorted(folder.name for folder in folders) == names


def test_two_runs_of_one_second_get_two_folders(commands: Commands) -> None:
    name = "hydra.run.dir=outputs/x/${now:%Y}"  # a second of a year
    assert status("train", *FAST, name) == 0
    assert status("train", *FAST, name) == 0
    first, second = commands.runs("x", pattern="*")
    assert second.name == f"{first.name}_1"
    for folder in (first, second):
        assert (folder / "export/config.json").is_file()
        assert (folder / "messages.log").is_file()


def test_a_folder_that_the_user_names_is_refused_and_left_alone(
    commands: Commands, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status("train", *FAST, "hydra.run.dir=mine") == 0
    before = {path: path.stat().st_mtime for path in (commands.cwd / "mine").rglob("*")}
    assert status("train", *FAST, "hydra.run.dir=mine") == 1
    assert "mine already holds a run" in capsys.readouterr().err
    assert {path: path.stat().st_mtime for path in (commands.cwd / "mine").rglob("*")} == before
