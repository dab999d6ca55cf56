"""``sapiens doctor`` on data, good and broken, through the real command line."""

from __future__ import annotations

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from sapiens_lab.commands.doctor.command import diagnose
from sapiens_lab.commands.doctor.diagnosis import Diagnosis, Line, Section
from sapiens_lab.commands.doctor.html import render, write_report
from sapiens_lab.commands.doctor.page import print_page
from sapiens_lab.commands.doctor.run import Shown
from tests.command import status
from tests.data.checks import worlds

SMALL = ("backbone=tiny", "image_size=[64,48]", "head_width=16", "trainer=cpu")
HOSTILE = '<img src=x onerror="alert(1)">.png'


@pytest.fixture(autouse=True)
def only_the_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The environment has tests of its own, and takes a second."""
    from sapiens_lab.commands.doctor import environment

    monkeypatch.setattr(environment, "examine_environment", lambda _: Section.of("environment", []))
    monkeypatch.chdir(tmp_path)


def lines(diagnosis: Diagnosis, section: str) -> list[Line]:
    return next(list(s.lines) for s in diagnosis.sections if s.name == section)


def errors(diagnosis: Diagnosis) -> list[str]:
    found = [line for section in diagnosis.sections for line in section.lines]
    return [line.text for line in found if line.status == "error"]


class Page(HTMLParser):
    """Collects the elements of a page, and what they refer to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.sources: list[str] = []
        self.handlers: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]


def test_faulty_people_are_listed_and_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second set is examined too, though the first ends a run."""
    worlds.write_people(tmp_path / "people")
    path = tmp_path / "people/annotations.json"
    content = json.loads(path.read_text())
    for annotation in content["annotations"]:
        x, y, width, height = annotation["bbox"]
        annotation["bbox"] = [x, y, x + width, y + height]
    path.write_text(json.dumps(content))
    words = ("experiment=pose/coco17", "data.root=people", *SMALL)
    assert status("doctor", *words, "--report", "report.html") == 1
    page = re.sub(r"\s+", " ", capsys.readouterr().out)
    assert "fit their keypoints only if they are [x1, y1, x2, y2]" in page
    assert "-> Subtract the first two numbers from the last two" in page
    text = (tmp_path / "report.html").read_text()
    report = Page(text)
    images = [source for source in report.sources if source.startswith("data:image/jpeg;base64,")]
    assert len(images) >= 5  # the first five offenders
    assert len(images) == len(report.sources)  # nothing is loaded from elsewhere
    assert base64.b64decode(images[0].partition(",")[2])[:2] == b"\xff\xd8"
    assert not {"script", "link", "iframe"} & report.tags


def test_good_people_have_samples_and_distributions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    worlds.write_people(tmp_path / "people")
    words = ("experiment=pose/coco17", "data.root=people", *SMALL)
    assert status("doctor", *words, "--json", "--report", "report.html") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["counts"]["error"] == 0
    names = [section["name"] for section in found["sections"]]
    assert names == ["environment", "config", "data", "weights", "memory"]
    assert found["statistics"]["box height [pixels]"]["train"]["count"] > 0
    assert found["command"] == list(words)
    text = (tmp_path / "report.html").read_text()
    assert "Samples of the train set" in text
    assert "left_shoulder" in text
    assert "svg" in Page(text).tags
    assert not (tmp_path / "outputs").exists()


def test_what_a_recipe_decides_is_a_note(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is printed where a run starts; here standard output is for JSON alone."""
    worlds.write_maps(tmp_path / "labels", "labels")
    words = ("experiment=finetune/segmentation", "data.root=labels", "parts=labels/parts.yaml")
    assert status("doctor", *words, "trainer=cpu", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    config = next(section for section in found["sections"] if section["name"] == "config")
    notes = {line["name"]: line["text"] for line in config["lines"] if line["status"] == "note"}
    assert "training samples" in notes["recipe"]


def test_a_hostile_name_is_only_text(tmp_path: Path) -> None:
    worlds.write_maps(tmp_path / "labels", "labels")
    for folder in ("images", "labels"):
        (tmp_path / "labels" / folder / "m3.png").rename(tmp_path / "labels" / folder / HOSTILE)
    (tmp_path / "labels/labels" / HOSTILE).write_bytes(b"broken")
    words = (
        "experiment=segmentation/goliath28",
        "data.root=labels",
        "parts=labels/parts.yaml",
        *SMALL,
    )
    diagnosis, shown = diagnose(words, draws=True)
    assert errors(diagnosis)
    report = render(diagnosis, shown or Shown())
    assert "onerror=&quot;alert(1)&quot;" in report
    page = Page(report)
    assert page.handlers == []
    assert all(source.startswith("data:image/jpeg") for source in page.sources)


def test_names_that_no_terminal_should_obey_are_written_out(tmp_path: Path) -> None:
    name = "red\x1b[31m\udcff.png"  # an escape sequence, and a byte that is no UTF-8
    line = Line(**values(status="error", text=f"{name} is damaged", items=(name,)))
    diagnosis = Diagnosis(command=[name], version="0", time="now")
    diagnosis.sections.append(Section.of("data", [line]))
    path = tmp_path / "report.html"
    write_report(path, diagnosis, Shown())
    assert r"red\x1b[31m\xdcff.png is damaged" in path.read_text()
    printed = io.StringIO()
    print_page(Console(file=printed, width=80), diagnosis)
    assert "\x1b" not in printed.getvalue()
    printed.getvalue().encode()


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("depths", ("experiment=depth/general", "task.kind=metric")),
        ("normals", ("experiment=normal/general",)),
    ],
)
def test_maps_are_examined(kind: str, words: tuple[str, ...], tmp_path: Path) -> None:
    worlds.write_maps(tmp_path / kind, kind)
    (tmp_path / kind / "masks/m4.png").write_bytes(b"")
    diagnosis, shown = diagnose([*words, f"data.root={kind}", *SMALL], draws=True)
    assert any("m4.png" in item for line in lines(diagnosis, "data") for item in line.items)
    assert errors(diagnosis)
    assert shown is not None
    assert shown.samples["train"]  # the others are shown all the same


def test_rendered_people_and_images_alone_are_examined(tmp_path: Path) -> None:
    scenes = ("data.train.num_scenes=3", "data.val.num_scenes=2")
    diagnosis, shown = diagnose(["experiment=multitask/synthetic", *SMALL, *scenes], draws=True)
    assert errors(diagnosis) == []
    assert shown is not None
    assert len(shown.samples["train"]) == 3
    worlds.write_images(tmp_path / "tree")
    diagnosis, _ = diagnose(["experiment=pretrain/folder", "data.root=tree", *SMALL])
    assert errors(diagnosis) == []


@pytest.mark.parametrize(
    ("words", "section", "said"),
    [
        (["experiment=pose/coco18"], "config", "did you mean"),
        (["optimizer.lr=fast"], "config", "optimizer.lr=fast"),
        (["optimizer.learning_rate=1"], "config", "no argument `learning_rate`"),
        (["monitor=val/miou"], "config", "there is no such metric"),
        (["experiment=pose/coco17", "data.root=nowhere"], "data", "nowhere"),
        (["weights=missing.pth"], "weights", "there is no such file"),
    ],
)
def test_what_a_run_would_refuse_is_a_line(words: list[str], section: str, said: str) -> None:
    few = ["data.train.num_scenes=2", "data.val.num_scenes=2"]
    is_rendered = not any(word.startswith("experiment=") for word in words)
    diagnosis, _ = diagnose([*words, *SMALL, *(few if is_rendered else [])])
    found = [line.text for line in lines(diagnosis, section) if line.status == "error"]
    assert any(said in text for text in found), found


def test_a_report_replaces_nothing_but_a_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "notes.html"
    path.write_text("mine")
    assert status("doctor", "--report", str(path)) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert path.read_text() == "mine"
    assert status("doctor", "--report", str(path), "--overwrite") == 0
    first = path.stat().st_mtime_ns
    assert status("doctor", "--report", str(path)) == 0  # its own
    assert path.stat().st_mtime_ns > first
    assert status("doctor", "--report", str(tmp_path)) != 0


def test_an_unknown_option_is_refused_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert status("doctor", "--jsn") == 2
    said = capsys.readouterr()
    assert "--jsn" in said.err
    assert said.out == ""


def test_an_exported_model_is_matched(tmp_path: Path) -> None:
    from sapiens_lab.weights.model import save_model
    from tests.weights.test_load import made

    save_model(made().eval(), tmp_path / "export", task={"name": "pose"})
    few = ["data.train.num_scenes=2", "data.val.num_scenes=2"]
    diagnosis, _ = diagnose(["weights=export", "trainer=cpu", "image_size=[64,48]", *few])
    [line] = [x for x in lines(diagnosis, "weights") if x.status == "error"]
    assert "is not this model's" in line.text


def values(**changes: Any) -> dict[str, Any]:
    return {"status": "ok", "name": "x", "text": "y", **changes}


def test_the_worst_comes_first() -> None:
    order = ("ok", "error", "note", "warning", "error")
    section = Section.of(
        "data", [Line(**values(status=s, name=str(i))) for i, s in enumerate(order)]
    )
    assert [line.name for line in section.lines] == ["1", "4", "3", "2", "0"]
