"""docs/stories.md: what people want to fine-tune, through the command line, on small drawn data."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from torch import Tensor

from sapiens_lab.anatomy.parts import Parts
from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.data.images import read_image
from sapiens_lab.models.heads import DeconvHead
from sapiens_lab.models.mae import MaskedAutoencoder
from sapiens_lab.models.sapiens import Sapiens
from sapiens_lab.models.vit import vit
from sapiens_lab.weights.catalog import find_release
from sapiens_lab.weights.model import load_model, save_model
from tests.command import Commands, metrics, run, status
from tests.conftest import ROOT
from tests.data.checks import worlds
from tests.data.importers import sources, test_cvat

FAST = ("debug=fast", "trainer=cpu", "data.num_workers=0")
SIZE = "image_size=[64,48]"
STILL = "optimizer.lr=1e-12"  # what is loaded is what is exported
BODY = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
Said = pytest.CaptureFixture[str]


# ---- what the stories start from -----------------------------------------------------------------


def pretrained(folder: str = "pretrained") -> Path:
    """Write a masked autoencoder, as pretraining leaves it."""
    torch.manual_seed(0)
    encoder = vit("tiny", image_size=(64, 64), class_token=True)
    model = MaskedAutoencoder(encoder, decoder_dim=8, decoder_layers=1, decoder_heads=2)
    return save_model(model, Path(folder), task={"name": "pretrain"})


def pose_model(names: Sequence[str], folder: str = "pose_model") -> Path:
    """Write a pose model of these keypoints."""
    torch.manual_seed(0)
    head = partial(DeconvHead, out_channels=len(names), deconv_channels=[8, 8], conv_channels=[8])
    model = Sapiens(vit("tiny", image_size=(64, 48)), head=head)
    task = {"name": "pose", "meaning": {"skeleton": list(names)}}
    return save_model(model, Path(folder), task=task)


def in_pairs(names: Sequence[str]) -> list[str]:
    """Return each name with left and right before it."""
    return [f"{side}_{name}" for name in names for side in ("left", "right")]


def place(names: Sequence[str], box: Sequence[float]) -> list[float]:
    """Return x, y, visibility of keypoints: one above the other, left and right on their sides."""
    x, y, width, height = box
    sides = {"left": 0.8, "right": 0.2}
    values = []
    for i, name in enumerate(names):
        across = sides.get(name.split("_")[0], 0.5)
        values += [x + across * width, y + height * (i + 0.5) / len(names), 2.0]
    return values


def edit_people(root: Path, edit: Callable[[Any], None]) -> None:
    """Write a COCO file of people, edited, with its images."""
    worlds.write_people(root)
    content = json.loads((root / "annotations.json").read_text())
    edit(content)
    (root / "annotations.json").write_text(json.dumps(content))


def write_keypoints(root: Path, names: Sequence[str]) -> None:
    """Write objects with keypoints of one's own."""

    def edit(content: Any) -> None:
        content["categories"][0]["keypoints"] = list(names)
        for person in content["annotations"]:
            person["keypoints"] = place(names, person["bbox"])
            person["num_keypoints"] = len(names)

    edit_people(root, edit)


# ---- what they leave -----------------------------------------------------------------------------


def fine_tune(commands: Commands, task: str, *words: str) -> Path:
    """Fine-tune for a moment and return the folder of the run."""
    size = () if any(word.startswith("image_size=") for word in words) else (SIZE,)
    commands.train(f"experiment=finetune/{task}", *FAST, *size, *words, tiny=False)
    return commands.runs(f"finetune/{task}")[-1]


def state(export: Path) -> dict[str, Tensor]:
    return load_model(export).state_dict()


def last(run_folder: Path) -> dict[str, float | None]:
    """Return the metrics of the last validation."""
    found: dict[str, float | None] = metrics(run_folder)["last"]
    return found


def recorded(run_folder: Path) -> Any:
    return yaml.safe_load((run_folder / "config.yaml").read_text())


def test_the_weights_of_the_page_are_released() -> None:
    named = set(re.findall(r"weights=(sapiens-[\w.-]+\w)", (ROOT / "docs/stories.md").read_text()))
    assert len(named) >= 3
    assert all(find_release(name) is not None for name in named)


# ---- the stories ---------------------------------------------------------------------------------


def test_1_keypoints_of_ones_own(commands: Commands, capsys: Said) -> None:
    """20 keypoints of cars: names, pairs and head come from the file."""
    parts = (
        "light",
        "mirror",
        "door",
        "wheel",
        "handle",
        "window",
        "roof",
        "trunk",
        "lamp",
        "sill",
    )
    write_keypoints(Path("cars"), names := in_pairs(parts))
    run_folder = fine_tune(
        commands, "pose", "data.root=cars", f"weights={pretrained()}", "tune=lora"
    )
    skeleton = Skeleton.load("cars/annotations.json")
    assert skeleton.flip_indices is not None
    assert skeleton.flip_indices.tolist() == [i ^ 1 for i in range(20)]
    assert set(skeleton.sigmas.tolist()) == {0.05}
    assert len(state(run_folder / "export")["head.out.weight"]) == 20
    task = json.loads((run_folder / "export/config.json").read_text())["task"]
    assert task["meaning"]["skeleton"] == names
    said = capsys.readouterr().out
    assert "20 points of annotations.json: left_light, right_light" in said
    assert "10 left/right pairs by name" in said
    assert last(run_folder)["val/PCK@0.1"] is not None
    assert (run_folder / "first_batch.png").is_file()
    assert (run_folder / "predictions/epoch_0001.png").is_file()


def test_2_the_same_keypoints_of_another_sensor(commands: Commands, capsys: Said) -> None:
    """Images of one channel and 16 bits; the head of the weights is kept whole."""

    def infrared(content: Any) -> None:
        for image in content["images"]:
            jpeg = Path("infrared") / image["file_name"]
            image["file_name"] = jpeg.with_suffix(".png").name
            gray = np.array(Image.open(jpeg).convert("L")).astype(np.uint16) * 256
            cv2.imwrite(str(jpeg.with_suffix(".png")), gray)
            jpeg.unlink()

    edit_people(Path("infrared"), infrared)
    image = read_image(Path("infrared/p0.png"))
    assert image.shape == (*worlds.PERSON, 3)
    assert np.ptp(image, axis=2).max() == 0
    weights = pose_model(Skeleton.load("coco17").keypoints)
    run_folder = fine_tune(
        commands, "pose", "data.root=infrared", "skeleton=coco17", f"weights={weights}", STILL
    )
    before, after = state(weights), state(run_folder / "export")
    assert before.keys() == after.keys()
    assert after["head.out.weight"].shape[0] == 17
    for name in before:
        torch.testing.assert_close(after[name], before[name], msg=name)
    assert "newly initialized" not in capsys.readouterr().out


def test_3_sixty_images(commands: Commands, capsys: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    """The recipe for few samples, a frozen encoder, PCK beside AP."""
    monkeypatch.setattr(worlds, "NUM", 60)
    write_keypoints(Path("few"), ["tip", "left_fin", "right_fin", "tail"])
    weights = pretrained()
    run_folder = fine_tune(commands, "pose", "data.root=few", f"weights={weights}", "tune=head")
    said = capsys.readouterr().out
    assert "recipe       tiny: 5" in said
    assert recorded(run_folder)["scheduler"]["warmup"] < 1, "a fraction of the run"
    before, after = state(weights), state(run_folder / "export")
    for name, value in after.items():
        if name.startswith("backbone.layers"):
            torch.testing.assert_close(value, before[name], rtol=0, atol=0, msg=name)
    assert last(run_folder)["val/PCK@0.1"] is not None
    assert "chosen by val/loss: val/AP was 0 or undefined" in said


def test_4_some_keypoints_of_a_larger_file(commands: Commands, capsys: Said) -> None:
    """14 of COCO-WholeBody's 133 keypoints, of which the weights have 12."""
    whole = Skeleton.load("wholebody133").keypoints
    lists = {"foot_kpts": 6, "face_kpts": 68, "lefthand_kpts": 21, "righthand_kpts": 21}

    def add_lists(content: Any) -> None:
        for person in content["annotations"]:
            start = 17
            for key, number in lists.items():
                person[key] = place(whole[start : start + number], person["bbox"])
                start += number

    edit_people(Path("people"), add_lists)
    names = in_pairs([*BODY, "big_toe"])
    Path("my14.yaml").write_text(
        yaml.safe_dump({"name": "my14", "base": "wholebody133", "keypoints": names})
    )
    weights = pose_model(body := Skeleton.load("coco17").keypoints)
    run_folder = fine_tune(
        commands, "pose", "data.root=people", "skeleton=my14.yaml", f"weights={weights}", STILL
    )
    said = capsys.readouterr().out + (run_folder / "messages.log").read_text()
    assert "12 of 14 outputs begin as the weights' of the same names" in said
    assert "my14: 14 of the file's 133 keypoints, by name" in said
    assert "outputs copied by name (12): left_shoulder" in said
    assert "new outputs (2): left_big_toe, right_big_toe" in said
    before, after = state(weights), state(run_folder / "export")
    for key in ("head.out.weight", "head.out.bias"):
        rows = before[key][[body.index(name) for name in names[:12]]]
        torch.testing.assert_close(after[key][:12], rows, msg=key)
        assert len(after[key]) == 14


def write_parsing(root: Path, parts: Path) -> list[str]:
    """Write masks of 20 classes: bands of a person, whose left is on the image's right side."""
    bands = ("face", "neck", "arm", "hand", "chest", "hip", "leg", "shin", "shoe")
    names = ["background", "hat", *in_pairs(bands)]
    parts.write_text(yaml.safe_dump({"name": "parsing20", "classes": names}))
    worlds.write_maps(root, "labels")
    (root / "parts.yaml").unlink()
    for path in (root / "labels").iterdir():
        rows, columns = np.nonzero(np.array(Image.open(path)))
        band = (rows - rows.min()) * 10 // (np.ptp(rows) + 1)
        values = np.where(band == 0, 1, 2 * band + (columns < columns.mean()))
        ids = np.zeros(worlds.SIZE, np.uint8)
        ids[rows, columns] = values
        Image.fromarray(ids).save(path)
    return names


def test_5_human_parsing(commands: Commands, capsys: Said) -> None:
    """20 classes: left and right exchanged by a flip, rare ones count more, IoU of each."""
    names = write_parsing(Path("masks"), Path("parsing20.yaml"))
    run_folder = fine_tune(
        commands, "segmentation", "data.root=masks", "parts=parsing20.yaml",
        f"weights={pretrained()}",
    )  # fmt: skip
    flip = Parts.load("parsing20.yaml").flip_indices
    assert flip is not None
    assert flip.tolist() == [0, 1, *(i ^ 1 for i in range(2, 20))]
    said = capsys.readouterr().out
    assert "rare ones count more" in said
    assert "each layer of the encoder x 0.85 of the one above it" in said
    config = recorded(run_folder)
    assert config["task"]["loss"]["class_weights"] == "auto"
    assert config["optimizer"]["layer_decay"] == 0.85
    found = [name for name in names if f"val/IoU/{name}" in last(run_folder)]
    assert found == names
    assert (run_folder / "predictions/epoch_0001.png").is_file()


def test_6_masks_at_another_image_size(commands: Commands, capsys: Said) -> None:
    """The positional embedding is resized, 255 is no class, the head learns faster."""
    worlds.write_maps(Path("clothes"), "labels")
    for path in Path("clothes/labels").iterdir():
        ids = np.array(Image.open(path))
        ids[:, :6] = 255
        Image.fromarray(ids).save(path)
    classes = ["background", "trousers", "shirt", "head"]
    Path("clothes/parts.yaml").unlink()
    Path("mine.yaml").write_text(
        yaml.safe_dump({"name": "clothes", "classes": classes, "ignore_index": 255})
    )
    run_folder = fine_tune(
        commands, "segmentation", "data.root=clothes", "parts=mine.yaml", "image_size=[96,96]",
        f"weights={pretrained()}",
    )  # fmt: skip
    said = capsys.readouterr().out + (run_folder / "messages.log").read_text()
    assert "resized: backbone.pos_embed" in said
    assert state(run_folder / "export")["backbone.pos_embed"].shape[1] == 6 * 6
    assert recorded(run_folder)["optimizer"]["layer_decay"] == 0.85
    assert all(f"val/IoU/{name}" in last(run_folder) for name in classes)


def test_7_metric_depth_of_a_sensor(commands: Commands) -> None:
    """Millimeters in 16 bits; what the sensor did not measure (0, 65535) counts nowhere."""
    worlds.write_maps(Path("room"), "depths")
    for path in Path("room/depths").glob("*.npy"):
        millimeters = (np.load(path) * 1000).astype(np.uint16)
        millimeters[::7] = 65535
        cv2.imwrite(str(path.with_suffix(".png")), millimeters)
        path.unlink()
    run_folder = fine_tune(
        commands, "depth", "data.root=room", "task.kind=metric", "data.train.unit_m=0.001",
        "data.train.invalid=[0,65535]", f"weights={pretrained()}",
    )  # fmt: skip
    found = last(run_folder)
    raw, aligned = found["val/rmse"], found["val/rmse_scale_shift"]
    assert raw is not None
    assert aligned is not None
    assert aligned < raw < 4, "meters; a person is 2 m away, and 65 m would be seen"


def test_8_normals_of_renders(commands: Commands, capsys: Said) -> None:
    """OpenGL's frame; a wrong frame is refused by the data, another patch size by the weights."""
    worlds.write_maps(Path("renders"), "normals")
    for path in Path("renders/normals").iterdir():
        np.save(path, np.load(path) * np.array([1, -1, -1], np.float32))
    words = ("data.root=renders", f"weights={pretrained()}", "tune=lora")
    low = "backbone.activation_checkpointing=true"
    run_folder = fine_tune(commands, "normal", *words, "data.train.frame=opengl", low)
    assert (run_folder / "first_batch.png").is_file()
    assert last(run_folder)["val/mean_angular_error"] is not None
    capsys.readouterr()
    typed = ("train", "experiment=finetune/normal", *FAST, SIZE, *words)
    assert status(*typed) == 1
    assert "frame=opengl axis_order=xyz would make it 100%" in capsys.readouterr().err
    sizes = ("embed_dim=160", "num_layers=4", "num_heads=5", "patch_size=8")
    encoder = ("backbone._target_=sapiens_lab.models.vit.ViT", "~backbone.size",
               *(f"+backbone.{word}" for word in sizes))  # fmt: skip
    assert status(*typed, "data.train.frame=opengl", "tune=full", *encoder) == 1
    refused = capsys.readouterr().err
    assert "patches of 16 there, width 160, 4 layers, patches of 8 here" in refused
    assert "would throw the pretraining away" in refused


def test_9_pretraining_goes_on_and_fine_tuning_follows(commands: Commands, capsys: Said) -> None:
    """Each step starts from the export of the one before; a probe measures the encoder."""
    worlds.write_images(Path("images"))
    worlds.write_people(Path("people"))
    commands.train(
        "experiment=pretrain/folder", "data.root=images", "backbone=tiny", *FAST,
        "image_size=[64,64]", "data.batch_size=4", f"weights={pretrained()}",
        "model.decoder_dim=8", "model.decoder_layers=1", "model.decoder_heads=2",
        "probe=coco", "callbacks.probe.root=people", tiny=False,
    )  # fmt: skip
    [first] = commands.runs("pretrain/folder")
    assert (first / "predictions/epoch_0001.png").is_file()
    assert last(first)["val/probe_PCK"] is not None
    capsys.readouterr()
    weights = (first / "export").relative_to(commands.cwd)
    second = fine_tune(commands, "pose", "data.root=people", f"weights={weights}", STILL)
    before, after = state(first / "export"), state(second / "export")
    name = "backbone.layers.0.attn.qkv.weight"
    torch.testing.assert_close(after[name], before[name])


def write_cvat(root: Path) -> None:
    """Write people of two keypoints, drawn without boxes, in another order than the skeleton's."""
    images = []
    for i in range(6):
        sources.image(root / f"images/{i}.jpg", 96, 80)
        images.append(
            f'<image id="{i}" name="{i}.jpg" width="80" height="96"><skeleton label="person">'
            f'<points label="left_eye" occluded="1" outside="0" points="{50 + i},30"/>'
            f'<points label="nose" occluded="0" outside="0" points="40,{50 + i}"/></skeleton>'
            '<polyline label="rope" points="1,1;2,2"/></image>'
        )
    test_cvat.write(root, "".join(images))


def test_10_annotations_of_cvat(commands: Commands, capsys: Said) -> None:
    """Boxes come from the keypoints, occluded is 1, the order is the skeleton's."""
    write_cvat(Path("export"))
    run("convert", "export", "people")
    said = capsys.readouterr().out
    assert "polyline" in said
    assert "6" in said
    assert Path("people/samples.png").is_file()
    [path] = Path("people/annotations").glob("*.json")
    content = json.loads(path.read_text())
    assert content["categories"][0]["keypoints"] == ["nose", "left_eye"]
    person = content["annotations"][0]
    assert person["keypoints"] == [40, 50, 2, 50, 30, 1]
    assert person["bbox"] == pytest.approx([39, 28, 12, 24])
    run_folder = fine_tune(commands, "pose", "data.root=people", f"weights={pretrained()}")
    assert len(state(run_folder / "export")["head.out.weight"]) == 2
