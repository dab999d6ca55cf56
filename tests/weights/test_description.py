"""What a file of ours says of itself is all that is believed, and little can be said by others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from sapiens_lab.models.heads import DeconvHead, FeatureHead
from sapiens_lab.models.lora import LoraLinear
from sapiens_lab.models.sapiens import Sapiens
from sapiens_lab.models.spec import build
from sapiens_lab.models.vit import ViT
from sapiens_lab.training.lora import tune_lora
from sapiens_lab.training.metadata import describe_run
from sapiens_lab.weights.description import KEY
from sapiens_lab.weights.families.sapiens_v1 import to_official
from sapiens_lab.weights.load import load_weights
from sapiens_lab.weights.model import load_model, save_model
from tests.tasks.test_dense import segmentation as segmentation_task
from tests.weights.test_load import made, same

IMAGE = torch.randint(0, 255, (1, 3, 64, 48), dtype=torch.uint8)


def checkpoint(path: Path, model: Sapiens, **task: Any) -> Path:
    """Write a file as Lightning does for a run."""
    description = describe_run(model, segmentation_task(), None).to_dict()
    state = {f"model.{k}": v for k, v in model.state_dict().items()}
    content = {"state_dict": state, KEY: {**description, "task": {**description["task"], **task}}}
    torch.save(content, path)
    return path


@torch.no_grad()
def test_a_checkpoint_is_rebuilt_from_what_it_says(tmp_path: Path) -> None:
    """Padding 2, other statistics, three classes: nothing of it shows in the tensors' shapes."""
    torch.manual_seed(0)
    model = Sapiens(
        ViT((64, 48), embed_dim=16, num_layers=2, num_heads=4, patch_padding=2),
        head=lambda d: DeconvHead(d, out_channels=3, deconv_channels=[8], conv_channels=[]),
        mean=(0, 0, 0),
        std=(255, 255, 255),
    )
    path = checkpoint(tmp_path / "best.ckpt", model)
    found = load_model(path, task="segmentation")
    assert isinstance(found, Sapiens)
    assert same(found, model)
    assert found.backbone.patch_embed.padding == (2, 2)
    assert found.mean.flatten().tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="is a model for segmentation, not for normal"):
        load_model(path, task="normal")


@torch.no_grad()
def test_an_export_keeps_its_statistics(tmp_path: Path) -> None:
    source = made()
    model = Sapiens(source.backbone, head=lambda _: source.head, mean=(0, 0, 0), std=(1, 2, 3))
    folder = save_model(model, tmp_path / "export", task={"name": "pose"})
    assert same(load_model(folder), model)


@torch.no_grad()
def test_adapters_of_a_checkpoint_are_merged(tmp_path: Path) -> None:
    model = made(seed=1)
    tune_lora(model, rank=2)
    for module in model.modules():
        if isinstance(module, LoraLinear):
            module.lora_b.normal_()
    found = load_model(checkpoint(tmp_path / "last.ckpt", model))
    assert not any(isinstance(module, LoraLinear) for module in found.modules())
    expected = model.eval()(IMAGE)
    torch.testing.assert_close(found(IMAGE), expected, atol=1e-5, rtol=1e-4)


def test_positions_of_an_unusual_grid_are_resized(tmp_path: Path) -> None:
    """8x2 patches are neither square nor 4:3; the file says so."""
    folder = save_model(made(image_size=(128, 32)), tmp_path / "export", task={"name": "pose"})
    target = made(seed=2, image_size=(64, 48))
    assert load_weights(target, folder).resized == ["backbone.pos_embed"]
    resized = load_model(folder, image_size=(64, 64))
    assert resized.backbone.grid == (4, 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"_target_": "os.system", "command": "touch here"}, "os.system, which is not part of"),
        ({"_target_": "sapiens_lab.weights.model.save_model"}, "is not part of this package"),
        ({"_target_": "sapiens_lab.models.vit.vit", "size": "tiny"}, "is no part of a model"),
        ({"_target_": "sapiens_lab.models.spec.import_module"}, "is no part of a model"),
        ({"_target_": "sapiens_lab.models.heads.FeatureHead", "in_channels": 3}, "not a model"),
        ({"mean": [0, 0]}, "three numbers each"),
        ({"std": [0, 1, 1]}, "std above 0"),
        ({"surprise": 1}, "has no argument surprise"),
        ({"backbone": {"num_layers": 10**6}}, "holds .* tensors only"),
        ({"backbone": {"embed_dim": 2**30}}, "no model is that large"),
        ({"backbone": {"embed_dim": 2**16}}, "describes a model of .* numbers and holds"),
        ({"backbone": {"image_size": [2**17, 2**17]}}, "describes a model of .* numbers and holds"),
        ({"head": {"out_channels": 2**17}}, "describes a model of .* numbers and holds"),
        ({"head": {"conv_channels": [1] * 10**5}}, "more than it has tensors"),
        ({"backbone": {"drop_path": 0.5}}, "has no argument drop_path"),
        ({"backbone": {"embed_dim": "16"}}, r"model\.backbone"),
        ({"backbone": None}, "model"),
        ({"head": {"out_channels": 7}}, "differ"),
    ],
)
def test_a_file_may_not_say_more_than_a_model(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    folder = save_model(made(), tmp_path / "export", task={"name": "pose"})
    config = json.loads((folder / "config.json").read_text())
    for name, value in change.items():
        nested = isinstance(value, dict) and name in ("backbone", "head")
        config["model"][name] = config["model"][name] | value if nested else value
    if "_target_" in change:
        config["model"] = change
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=message):
        load_model(folder)
    assert not Path("here").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON"),
        ('{"format": 1, "model": {}, "task": {}}', "in format 1 of sapiens_lab"),
        ('{"format": 2, "model": {}, "task": {}}', "description is damaged"),
        ('{"format": 2, "model": null, "task": {"name": "x"}}', "does not say how"),
    ],
)
def test_a_damaged_description_is_named(tmp_path: Path, text: str, message: str) -> None:
    folder = save_model(made(), tmp_path / "export", task={"name": "pose"})
    (folder / "config.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        load_model(folder)


def test_a_config_of_another_program_is_not_ours(tmp_path: Path) -> None:
    """A folder of transformers also holds config.json and model.safetensors."""
    state = to_official(made().state_dict(), pose=True)
    save_file({k: v.clone() for k, v in state.items()}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text('{"model_type": "sapiens", "hidden_size": 16}')
    assert same(load_model(tmp_path, num_heads=2, patch_padding=0), made())  # type: ignore[arg-type]


def test_tensors_in_shards_and_under_other_keys(tmp_path: Path) -> None:
    state = {k: v.clone() for k, v in to_official(made().state_dict(), pose=True).items()}
    names = list(state)
    table = {name: f"model-{int(i > 20)}.safetensors" for i, name in enumerate(names)}
    for shard in set(table.values()):
        save_file({k: state[k] for k in names if table[k] == shard}, tmp_path / shard)
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": table}))
    torch.save({"epoch": 3, "model_state_dict": state, "optimizer": {}}, tmp_path / "mine.pth")
    for source in (tmp_path, index, tmp_path / "mine.pth"):
        assert same(load_model(source, num_heads=2, patch_padding=0), made())  # type: ignore[arg-type]
    index.write_text(json.dumps({"weight_map": {"a": "../outside.safetensors"}}))
    with pytest.raises(ValueError, match="which is not beside it"):
        load_model(index)


def test_an_encoder_under_timms_names_is_translated(tmp_path: Path) -> None:
    source = made()
    state = {
        k.removeprefix("backbone.")
        .replace("layers.", "blocks.")
        .replace("embed.", "embed.proj."): v
        for k, v in source.state_dict().items()
        if k.startswith("backbone.")
    }
    torch.save({"model": state}, tmp_path / "mae.pth")
    target = made(seed=5)
    report = load_weights(target, tmp_path / "mae.pth")
    assert len(report.matched) == len(state)
    assert torch.equal(target.backbone.norm.weight, source.backbone.norm.weight)


def test_a_pickled_model_is_named(tmp_path: Path) -> None:
    torch.save(made(), tmp_path / "whole.pth")
    with pytest.raises(ValueError, match=r"whole\.pth is a whole pickled object .*state_dict"):
        load_model(tmp_path / "whole.pth")


def test_specs_of_lambdas_and_scripts_are_refused_only_when_they_are_needed() -> None:
    model = Sapiens(ViT((32, 32), embed_dim=8, num_layers=1, num_heads=2), head=lambda _: Plain())
    with pytest.raises(ValueError, match=r"<function .*lambda.* is not a plain value"):
        model.spec()
    described = Sapiens(model.backbone, head=FeatureHead)
    assert build(described.spec()).spec() == described.spec()


class Plain(torch.nn.Identity):
    """A module that does not describe itself."""
