"""``experiment=finetune/...``: what the folder and the number of samples decide."""

from __future__ import annotations

import copy
import json
import os
import shutil
from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from omegaconf import DictConfig
from PIL import Image

from sapiens_lab.anatomy.parts import Parts
from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.commands import composing, hydra_app
from sapiens_lab.commands.finetune import choosing, length, start
from sapiens_lab.commands.finetune.decided import decided_words
from sapiens_lab.commands.finetune.device import Device
from sapiens_lab.commands.finetune.folder import look
from sapiens_lab.commands.finetune.request import Request
from sapiens_lab.commands.finetune.samples import Samples
from sapiens_lab.commands.resolvers import register_resolvers
from sapiens_lab.data.checks import finding
from sapiens_lab.models.heads import DeconvHead
from sapiens_lab.models.sapiens import Sapiens
from sapiens_lab.models.vit import Size, vit
from sapiens_lab.weights.model import save_model
from tests.command import Commands, status
from tests.data.checks import worlds
from tests.data.importers import sources
from tests.weights.test_load import made


@pytest.fixture(autouse=True)
def ready(commands: Commands) -> None:
    """An empty working folder, and what interpolations ask."""
    register_resolvers()


@lru_cache
def compose_once(words: tuple[str, ...]) -> DictConfig:
    return composing.compose_config(words, "config", [])


def compose(words: Sequence[str]) -> DictConfig:
    return copy.deepcopy(compose_once(tuple(words)))  # a check changes it


def decided(*words: str) -> dict[str, str]:
    """Return what is decided, by key."""
    choosing.complete(words, compose)
    return dict(word.split("=", 1) for word in decided_words())


def numbered_keypoints(root: Path) -> None:
    """Write people of whom four points of one's own are labeled."""
    worlds.write_people(root)
    content = json.loads((root / "annotations.json").read_text())
    content["categories"][0]["keypoints"] = ["tip", "left_fin", "right_fin", "tail"]
    for person in content["annotations"]:
        person["keypoints"] = person["keypoints"][:12]
    (root / "annotations.json").write_text(json.dumps(content))


# ---- keypoints -----------------------------------------------------------------------------------


def test_keypoints_of_ones_own_come_from_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    numbered_keypoints(Path("fish"))
    found = decided("experiment=finetune/pose", "data.root=fish", "trainer=cpu")
    assert found["skeleton"] == "'fish/annotations.json'"
    assert found["recipe"] == "tiny"
    # 10 people in 10 images, one of which validates: 9 samples, batches of the recipe's 8.
    assert found["data.batch_size"] == "8"
    assert found["trainer.max_epochs"] == "600"
    assert found["trainer.check_val_every_n_epoch"] == "75"
    assert found["optimizer.lr"] == "0.00106"  # 1.5e-3 * sqrt(8 / 16)
    assert found["optimizer.layer_decay"] == "null"
    assert found["weights"] == "null"
    assert found["backbone"] == "tiny"
    said = capsys.readouterr().out
    assert len(said.splitlines()) <= 10
    assert "tail; 1 left/right pairs by name: left_fin - right_fin" in said
    assert "no split is given, so 0.1 of the images validate" in said


def test_a_shipped_skeleton_is_recognized() -> None:
    worlds.write_people(Path("people"))
    found = decided("experiment=finetune/pose", "data.root=people", "trainer=cpu")
    assert found["skeleton"] == "'coco17'"


def test_the_user_wins(capsys: pytest.CaptureFixture[str]) -> None:
    worlds.write_people(Path("people"))
    words = ["optimizer.lr=1e-2", "data.batch_size=3", "trainer.max_epochs=7", "backbone=small"]
    request = Request.of(["experiment=finetune/pose", "data.root=people", *words], compose)
    whole = choosing.complete(request.typed, compose)
    config = compose(whole)
    assert (config.optimizer.lr, config.data.batch_size, config.trainer.max_epochs) == (0.01, 3, 7)
    assert config.hydra.runtime.choices.backbone == "small"
    assert whole[-len(request.typed) :] == list(request.typed)
    assert config.trainer.accumulate_grad_batches == 3, "8 wanted, 3 at once"
    assert "0.01, as you say" in capsys.readouterr().out


def test_an_experiment_of_ones_own_decides_what_it_sets() -> None:
    worlds.write_people(Path("people"))
    folder = Path("mine/experiment")
    folder.mkdir(parents=True)
    (folder / "fish.yaml").write_text(
        "# @package _global_\ndefaults:\n  - finetune/pose\n  - _self_\nimage_size: [96, 64]\n"
        "trainer:\n  max_epochs: 60\n"
    )
    words = ["--config-dir", "mine", "experiment=fish", "data.root=people", "trainer=cpu"]
    hydra_app.complete_overrides(hydra_app.Command.TRAIN, words)
    found = dict(word.split("=", 1) for word in decided_words())
    assert not {"image_size", "trainer.max_epochs"} & set(found)
    assert found["trainer.check_val_every_n_epoch"] == "7"  # 60 // 8


@pytest.mark.parametrize("mode", ["fast", "overfit"])
def test_a_debug_run_keeps_its_own_numbers(mode: str) -> None:
    worlds.write_people(Path("people"))
    words = ["experiment=finetune/pose", "data.root=people", "trainer=cpu", f"debug={mode}"]
    config = compose(hydra_app.complete_overrides(hydra_app.Command.TRAIN, words))
    assert config.trainer.max_epochs == {"fast": 1, "overfit": 200}[mode]
    if mode == "overfit":
        assert config.optimizer.lr == 1e-3
        assert (config.weights, config.head_width) == (None, 128)


# ---- classes -------------------------------------------------------------------------------------


def write_masks(root: Path, masks: Sequence[np.ndarray], palette: list[int] | None = None) -> None:
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for i, values in enumerate(masks):
        mask, _ = worlds.body(i)
        Image.fromarray(worlds.image_of(i, mask)).save(root / f"images/m{i}.png")
        image = Image.fromarray(values.astype(np.uint8))
        if palette is not None:
            image.putpalette(palette)
        image.save(root / f"masks/m{i}.png")


def classes(*words: str) -> Parts:
    request = Request.of(["experiment=finetune/segmentation", "trainer=cpu", *words], compose)
    [_, found] = look(request)
    return Parts.load(found.words[0].removeprefix("parts=").strip("'"))


def test_classes_are_the_ids_that_masks_hold() -> None:
    write_masks(Path("own"), [worlds.labels_of(i) for i in range(4)], [0, 0, 0, 9, 9, 9] * 8)
    assert classes("data.root=own").classes == ("background", "class_1", "class_2", "class_3")


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("classes.txt", "background\nlegs\nshirt\nhead\n", ("background", "legs", "shirt", "head")),
        ("classes.txt", "legs\nshirt\nhead\n", ("background", "legs", "shirt", "head")),
        ("classes.txt", "0: none\n3: head\n", ("none", "class_1", "class_2", "head")),
        ("_classes.csv", "Pixel Value, Class\n0, none\n1, legs\n2, shirt\n3, head\n",
         ("none", "legs", "shirt", "head")),
        ("data.yaml", "nc: 3\nnames: [legs, shirt, head]\n",
         ("background", "legs", "shirt", "head")),
        ("mine.yaml", "classes: [a, b, c, d]\n", ("a", "b", "c", "d")),
    ],
)  # fmt: skip
def test_a_legend_names_the_classes(name: str, text: str, expected: tuple[str, ...]) -> None:
    write_masks(Path("own"), [worlds.labels_of(i) for i in range(3)])
    Path("own", name).write_text(text)
    assert classes("data.root=own").classes == expected


def test_painted_masks_and_cvats_colors() -> None:
    colors = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255]])
    write_masks(Path("own"), [colors[worlds.labels_of(i)] for i in range(3)])
    own = classes("data.root=own")
    assert own.classes == ("background", "color_0000ff", "color_00ff00", "color_ff0000")
    Path("own/labelmap.txt").write_text(
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\nlegs:255,0,0::\nshirt:0,255,0::\n"
        "head:0,0,255::\n"
    )
    own = classes("data.root=own")
    assert own.classes == ("background", "legs", "shirt", "head")
    assert own.colors.tolist() == colors.tolist()


def test_masks_of_few_large_values_are_merged() -> None:
    values = np.array([0, 255])
    write_masks(Path("own"), [values[np.minimum(worlds.labels_of(i), 1)] for i in range(3)])
    own = classes("data.root=own")
    assert own.classes == ("background", "foreground")
    assert own.lookup[255] == 1
    values = np.array([0, 80, 160, 240])
    write_masks(Path("gray"), [values[worlds.labels_of(i)] for i in range(3)])
    own = classes("data.root=gray")
    assert own.classes == ("background", "class_80", "class_160", "class_240")
    assert own.lookup[[0, 80, 160, 240]].tolist() == [0, 1, 2, 3]


def test_images_in_place_of_masks_are_refused() -> None:
    rng = np.random.default_rng(0)
    write_masks(Path("own"), [rng.integers(0, 255, (*worlds.SIZE, 3)) for _ in range(2)])
    with pytest.raises(ValueError, match="more than 64 colors"):
        classes("data.root=own")


def test_polygons_bring_their_categories() -> None:
    worlds.write_regions(Path("regions"))
    found = decided("experiment=finetune/segmentation", "data.root=regions", "trainer=cpu")
    assert found["data"] == "coco_parts"
    assert found["parts"] == "'regions/annotations.json'"
    assert found["task.loss.class_weights"] == "auto"


def test_weights_in_a_class_list_are_kept() -> None:
    write_masks(Path("weighted"), [worlds.labels_of(i) for i in range(3)])
    Path("weighted/mine.yaml").write_text("classes: [a, {name: b, weight: 3}, c, d]\n")
    found = decided("experiment=finetune/segmentation", "data.root=weighted", "trainer=cpu")
    assert "task.loss.class_weights" not in found


# ---- other tools ---------------------------------------------------------------------------------


def test_an_export_of_yolo_is_read_where_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    sources.yolo_pose(Path("fish"))
    before = sorted(Path("fish").rglob("*"))
    words = ("experiment=finetune/pose", "data.root=fish", "trainer=cpu")
    found = decided(*words)
    said = capsys.readouterr().out
    assert sorted(Path("fish").rglob("*")) == before
    assert "sapiens convert fish" in said
    assert "1 people to train on, 1 to validate; the data are divided already" in said
    assert Skeleton.load(found["skeleton"].strip("'")).num_keypoints == 3
    root = Path(found["data.train.root"].strip("'"))
    assert found["data.val.image_dir"].strip("'") == str(Path("fish").absolute())
    written = (root / "import.json").stat().st_mtime_ns
    assert decided(*words) == found
    assert (root / "import.json").stat().st_mtime_ns == written, "read once"
    (root / "import.json").unlink()
    assert decided(*words) == found, "an import that was interrupted is made again"


def test_outlines_of_yolo_are_classes() -> None:
    sources.yolo_seg(Path("clothes"))
    sources.image(Path("clothes/images/b.png"))
    shutil.copy("clothes/labels/a.txt", "clothes/labels/b.txt")
    found = decided("experiment=finetune/segmentation", "data.root=clothes", "trainer=cpu")
    assert found["data"] == "coco_parts"
    assert Parts.load(found["parts"].strip("'")).classes[:2] == ("background", "shirt")


# ---- size ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "recipe", "steps", "epochs", "interval"),
    [
        (199, "tiny", 24, 25, 3),  # 199 // 8 steps, 600 / 24 epochs
        (504, "small", 31, 33, 4),  # 1000 / 31
        (5000, "small", 312, 20, 2),
        (20_000, "large", 313, 128, 16),  # 1250 batches of 16, 4 accumulated
    ],
)
def test_the_number_of_samples_chooses_the_recipe(
    number: int, recipe: str, steps: int, epochs: int, interval: int
) -> None:
    words = ["experiment=finetune/depth", "data.root=.", "trainer=cpu", "image_size=[64,48]",
             "weights=null", "backbone=tiny"]  # fmt: skip
    request = Request.of(words, compose)
    many = Samples(num_train=number, text="")
    found = length.choose_recipe(request, many)
    assert f"recipe={recipe}" in found[0].words
    request = request.with_decisions(found)
    planned, _ = length.plan(request, many)
    assert f"trainer.max_epochs={epochs}" in planned.words
    assert f"trainer.check_val_every_n_epoch={interval}" in planned.words
    assert f"{epochs} epochs of {steps} steps" in planned.text


def test_a_gpu_holds_what_its_memory_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    def plan_for(gib: float, *words: str) -> tuple[dict[str, str], str]:
        device = Device(is_gpu=True, free_gib=gib)
        monkeypatch.setattr(length, "find_device", lambda _: device)
        monkeypatch.setattr(start, "find_device", lambda _: device)
        given = ["experiment=finetune/depth", "data.root=.", *words]
        request = Request.of(given, compose)
        begun = start.choose_start(request)
        request = request.with_decisions(begun)
        many = Samples(num_train=3000, text="")
        recipe = length.choose_recipe(request, many)
        planned = length.plan(request.with_decisions(recipe), many)
        all_words = [word for d in [*begun, *recipe, *planned] for word in d.words]
        return dict(w.split("=", 1) for w in all_words), begun[1].text

    released = "weights=sapiens-pretrain-0.3b"
    large, text = plan_for(80, released)
    assert large["backbone"] == "sapiens_0.3b"
    assert large["image_size"] == "[1024,768]"
    assert "image_size=[512,384] costs a quarter" in text
    middle, _ = plan_for(24, released)
    assert middle["image_size"] == "[512,384]"
    for found in (large, middle):
        size, times = int(found["data.batch_size"]), int(found["trainer.accumulate_grad_batches"])
        assert 12 <= size * times <= 20, "the recipe's 16, as nearly as batches go"
        assert found["optimizer.layer_decay"] == "0.85"
    assert plan_for(80)[0]["backbone"] == "small"


def test_few_samples_leave_a_large_encoder_to_lora() -> None:
    words = ["experiment=finetune/normal", "data.root=.", "trainer=cpu", "image_size=[64,48]",
             "weights=sapiens-pretrain-0.3b"]  # fmt: skip
    request = Request.of(words, compose)
    request = request.with_decisions(start.choose_start(request))
    [few] = length.choose_recipe(request, Samples(num_train=60, text=""))
    assert few.words == ("recipe=tiny", "tune=lora")


# ---- weights -------------------------------------------------------------------------------------


def export(folder: Path, names: list[str], *, size: Size = "tiny", seed: int = 0) -> Path:
    """Write what a run on rendered people leaves."""
    torch.manual_seed(seed)
    backbone = vit(size, image_size=(128, 96))
    head = partial(
        DeconvHead, out_channels=len(names), deconv_channels=[8, 8], conv_channels=[8, 8]
    )
    task = {"name": "pose", "meaning": {"skeleton": names}}
    return save_model(Sapiens(backbone, head=head), folder / "export", task=task)


def test_the_newest_run_on_rendered_people_is_started_from() -> None:
    numbered_keypoints(Path("fish"))
    runs = Path("outputs/pose/synthetic")
    old, new = (export(runs / day, ["nose", "tail"]) for day in ("1", "2"))
    os.utime(old / "config.json", (1, 1))
    words = ("experiment=finetune/pose", "data.root=fish", "trainer=cpu")
    found = decided(*words)
    assert found["weights"] == f"'{new}'"
    assert found["backbone"] == "tiny"
    assert found["image_size"] == "[128,96]"
    assert found["head.deconv_channels"] == "[8,8]"
    assert found["head_init"] == "by_name", "the tail has its row already"
    assert found["optimizer.layer_decay"] == "0.85"
    assert found["optimizer.lr"] == "0.000354"  # 5e-4 * sqrt(8 / 16)
    (new / "config.json").write_text("{")
    assert decided(*words)["weights"] == f"'{old}'", "a damaged export is passed over"
    assert "weights" not in decided(*words, "weights=null")


def test_weights_that_the_user_names_bring_their_encoder() -> None:
    numbered_keypoints(Path("fish"))
    folder = export(Path("mine"), ["a", "b"], size="light")
    words = ("experiment=finetune/pose", "data.root=fish", "trainer=cpu", f"weights={folder}")
    found = decided(*words)
    assert found["backbone"] == "light"
    assert "head_init" not in found, "no name is shared"
    save_model(made(), Path("odd"), task={"name": "pose"})
    with pytest.raises(ValueError, match="no option of backbone= builds"):
        decided(*words[:-1], "weights=odd")


# ---- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["pose", "segmentation", "depth", "normal"])
def test_a_folder_of_other_things_is_refused(task: str, capsys: pytest.CaptureFixture[str]) -> None:
    worlds.write_images(Path("holiday"))
    assert status("train", f"experiment=finetune/{task}", "data.root=holiday") == 1
    said = capsys.readouterr().err
    assert "holiday" in said
    assert "Traceback" not in said
    assert not Path("outputs").exists()


def test_no_folder_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert status("train", "experiment=finetune/pose") == 1
    assert "data.root has no value: add `data.root=...`" in capsys.readouterr().err
    assert status("train", "experiment=finetune/pose", "data.root=nowhere") == 1
    assert "data.root=nowhere is not a folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("recipe.steps=-3", "recipe.steps=-3: must be a number above zero"),
        ("recipe=huge", "recipe"),
        ("data.batch_size=0", "data.batch_size=0: must be"),
        ("image_size=abc", "image_size=abc: must be"),
        ("trainer.max_epochs=many", "trainer.max_epochs=many: must be"),
        ("scheduler.warmup=long", "scheduler.warmup=long: must be"),
        ("data.train.val_fraction=x", "data.train.val_fraction=x: must be"),
        ("data.group_by='('", "no regular expression"),
        ("data.group_by=folder", "all 10 images are of one group"),
        ("weights=nothing.safetensors", "there is no such file"),
        ("skeleton=mine.yaml", "neither a file nor one of"),
        ("optimizer.momentum=0.9", "has no argument `momentum`"),
    ],
)
def test_what_makes_no_sense_is_refused(
    word: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    worlds.write_people(Path("people"))
    words = ("experiment=finetune/pose", "data.root=people", "trainer=cpu", word)
    assert status("train", *words) == 1
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said
    assert not Path("outputs").exists()


def test_arguments_that_no_yaml_names_are_taken() -> None:
    worlds.write_people(Path("people"))
    words = ["experiment=finetune/pose", "data.root=people", "trainer=cpu"]
    words.append("backbone.class_token=true")
    assert hydra_app.complete_overrides(hydra_app.Command.TRAIN, words)[-1] == words[-1]


def test_warnings_about_the_data_are_still_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(finding, "_logged", set())
    write_masks(Path("thin"), [np.minimum(worlds.labels_of(i), 1) * (i == 0) for i in range(3)])
    decided("experiment=finetune/segmentation", "data.root=thin", "trainer=cpu")
    assert not finding._logged
    assert not caplog.records


def test_a_run_is_evaluated_by_what_it_recorded(
    commands: Commands, capsys: pytest.CaptureFixture[str]
) -> None:
    """The whole command line, with as little as makes it quick."""
    numbered_keypoints(Path("fish"))
    words = ("image_size=[64,48]", "trainer.max_epochs=2", "data.num_workers=0")
    commands.train("experiment=finetune/pose", "data.root=fish", "trainer=cpu", *words, tiny=False)
    [run] = commands.runs("finetune/pose")
    recorded = yaml.safe_load((run / "overrides.yaml").read_text())
    assert "skeleton='fish/annotations.json'" in recorded
    assert "optimizer.lr=0.00106" in recorded
    said = capsys.readouterr().out
    assert "recipe       tiny: 9 training samples" in said
    shown = said[said.index("your values") : said.index("(print_config=true")]
    assert "optimizer.lr" not in shown
    assert "image_size=[64,48]" in shown
    commands.evaluate("experiment=finetune/pose")
    said = capsys.readouterr().out
    assert "recipe  " not in said, "nothing is looked at again"
