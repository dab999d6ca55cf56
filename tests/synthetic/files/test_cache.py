"""The cache: what is read is what was rendered; damage is repaired; the folder stays bounded."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from sapiens_lab.atomic import write_bytes
from sapiens_lab.synthetic.files import prepare
from sapiens_lab.synthetic.files.cache import SceneCache, default_cache_dir
from sapiens_lab.synthetic.files.prepare import fill
from sapiens_lab.synthetic.people.views import SceneSource

SOURCE = SceneSource(image_size=(64, 48), seed=0, split=0, supersample=1)


@pytest.fixture
def cache(tmp_path: Path) -> SceneCache:
    return SceneCache(root=tmp_path / "scenes", source=SOURCE, max_bytes=1e9)


def test_a_scene_survives_the_round_trip(cache: SceneCache) -> None:
    rendered, read = SOURCE.render(3), cache.load(3)
    np.testing.assert_array_equal(read.parts, rendered.parts)
    np.testing.assert_array_equal(read.visible, rendered.visible)
    np.testing.assert_allclose(read.keypoints, rendered.keypoints, atol=1e-3)
    np.testing.assert_allclose(read.depth, rendered.depth, atol=6e-4)
    cosine = (read.normal * rendered.normal).sum(-1)[rendered.mask]
    assert np.degrees(np.arccos(np.clip(cosine, -1, 1))).max() < 0.45
    assert np.abs(read.rgb.astype(int) - rendered.rgb).mean() < 3
    assert read.pose == rendered.pose
    np.testing.assert_allclose(read.camera.K, rendered.camera.K)


def test_the_first_and_the_second_reading_are_equal(cache: SceneCache) -> None:
    np.testing.assert_array_equal(cache.load(0).rgb, cache.load(0).rgb)


@pytest.mark.parametrize("damage", ["cut", "flipped bit", "empty"])
def test_a_damaged_scene_is_made_again(cache: SceneCache, damage: str) -> None:
    before = cache.load(1)
    data = bytearray(cache.path(1).read_bytes())
    if damage == "flipped bit":
        data[len(data) // 3] ^= 8
    cache.path(1).write_bytes({"cut": data[: len(data) // 2], "empty": b""}.get(damage, data))
    assert cache.read(1) is None
    np.testing.assert_array_equal(cache.load(1).rgb, before.rgb)
    assert cache.read(1) is not None


def test_a_failed_write_leaves_nothing(cache: SceneCache, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.load(0)
    before = cache.path(0).read_bytes()

    def fail(self: Path, target: Path) -> Path:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_bytes(cache.path(0), b"new")
    assert cache.path(0).read_bytes() == before
    assert list(cache.folder.iterdir()) == [cache.path(0)]


def test_filling_renders_only_what_is_missing(cache: SceneCache) -> None:
    cache.load(1)
    assert cache.missing(3) == [0, 2]
    assert fill(cache, 3, num_workers=2, title="test") == 2
    assert fill(cache, 3, num_workers=2, title="test") == 0


def test_several_processes_render_the_same_scenes(
    cache: SceneCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "_WORTH_A_PROCESS", 1)
    threads = os.environ.get("OMP_NUM_THREADS")
    assert fill(cache, 5, num_workers=2, title="test") == 5
    assert os.environ.get("OMP_NUM_THREADS") == threads
    alone = SceneCache(root=tmp_path / "alone", source=SOURCE, max_bytes=1e9)
    for index in range(5):
        np.testing.assert_array_equal(cache.load(index).rgb, alone.load(index).rgb)


def test_other_parameters_go_to_another_folder() -> None:
    other = SceneSource(image_size=(64, 48), seed=1, split=0, supersample=1)
    folders = {SceneCache(root=Path(), source=s, max_bytes=0).folder for s in (SOURCE, other)}
    assert len(folders) == 2


def test_the_longest_unused_folder_makes_room(tmp_path: Path) -> None:
    caches = [
        SceneCache(
            root=tmp_path,
            source=SceneSource(image_size=(64, 48), seed=seed, split=0, supersample=1),
            max_bytes=60e3,
        )
        for seed in range(3)
    ]
    for age, cache in zip((200, 100), caches[:2], strict=True):
        fill(cache, 2, num_workers=1, title="test")
        stamp = cache.folder / "parameters.json"
        os.utime(stamp, (stamp.stat().st_mtime - age,) * 2)
    fill(caches[2], 2, num_workers=1, title="test")
    assert [cache.folder.exists() for cache in caches] == [False, True, True]


def test_the_default_folder_follows_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("SAPIENS_LAB_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache_dir() == tmp_path / "sapiens_lab" / "synthetic"
    monkeypatch.setenv("SAPIENS_LAB_CACHE", str(tmp_path / "own"))
    assert default_cache_dir() == tmp_path / "own" / "synthetic"
