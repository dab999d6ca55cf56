"""What people install: the wheel and the source archive hold all that the commands need."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from sapiens_lab.commands.composing import config_folder
from tests.command import TINY
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("build")
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)],
        check=True, capture_output=True, timeout=300,
    )  # fmt: skip
    return folder


def test_the_wheel_trains_from_any_folder(archives: Path, tmp_path: Path) -> None:
    """Unpacked beside nothing of this checkout, it finds its configs and its body."""
    [wheel] = archives.glob("*.whl")
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as file:
        file.extractall(site)
    code = (
        f"import sys; sys.path.insert(0, {str(site)!r}); import sapiens_lab; "
        f"assert sapiens_lab.__file__.startswith({str(site)!r}); "
        "from sapiens_lab.commands.train import train; train()"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, *TINY, "debug=fast"],
        cwd=tmp_path, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-2000:]
    assert list((tmp_path / "outputs").rglob("metrics.json"))


def test_the_wheel_holds_every_config_list_and_license(archives: Path) -> None:
    [wheel] = archives.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for path in config_folder().rglob("*.yaml"):
        assert f"sapiens_lab/configs/{path.relative_to(config_folder()).as_posix()}" in names
    for path in (ROOT / "sapiens_lab").rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            assert path.relative_to(ROOT).as_posix() in names
    assert any(name.endswith("NOTICE") for name in names)
    assert wheel.stat().st_size < 6e6


def test_the_source_archive_holds_the_tests(archives: Path) -> None:
    [source] = archives.glob("*.tar.gz")
    with tarfile.open(source) as file:
        names = {name.split("/", 1)[1] for name in file.getnames() if "/" in name}
    assert {"train.py", "evaluate.py", "tests/test_wheel.py", "configs/config.yaml"} <= names
