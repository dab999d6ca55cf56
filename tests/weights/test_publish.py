from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sapiens_lab.weights import publish
from sapiens_lab.weights.model import save_model
from tests.command import status
from tests.weights.test_load import made


class Hub:
    """Remembers what it is asked for."""

    calls: list[tuple[str, dict[str, Any]]]

    def create_repo(self, repo: str, **options: Any) -> None:
        type(self).calls.append((repo, options))

    def upload_folder(self, **options: Any) -> None:
        type(self).calls.append(("upload", options))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> type[Hub]:
    Hub.calls = []
    monkeypatch.setattr(publish, "HfApi", Hub)
    return Hub


def export(folder: Path, license: str | None = None, origin: str | None = None) -> Path:
    task = {"name": "pose", "meaning": {"skeleton": ["nose", "tail"]}}
    return save_model(made(), folder / "export", task=task, license=license, origin=origin)


def test_an_export_is_published_privately_with_a_card(tmp_path: Path, hub: type[Hub]) -> None:
    folder = export(tmp_path, license="CC-BY-NC-4.0", origin="sapiens-pose-0.3b")
    assert publish.push_to_hub(folder, "me/dog-pose") == "https://huggingface.co/me/dog-pose"
    assert hub.calls[0] == ("me/dog-pose", {"private": True, "exist_ok": True})
    assert hub.calls[1][1]["allow_patterns"] == ["config.json", "model.safetensors", "README.md"]
    card = (folder / "README.md").read_text()
    assert card.startswith("---\nlicense: cc-by-nc-4.0\n")
    assert "nose, tail" in card
    assert "Started from sapiens-pose-0.3b" in card


def test_a_license_is_never_dropped(tmp_path: Path, hub: type[Hub]) -> None:
    folder = export(tmp_path, license="CC-BY-NC-4.0")
    with pytest.raises(
        ValueError, match=r"came with CC-BY-NC-4\.0; they cannot be published as mit"
    ):
        publish.push_to_hub(folder, "me/x", license="mit")
    (folder / "README.md").write_text("my own card")
    with pytest.raises(ValueError, match="does not name the license"):
        publish.push_to_hub(folder, "me/x")
    unknown = export(tmp_path / "other", origin="mine.pth")
    with pytest.raises(ValueError, match=r"started from mine\.pth\); give license="):
        publish.push_to_hub(unknown, "me/x")
    publish.push_to_hub(unknown, "me/x", license="mit")
    assert hub.calls[0][0] == "me/x"


def test_what_is_no_export_is_refused(tmp_path: Path, hub: type[Hub]) -> None:
    with pytest.raises(FileNotFoundError, match="holds no export"):
        publish.push_to_hub(tmp_path, "me/x")
    assert not hub.calls


def test_the_command_publishes(tmp_path: Path, hub: type[Hub]) -> None:
    folder = export(tmp_path)
    assert (
        status("weights", "push", str(folder), "me/x", "--license", "apache-2.0", "--public") == 0
    )
    assert hub.calls[0][1]["private"] is False
    assert json.loads((folder / "config.json").read_text())["task"]["name"] == "pose"
