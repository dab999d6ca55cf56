"""What is wrong with an installation or a machine is named with its cure, without a crash."""

from __future__ import annotations

import importlib
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from sapiens_lab.commands.doctor import accelerators, hub, machine, software
from sapiens_lab.commands.doctor.accelerators import Gpu
from sapiens_lab.commands.doctor.diagnosis import Line
from tests.command import status
from tests.conftest import ROOT

GIB = 2**30


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Exception], list[Line]]:
    """Examine the software while the import of a module raises."""
    real = importlib.import_module

    def examine(name: str, error: Exception) -> list[Line]:
        def fail(wanted: str, package: str | None = None) -> ModuleType:
            if wanted == name:
                raise error
            return real(wanted, package)

        monkeypatch.setattr(software.importlib, "import_module", fail)
        return [line for line in software.examine_software() if line.status == "error"]

    return examine


def test_the_environment_is_a_page_and_plain_values(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert status("doctor", "--json") == 0
    printed = capsys.readouterr().out
    found = json.loads(printed)  # and nothing else
    assert "hf_secret" not in printed
    assert found["schema"] == 1
    assert [section["name"] for section in found["sections"]] == ["environment"]
    lines = {line["name"]: line for line in found["sections"][0]["lines"]}
    assert {"python", "torch", "torchvision", "numpy", "hub", "open files"} <= set(lines)
    assert sum(found["counts"].values()) == len(found["sections"][0]["lines"])
    assert list(tmp_path.iterdir()) == []  # nothing is left behind
    assert status("doctor") == 0
    page = capsys.readouterr().out
    assert all(len(line.rstrip()) <= 80 for line in page.splitlines())
    counts = found["counts"]
    assert page.splitlines()[-1].startswith(f"{counts['error']} errors, {counts['warning']} warn")


def test_a_torchvision_of_another_torch_is_named(
    broken: Callable[[str, Exception], list[Line]],
) -> None:
    error = RuntimeError("operator torchvision::nms does not exist")
    [line] = broken("torchvision", error)
    assert "does not fit torch" in line.text
    assert "operator torchvision::nms does not exist" in line.text
    assert "pip install --force-reinstall torch torchvision" in line.remedy


def test_opencv_without_the_libraries_of_a_desktop_is_named(
    broken: Callable[[str, Exception], list[Line]],
) -> None:
    error = ImportError("libGL.so.1: cannot open shared object file: No such file or directory")
    [line] = broken("cv2", error)
    assert line.name == "opencv-python"
    assert "opencv-python-headless" in line.remedy


def test_a_missing_package_is_not_confused_with_what_it_misses(
    broken: Callable[[str, Exception], list[Line]],
) -> None:
    missing = ModuleNotFoundError("No module named 'timm'", name="timm")
    [line] = broken("timm", missing)
    assert (line.text, line.remedy) == ("is not installed", "pip install timm")
    [line] = broken("timm", ModuleNotFoundError("No module named 'x'", name="x"))
    assert line.text == "cannot be imported: there is no module x"


def test_an_old_version_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(software, "requirements", lambda: ({"numpy": "99.0"}, {}))
    [line] = [x for x in software.examine_software() if x.status == "error"]
    assert "older than 99.0" in line.text
    assert line.remedy == 'pip install -U "numpy>=99.0"'


def test_every_extra_has_a_purpose() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    block = text.split("[project.optional-dependencies]\n")[1].split("\n[")[0]
    extras = set(re.findall(r"^(\w+) = \[", block, re.MULTILINE))
    assert set(software.EXTRAS) == extras - {"test", "dev", "all"}


def gpu(**changes: object) -> Gpu:
    return Gpu("a GPU", (8, 0), 40 * GIB, 39 * GIB)._replace(**changes)


@pytest.mark.parametrize(
    ("device", "architectures", "statuses", "said"),
    [
        (gpu(), ["sm_80"], ["ok", "ok"], "bf16-mixed"),
        (gpu(capability=(8, 9)), ["sm_80"], ["ok", "ok"], "bf16-mixed"),  # the same generation
        (gpu(capability=(7, 5)), ["sm_75"], ["ok", "note"], "16-mixed"),
        (gpu(capability=(12, 0)), ["sm_80", "sm_90"], ["error"], "not compiled for sm_120"),
        (gpu(capability=(12, 0)), ["sm_90", "compute_90"], ["ok", "ok"], "bf16-mixed"),
        (gpu(free=GIB), ["sm_80"], ["ok", "ok", "warning"], "another process"),
    ],
)
def test_gpus_are_judged(
    device: Gpu, architectures: list[str], statuses: list[str], said: str
) -> None:
    lines = list(accelerators.examine_gpu(0, device, "13.0", "580.1", architectures))
    assert [line.status for line in lines] == statuses
    assert said in " ".join(line.text + line.remedy for line in lines)


def test_a_gpu_that_torch_cannot_use_is_named(tmp_path: Path) -> None:
    version = tmp_path / "version"
    version.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug\n")
    driver = accelerators.driver_version(version)
    assert driver == "535.104.05"
    assert accelerators.driver_version(tmp_path / "none") == ""
    assert accelerators.examine_absence(None, driver, "").status == "warning"
    old = accelerators.examine_absence("13.0", driver, "the driver is too old")
    assert old.status == "error"
    assert "too old" in old.text
    assert accelerators.examine_absence(None, "", "").status == "note"


def test_little_shared_memory_and_disk_are_named(tmp_path: Path) -> None:
    assert "--shm-size" in machine.examine_shared_memory(64 << 20).remedy
    assert machine.examine_shared_memory(8 << 30).status == "ok"
    for free, wanted in ((10**8, "error"), (5 * 10**9, "warning"), (10**11, "ok")):
        line = machine.examine_disk("disk for runs", tmp_path / "not/yet/there", free)
        assert line.status == wanted


def test_a_slow_hub_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    began = time.monotonic()
    assert not hub.within(0.05, lambda: time.sleep(1) is None)
    assert time.monotonic() - began < 0.5
    assert hub.within(5, lambda: True)
    [line] = hub.examine_hub()
    assert line.status == "note"
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@proxy:8080")
    assert [x.text for x in hub.examine_hub()][1] == "HTTPS_PROXY=http://proxy:8080"
