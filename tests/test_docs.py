"""What README and docs say works: their commands run, their settings compose, their snippets work.

Placeholders such as ``FOLDER`` stand for the small generated files of ``world``. Commands of Hydra
are composed, the others run, at a small size; what needs the network is only parsed.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
import shlex
from pathlib import Path
from typing import Any

import click
import cv2
import pytest
import torch
import trimesh
import yaml
from hydra.errors import ConfigCompositionException
from hydra.utils import get_class
from omegaconf import OmegaConf
from safetensors.torch import save_file

import sapiens_lab
from sapiens_lab.anatomy.parts import Parts
from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.commands.composing import config_folder
from sapiens_lab.commands.main import sapiens
from sapiens_lab.models.mae import MaskedAutoencoder
from sapiens_lab.models.vit import ViT
from sapiens_lab.weights.model import load_model, save_model
from tests.command import status
from tests.conftest import ROOT
from tests.data.conversion.test_sigmas import coco
from tests.data.importers import sources
from tests.documentation import (
    PAGES,
    Documented,
    alternatives,
    code_blocks,
    command_lines,
    documented,
    settings,
)
from tests.inference.clips import write_clip
from tests.parity import generated
from tests.test_configs import composed
from tests.weights.test_load import made

HYDRA = ("python train.py", "python evaluate.py", "sapiens train", "sapiens evaluate")
# Arguments of `load_model` that a page names like settings.
ARGUMENTS = {"num_heads", "image_size", "trust_import_paths"}
# What placeholders stand for; all of it is made by `world`, or only named in a config.
FILL = {
    "photos/": "images/",
    "datasets/coco": "images",
    "data.root=mine": "data.root=images",
    "parts=mine.yaml": "parts=parts.yaml",
    "path/to/mine.yaml": "mine.yaml",
    "path/to/coco.json": "coco.json",
    "FILE.json": "coco.json",
    "FOLDER": "images",
    "SHARDS": "shards",
    "PATH": "last.ckpt",
    "outputs/pretrain/.../export": "mae_export",
    "outputs/.../export": "pose_export",
    "*/": "pose/",
}
# Small enough to run: scenes, sizes and processes of the documented commands.
SMALLER = (
    (r"--num \d+", "--num 1"),
    (r"--start \d+(?![.\d])", "--start 1"),  # scenes; seconds of a video have a point
    (r"--workers \d+", "--workers 1"),
    (r"--size \S+", ""),
    (r"^sapiens render", "sapiens render --size 64x48"),
    (r"weights (convert|verify) \S+", r"weights \1 pose_export"),
)
# Commands that are parsed and not run.
PARSED = {
    "sapiens weights download": "it downloads gigabytes",
    "sapiens predict images/ --weights pose_export --detector": "tests/inference/test_detect.py",
    "sapiens predict clip.mp4 --weights pose_export --out predictions/tracks": "the same",
    "sapiens predict 0 ": "it needs a camera",
    "sapiens doctor": "its exit status is what it finds; tests/commands/doctor runs it",
    "sapiens weights push": "it publishes; tests/weights/test_publish.py has a hub of its own",
}
# Where a setting is tried that its section names no experiment for.
EXPERIMENTS = (
    "pose/synthetic",
    "pretrain/folder",
    "pose/coco17",
    "segmentation/goliath28",
    "depth/general",
    "normal/general",
)


def filled(text: str) -> str:
    """Replace the placeholders by what `world` holds."""
    for placeholder, value in FILL.items():
        text = text.replace(placeholder, value)
    return text


def check(*overrides: str) -> Any:
    """Return the config that a command composes; an override without a value must name a key.

    The datasets must know every argument that they are given.

    Raises:
        ConfigCompositionException: an override does not fit.
        KeyError: a key without a value does not exist.
    """
    named = [word[:-1] for word in overrides if word.endswith("=")]
    with composed(*(word for word in overrides if not word.endswith("="))) as config:
        for part in filter(None, (config.data, config.callbacks.get("probe"))):
            if OmegaConf.is_missing(part, "root"):
                part.root = "images"
        node = OmegaConf.to_container(config, resolve=True)
        for dataset in (config.data.train, config.data.val):
            parameters = set(inspect.signature(get_class(dataset._target_)).parameters)
            assert set(dataset) <= parameters | {"_target_", "_partial_"}
    for key in named:
        if (config_folder() / key).is_dir():
            continue
        value: Any = node
        for part in key.split("."):
            value = value[part]
    return node


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the pages name."""
    folder = tmp_path_factory.mktemp("world")
    blocks = [block for page in PAGES for block in code_blocks(page, "yaml")]
    (folder / "mine.yaml").write_text(next(b for b in blocks if "keypoints:" in b))
    (folder / "parts.yaml").write_text(next(b for b in blocks if "classes:" in b))
    (folder / "coco.json").write_text(
        '{"categories": [{"id": 1, "name": "person", "keypoints": ["left_eye", "right_eye"]}],'
        ' "images": [], "annotations": []}'
    )
    (folder / "images").mkdir()
    for i in range(6):
        cv2.imwrite(str(folder / f"images/{i}.jpg"), generated.image_uint8(f"image {i}", 96, 80))
    cv2.imwrite(str(folder / "photo.jpg"), generated.image_uint8("photo", 96, 80))
    write_clip(folder / "clip.mp4")
    for name in ("person.obj", "person.glb"):
        trimesh.creation.capsule(height=1.2, radius=0.3, count=[8, 8]).export(folder / name)
    box = {"image_id": 0, "category_id": 1, "bbox": [8, 8, 40, 60], "score": 0.9}
    boxes = [{**box, "image_id": i} for i in range(6)]
    (folder / "people.json").write_text(json.dumps(boxes))
    save_models(folder)
    save_exports(folder)
    return folder


def save_exports(folder: Path) -> None:
    """Write points of two videos as a labeling tool does, and two annotations of two images."""
    for name in ("one/a", "two/b"):
        sources.image(folder / f"export/{name}.jpg")
        shapes = [
            {"label": label, "shape_type": "point", "points": [[10 + 9 * i, 20]]}
            for i, label in enumerate(("wrist", "thumb_tip", "index_tip"))
        ]
        content = {"shapes": shapes, "imagePath": f"{name[4:]}.jpg"}
        sources.dump(folder / f"export/{name}.json", content)
    for name in "AB":
        coco(folder / f"{name}.json", [[[10, 10, 2], [50, 50, 2], [70, 70, 2]]] * 2)


def save_models(folder: Path) -> None:
    """Export a tiny pose model, with an output to verify it by, and a masked autoencoder."""
    model = made().eval()
    rule = {"crop": "box", "box_padding": 1.25}
    save_model(model, folder / "pose_export", task={"name": "pose"}, input=rule)
    image = generated.normal("image", (1, 3, 64, 48))
    output = model.head(model.backbone(image)).detach()
    save_file({"image": image, "output": output}, folder / "recorded.safetensors")
    encoder = ViT((96, 80), embed_dim=16, num_layers=1, num_heads=2, class_token=True)
    autoencoder = MaskedAutoencoder(encoder, decoder_dim=8, decoder_layers=1, decoder_heads=2)
    save_model(autoencoder, folder / "mae_export", task={"name": "pretrain"})


@pytest.mark.parametrize("command", documented(*HYDRA), ids=lambda c: f"{c.where}: {c.text}")
def test_documented_runs_compose(
    command: Documented, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(world)
    overrides = shlex.split(filled(command.text))[2:]
    assert check(*overrides)["data"]["train"]["_target_"]


@pytest.mark.parametrize("setting", settings(), ids=lambda s: f"{s.where}: {s.text}")
def test_documented_settings_exist(
    setting: Documented, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A setting composes with an experiment of its section, or else with one of each kind."""
    monkeypatch.chdir(world)
    if (name := setting.text.split("=")[0]) in ARGUMENTS and setting.where == "weights.md":
        assert name in inspect.signature(load_model).parameters
        return
    for overrides in alternatives(filled(setting.text)):
        errors = []
        for experiment in (*setting.experiments, *EXPERIMENTS):
            first = [] if "experiment=" in setting.text else [f"experiment={experiment}"]
            try:
                check(*first, *overrides)
            except (ConfigCompositionException, KeyError) as error:
                errors.append(f"{experiment}: {error}")
            else:
                break
        else:
            pytest.fail("\n".join(errors))


def test_settings_are_found() -> None:
    found = {setting.text for setting in settings()}
    assert {"data.on_error=skip", "data.train.invalid=[0,65535]", "tune=head|last_n|lora"} <= found


def find_command(words: list[str]) -> tuple[click.Command, list[str]]:
    """Return the subcommand that the words name, and its arguments."""
    command: click.Command = sapiens
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        try:
            _, found, words = command.resolve_command(click.Context(command), words)
        except click.UsageError as error:
            raise AssertionError(f"in `{command.name}`: {error.message}") from error
        assert found is not None
        command = found
    return command, words


@pytest.mark.parametrize("command", documented("sapiens "), ids=lambda c: f"{c.where}: {c.text}")
def test_documented_commands_run(
    command: Documented, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(world)
    if command.text.startswith(HYDRA):
        return  # composed above
    text = filled(command.text)
    if any(text.startswith(start) for start in PARSED):
        subcommand, arguments = find_command(shlex.split(text)[1:])
        context = subcommand.make_context(str(subcommand.name), arguments)
        assert context.params or not arguments
        return
    for pattern, replacement in SMALLER:
        text = re.sub(pattern, replacement, text)
    assert status(*shlex.split(text)[1:]) == 0


def test_commands_in_the_prose_exist() -> None:
    """A span names a subcommand, or several with bars between them; it may leave arguments out."""
    spans = [s for page in PAGES for s in re.findall(r"`sapiens ([^`]+)`", page.read_text())]
    assert spans
    for span in spans:
        for choice in span.split(" | "):
            group = span.split()[:1] if choice != span.split(" | ")[0] else []
            find_command([*group, *shlex.split(choice)])


def test_no_command_of_another_name_is_documented() -> None:
    """Every line of the plain blocks is one that a test here understands."""
    known = (*HYDRA, "sapiens ", "pip install", "python -m pytest", "make ", "pre-commit install")
    for page in PAGES:
        for line in command_lines(page):
            assert line.startswith(known) or page.name == "README.md", f"{page.name}: {line}"


def test_the_snippet_of_the_readme_runs(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(world)
    predict, block = code_blocks(ROOT / "README.md", "python")
    exec(filled(predict), {"sapiens_lab": sapiens_lab})
    images = torch.zeros(2, 3, 64, 48, dtype=torch.uint8)
    names: dict[str, Any] = {"images": images}
    block = block.replace("sapiens-pose-0.3b", "pose_export").replace("[5, 11, -1]", "[0, 1, -1]")
    exec(block, names)  # the documentation is ours
    assert names["heatmaps"].shape == (2, 5, 16, 12)
    assert [tuple(m.shape) for m in names["maps"]] == [(2, 16, 4, 3)] * 3


def test_snippets_of_other_pages_are_python_that_imports_what_exists() -> None:
    num_names = 0
    for page in PAGES:
        for block in code_blocks(page, "python"):
            for node in ast.walk(ast.parse(block, page.name)):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sapiens"):
                    module = importlib.import_module(str(node.module))
                    for alias in node.names:
                        assert getattr(module, alias.name) is not None, f"{page.name}: {alias.name}"
                        num_names += 1
    assert num_names


def test_documented_lists_of_keypoints_and_classes_load(tmp_path: Path) -> None:
    for page in PAGES:
        for block in code_blocks(page, "yaml"):
            path = tmp_path / "mine.yaml"
            path.write_text(block)
            if re.search("^keypoints:", block, re.MULTILINE):
                names = yaml.safe_load(block)["keypoints"]
                assert Skeleton.load(str(path)).num_keypoints == len(names)
            elif re.search("^classes:", block, re.MULTILINE):
                assert Parts.load(str(path)).num_classes == 3


def test_documented_environment_variables_are_read() -> None:
    code = "".join(path.read_text() for path in (ROOT / "sapiens_lab").rglob("*.py"))
    named = {v for page in PAGES for v in re.findall(r"SAPIENS_LAB_[A-Z_]+", page.read_text())}
    assert named
    assert all(f'"{variable}"' in code for variable in named), named
