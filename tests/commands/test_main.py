"""The command itself: help, version, completion, and how quickly they answer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sapiens_lab import __version__
from sapiens_lab.commands.main import sapiens
from tests.command import TINY, Commands, status
from tests.conftest import ROOT

HEAVY = ("torch", "numpy", "cv2", "hydra", "omegaconf", "lightning", "rich")


def test_every_subcommand_is_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert status("--help") == 0
    shown = capsys.readouterr().out
    for path in (ROOT / "sapiens_lab/commands").glob("*.py"):
        if f"def {path.stem}(" in path.read_text() and path.stem in sapiens.commands:
            assert f"  {path.stem} " in shown
    assert {"train", "evaluate", "render", "weights", "shards", "reconstruct"} <= set(
        sapiens.commands
    )
    assert status("--version") == 0
    assert __version__ in capsys.readouterr().out


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["render", "--help"], ["weights"]])
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    code = (
        "import sys; from sapiens_lab.commands.main import sapiens\n"
        f"try: sapiens({words!r}, prog_name='sapiens')\n"
        f"finally: print([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert result.stderr.splitlines()[-1] == "[]"


def test_train_passes_every_word_to_hydra(
    commands: Commands, capsys: pytest.CaptureFixture[str]
) -> None:
    commands.train("--help", tiny=False)
    assert "backbone: " in capsys.readouterr().out  # Hydra's list of config groups
    commands.train("-cn", "config", "--cfg", "job", "-p", "optimizer", "optimizer.lr=3", tiny=False)
    assert "lr: 3" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "cword", "expected"),
    [
        ("sapiens re", 1, {"plain,render", "plain,reconstruct"}),
        ("sapiens weights show sapiens-normal", 3, {"plain,sapiens-normal-2b"}),
        ("sapiens weights show outputs/a", 3, {"file,outputs/a"}),
    ],
)
def test_the_shell_completes_subcommands_and_released_models(
    words: str, cword: int, expected: set[str]
) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "sapiens_lab"], capture_output=True, text=True, cwd=ROOT,
        env={**os.environ, "_SAPIENS_COMPLETE": "bash_complete", "COMP_WORDS": words,
             "COMP_CWORD": str(cword)},
    )  # fmt: skip
    assert expected <= set(result.stdout.split())


@pytest.mark.parametrize(
    ("shell", "script", "startup"),
    [
        ("bash", ".config/sapiens_lab/completion.bash", ".bashrc"),
        ("zsh", ".config/sapiens_lab/completion.zsh", ".zshrc"),
        ("fish", ".config/fish/completions/sapiens.fish", None),
    ],
)
def test_completion_is_installed_once(
    shell: str, script: str, startup: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SHELL", f"/bin/{shell}")
    if startup:
        (tmp_path / startup).write_text("alias ll='ls -l'\n")
    for _ in range(2):
        assert status("--install-completion") == 0
    assert "_SAPIENS_COMPLETE" in (tmp_path / script).read_text()
    if startup:
        expected = f"alias ll='ls -l'\nsource \"{tmp_path / script}\"\n"
        assert (tmp_path / startup).read_text() == expected


def test_an_unknown_shell_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SHELL", "/bin/tcsh")
    assert status("--install-completion") == 2
    assert "$SHELL is tcsh" in capsys.readouterr().err


def test_the_module_works_from_any_folder(commands: Commands) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "sapiens_lab", "train", *TINY, "debug=fast"],
        cwd=commands.cwd, capture_output=True, timeout=300,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr.decode()[-2000:]
    [run] = commands.runs()
    assert (run / "metrics.json").is_file()
    assert "sapiens_lab/__main__.py train trainer=cpu" in (run / "environment.txt").read_text()
