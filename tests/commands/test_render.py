"""The command ``sapiens render``: what it writes, how it goes on, and what it refuses."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from sapiens_lab.data.datasets.synthetic_people import SyntheticPeople
from sapiens_lab.synthetic.people.views import SceneSource
from tests.command import status

SMALL = ("--size", "64x48", "--supersample", "1", "--workers", "1")


def _files(root: Path) -> dict[str, int]:
    files = [path for path in root.rglob("*") if path.is_file()]
    return {str(path.relative_to(root)): path.stat().st_mtime_ns for path in files}


def test_people_are_written_and_the_same_command_does_nothing_more(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ["--num", "3", "--out", str(out), "--split", "val", "--seed", "5", *SMALL]
    assert status("render", *command) == 0
    before = _files(out)
    folders = {name.split("/")[0] for name in before if "/" in name}
    assert folders == {
        "images", "masks", "labels", "depths", "normals", "scenes", "annotations"
    }  # fmt: skip
    scene = SceneSource(image_size=(64, 48), seed=5, split=1, supersample=1).render(2)
    np.testing.assert_array_equal(np.load(out / "depths/0000/00000002.npy"), scene.depth)
    assert status("render", *command) == 0
    after = _files(out)
    assert {n for n in after if "0000/" in n and after[n] != before[n]} == set()
    facts = json.loads((out / "dataset.json").read_text())
    assert len(facts["commands"]) == 1
    assert facts["commands"][0].startswith("sapiens render --num 3")
    assert facts["settings"]["split"] == "val"


def test_work_is_shared_by_start_and_processes(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert status("render", "--num", "2", "--out", str(out), *SMALL) == 0
    more = ["--num", "4", "--start", "2", "--out", str(out), *SMALL[:-1], "2"]
    assert status("render", *more) == 0
    content = json.loads((out / "annotations/keypoints.json").read_text())
    assert [image["id"] for image in content["images"]] == list(range(6))
    scene = SceneSource(image_size=(64, 48), seed=0, split=0, supersample=1).render(5)
    np.testing.assert_array_equal(np.load(out / "depths/0000/00000005.npy"), scene.depth)


def test_formats_and_skeleton_can_be_chosen(tmp_path: Path) -> None:
    formats = ["--depth-format", "png16", "--normal-format", "png16", "--skeleton", "coco17"]
    assert status("render", "--num", "1", "--out", str(tmp_path / "out"), *formats, *SMALL) == 0
    for kind in ("depths", "normals"):
        path = tmp_path / "out" / kind / "0000" / "00000000.png"
        assert cv2.imread(str(path), cv2.IMREAD_UNCHANGED).dtype == np.uint16
    content = json.loads((tmp_path / "out/annotations/keypoints.json").read_text())
    assert len(content["categories"][0]["keypoints"]) == 17


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seed", "1"], "seed is 0 there, 1 now"),
        (["--num", "0"], "at least one scene"),
        (["--num", "10000000", "--start", "99000000"], "numbered 0 to 99999999"),
        (["--num", "90000000"], "free; take fewer (--num)"),
        (["--seed", "-1"], "--seed -1 must not be negative"),
        (["--workers", "-1"], "--workers -1 must not be negative"),
        (["--up", "z", "--full-only"], "--full-only, --up: only with --mesh"),
        (["--mesh", "no.obj"], "there is no mesh no.obj"),
        (["--mesh", "no.obj", "--split", "val"], "--split: only without --mesh"),
        (["--skeleton", "coco71"], "did you mean coco17"),
    ],
)
def test_mistakes_are_answered_in_a_line_and_change_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    command = ["--num", "1", "--out", str(tmp_path / "out"), *SMALL]
    assert status("render", *command) == 0
    before = _files(tmp_path)
    capsys.readouterr()
    assert status("render", *command, *arguments) == 1
    assert message in capsys.readouterr().err
    assert _files(tmp_path) == before


@pytest.mark.parametrize("size", ["64", "64x48x3", "axb", "8x64", "5000x64"])
def test_impossible_sizes_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], size: str
) -> None:
    assert status("render", "--num", "1", "--out", str(tmp_path / "out"), "--size", size) == 2
    assert size in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_people_from_above_are_the_scenes_of_the_data_set(tmp_path: Path) -> None:
    out, angles = tmp_path / "out", ["--elevation", "50", "80", "--roll", "-180", "180"]
    assert status("render", "--num", "1", "--out", str(out), *angles, *SMALL) == 0
    height, width = cv2.imread(str(out / "images/0000/00000000.png")).shape[:2]
    people = SyntheticPeople(
        num_scenes=1, image_size=(height, width), cache=False, supersample=1,
        elevation_deg=(50, 80), roll_deg=(-180, 180),
    )  # fmt: skip
    depth = np.load(out / "depths/0000/00000000.npy")
    np.testing.assert_array_equal(depth, people.scene(0).depth)
    assert json.loads((out / "dataset.json").read_text())["settings"]["roll_deg"] == [-180, 180]


@pytest.mark.parametrize("angles", [["--elevation", "80", "50"], ["--roll", "-400", "0"]])
def test_impossible_angles_are_named(
    angles: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status("render", "--num", "1", "--out", str(tmp_path / "out"), *angles, *SMALL) == 1
    assert angles[0][2:] in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(
    importlib.util.find_spec("trimesh") is None,
    reason='reading meshes needs pip install "sapiens-lab[scan]"',
)
def test_a_scan_has_the_same_layout_without_parts_and_keypoints(tmp_path: Path) -> None:
    mesh = tmp_path / "tent.obj"
    mesh.write_text("v -1 0 0\nv 1 0 0\nv 0 2 0\nv 0 0 1\nf 1 2 3\nf 1 4 2\nf 2 4 3\nf 3 4 1\n")
    out = tmp_path / "out"
    ranges = ["--elevation", "-5", "20", "--fill", "0.8", "0.9"]
    command = ["--num", "2", "--out", str(out), "--mesh", str(mesh), *ranges, *SMALL]
    assert status("render", *command) == 0
    folders = {name.split("/")[0] for name in _files(out) if "/" in name}
    assert folders == {"images", "masks", "depths", "normals", "scenes"}
    depth = np.load(out / "depths/0000/00000001.npy")
    mask = cv2.imread(str(out / "masks/0000/00000001.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(depth > 0, mask == 255)
    record = json.loads((out / "scenes/0000/00000001.json").read_text())
    assert 0.8 <= record["view"]["fill"] <= 0.9
    assert -5 <= record["view"]["elevation_deg"] <= 20
    settings = json.loads((out / "dataset.json").read_text())["settings"]
    assert settings["mesh"] == "tent.obj"
    np.testing.assert_allclose(np.array(settings["placement"])[0, 0], 1.75 / 2)
    assert status("render", *command, "--height-m", "1.6") == 1  # another placement


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no process groups to interrupt")
def test_ctrl_c_leaves_whole_files_only_and_the_command_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "sapiens_lab", "render", "--num", "5000", "--out", str(out)]
    command += [*SMALL[:-1], "2"]
    run = subprocess.Popen(
        command,
        start_new_session=True,
        stdout=subprocess.PIPE,
        text=True,
        # A shell's background job ignores SIGINT, and so would what it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    while len(list(out.glob("scenes/*/*"))) < 5 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(run.pid, signal.SIGINT)  # as a terminal does: to the workers too
    printed, _ = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "continues from here" in printed
    assert not [path for path in out.rglob(".*") if path.is_file()]
    done = len(list(out.glob("scenes/*/*")))
    assert 5 <= done < 5000
    for path in out.glob("depths/*/*.npy"):
        assert np.load(path).shape == (64, 48)
    assert status("render", "--num", str(done + 1), "--out", str(out), *SMALL) == 0
    assert len(list(out.glob("scenes/*/*"))) == done + 1
