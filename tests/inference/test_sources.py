"""Which images are meant, and how their files are called."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sapiens_lab.inference.sources import find_frames


def keys(*sources: object, listed: object = ()) -> dict[str, str]:
    frames = find_frames([str(s) for s in sources], listed=listed)  # type: ignore[arg-type]
    assert len({frame.key.lower() for frame in frames}) == len(frames)
    return {frame.key: frame.name for frame in frames}


def test_folders_patterns_lists_and_files(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(keys(photos)) == ["a", "b", "day/a", "day/c"]
    assert list(keys(photos / "*.jpg")) == ["a"]
    assert sorted(keys(photos / "**/*.jpg")) == ["c", "day/a", "photos/a"]
    assert list(keys(photos / "b.png", photos / "day/c.jpg")) == ["b", "c"]
    (photos / "list.txt").write_text("day/c.jpg\n\n b.png \n")
    assert list(keys(photos / "list.txt")) == ["c", "b"]
    assert list(keys(listed=["x/y.jpg\n", "\n", "z.png"])) == ["y", "z"]
    monkeypatch.chdir(photos)
    assert list(keys("*.png", "day")) == ["b", "a", "c"]


def test_one_image_named_twice_is_one(photos: Path) -> None:
    relative = os.path.relpath(photos / "a.jpg")
    assert list(keys(photos, photos / "a.jpg", relative)) == ["a", "b", "day/a", "day/c"]


def test_equal_names_become_different(tmp_path: Path) -> None:
    for name in ("x/1/p.jpg", "x/2/p.jpg", "y/2/p.jpg", "y/2/P.png", "q.jpg", "q.png", "Q.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    files = sorted(path for path in tmp_path.rglob("*.*"))
    found = {key: Path(name).relative_to(tmp_path).as_posix() for key, name in keys(*files).items()}
    assert found["1/p"] == "x/1/p.jpg"
    assert found["2/p"] == "x/2/p.jpg"
    assert found["p_jpg"] == "y/2/p.jpg"
    assert found["P_png"] == "y/2/P.png"
    assert found["q_png"] == "q.png"
    assert len(found) == len(files)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("gone.jpg", "gone.jpg: there is no such file or folder"),
        ("gone/*.jpg", "there is no such file or folder"),
        ("empty", "empty holds no image; what is there: 1 .csv"),
        ("clip.mp4", "clip.mp4 is a video"),
        ("blank.txt", "blank.txt names no image"),
    ],
)
def test_sources_that_lead_nowhere(
    source: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    for name in ("empty/a.csv", "clip.mp4", "blank.txt"):
        Path(name).write_text("\n")
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        find_frames([source])
