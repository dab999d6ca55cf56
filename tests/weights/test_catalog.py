"""The catalog of released models, and what happens when one is fetched; without a network."""

from __future__ import annotations

import errno
import logging
import shutil
import socket
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from huggingface_hub import constants
from huggingface_hub.errors import (
    GatedRepoError,
    LocalEntryNotFoundError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
)

from sapiens_lab.anatomy.parts import Parts
from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.models.vit import SIZES
from sapiens_lab.weights import hub
from sapiens_lab.weights.catalog import find_release, list_models
from sapiens_lab.weights.families import Release


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "hub"
    folder.mkdir()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    return folder


def answer(monkeypatch: pytest.MonkeyPatch, outcome: Any) -> list[tuple[str, str]]:
    """Let the hub's client return a path or raise; return the calls it gets."""
    calls = []

    def download(repo: str, file: str, *, revision: str, local_files_only: bool) -> str:
        assert local_files_only  # nothing listens at the address below
        calls.append((repo, file))
        if isinstance(outcome, Exception):
            raise outcome
        return str(outcome)

    monkeypatch.setattr(hub, "hf_hub_download", download)
    without_network(monkeypatch)
    return calls


def without_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(hub, "getproxies", dict)


def test_without_a_network_the_real_client_answers_at_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    without_network(monkeypatch)
    started = time.monotonic()
    with pytest.raises(ValueError, match=r"is not on this machine and the hub cannot be reached"):
        hub.locate("hf://owner/repo/file.safetensors")
    assert time.monotonic() - started < 5
    assert "Retrying" not in caplog.text


def test_the_hub_is_asked_where_it_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "getproxies", dict)
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        assert hub.is_reachable()
    monkeypatch.setattr(hub, "getproxies", lambda: {"https": "proxy"})
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert hub.is_reachable()


def refusal(kind: type[Exception], status: int) -> Exception:
    request = httpx.Request("GET", "https://hub/file")
    return kind("no", response=httpx.Response(status, request=request))  # type: ignore[call-arg]


def test_every_release_is_complete() -> None:
    releases = list_models()
    assert len(releases) == 26
    assert len({release.name for release in releases}) == 26
    for release in releases:
        assert f"sapiens_{release.size}" in SIZES
        assert release.file.startswith(f"sapiens_{release.size}_")
        assert release.patch_padding == (2 if release.task in ("pose", "normal") else 0)
        assert release.license == "CC-BY-NC-4.0"
        if release.task == "pose":
            assert Skeleton.load(str(release.outputs)).num_keypoints in (17, 133, 308)
        elif release.task == "segmentation":
            assert Parts.load(str(release.outputs)).num_classes == 28


def test_a_name_is_fetched_and_its_license_said_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "weights.pth"
    torch.save({}, file)
    calls = answer(monkeypatch, file)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            path, release = hub.locate("sapiens-pose-0.3b")
    assert path == file
    assert release == find_release("sapiens-pose-0.3b")
    expected = ("facebook/sapiens-pose-0.3b", "sapiens_0.3b_goliath_best_goliath_AP_573.pth")
    assert calls == [expected, expected]
    assert caplog.text.count("CC-BY-NC-4.0") == 1


def test_a_local_file_of_a_released_name_is_known(tmp_path: Path) -> None:
    path = tmp_path / "sapiens_1b_render_people_epoch_88_torchscript.pt2"
    path.touch()
    assert hub.locate(path)[1] == find_release("sapiens-depth-1b")


@pytest.mark.parametrize(
    ("outcome", "parts"),
    [
        (refusal(GatedRepoError, 403), ["https://huggingface.co/noahcao", "accept", "HF_TOKEN"]),
        (refusal(RepositoryNotFoundError, 404), ["https://huggingface.co/noahcao", "private"]),
        (refusal(RemoteEntryNotFoundError, 404), ["has no file", "tree/main"]),
        (LocalEntryNotFoundError("offline"), ["HF_HUB_OFFLINE", "https://huggingface.co/noahcao"]),
        (ConnectionError("reset"), ["broke off"]),
    ],
)
def test_a_refusal_says_where_to_go(
    monkeypatch: pytest.MonkeyPatch, outcome: Exception, parts: list[str]
) -> None:
    answer(monkeypatch, outcome)
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # its text is checked below
        hub.locate("sapiens-pose-2b-coco17")
    assert all(part in str(caught.value) for part in parts)


def test_no_room_is_said_before_and_after(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, OSError(errno.ENOSPC, "full"))
    release = find_release("sapiens-depth-2b")
    assert release is not None
    with pytest.raises(OSError, match=r"no room left.*HF_HOME"):
        hub.fetch(release)
    usage = shutil.disk_usage(".")._replace(free=10**9)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(OSError, match=r"8\.6 GB .* has 1\.0 GB left"):
        hub.fetch(release)


def test_another_file_than_the_released_one_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "weights.pth"
    file.write_bytes(b"other")
    answer(monkeypatch, file)
    release: Release = replace(list_models()[0], sha256="0" * 64)
    with pytest.raises(ValueError, match="checksum"):
        hub.fetch(release)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("sapiens-pose-0.3", "did you mean sapiens-pose-0.3b"),
        ("absent.pth", "there is no such file"),
        ("folder/absent", "there is no such file"),
    ],
)
def test_a_name_that_is_none_is_answered(source: str, message: str) -> None:
    with pytest.raises(FileNotFoundError, match=message):
        hub.locate(source)


def test_a_file_of_the_hub_by_its_address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls = answer(monkeypatch, tmp_path)
    hub.locate("hf://me/my-model/weights/model.safetensors")
    assert calls == [("me/my-model", "weights/model.safetensors")]


def test_a_published_export_by_its_repository(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls = answer(monkeypatch, tmp_path / "snapshot" / "config.json")
    assert hub.locate("hf://me/my-model") == (tmp_path / "snapshot", None)
    assert calls == [("me/my-model", "config.json"), ("me/my-model", "model.safetensors")]
