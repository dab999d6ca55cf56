from __future__ import annotations

import json
import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from sapiens_lab.models.heads import DeconvHead
from sapiens_lab.models.pos_embed import grid_of_patches
from sapiens_lab.models.sapiens import Sapiens
from sapiens_lab.models.vit import ViT
from sapiens_lab.weights.families.sapiens_v1 import DENSE_KEYS, POSE_KEYS, to_official
from sapiens_lab.weights.files import read_weights
from sapiens_lab.weights.load import load_weights
from sapiens_lab.weights.model import save_model


def made(
    out_channels: int = 5,
    *,
    seed: int = 0,
    image_size: tuple[int, int] = (64, 48),
    width: int = 16,
    head_width: int = 8,
    **options: Any,
) -> Sapiens:
    torch.manual_seed(seed)
    backbone = ViT(image_size, embed_dim=width, num_layers=2, num_heads=2, **options)
    return Sapiens(
        backbone,
        head=lambda dim: DeconvHead(
            dim,
            out_channels=out_channels,
            deconv_channels=[head_width] * 2,
            conv_channels=[head_width],
        ),
    )


def official(model: Sapiens) -> OrderedDict[str, torch.Tensor]:
    return OrderedDict(to_official(model.state_dict(), pose=True))


def same(a: Sapiens, b: Sapiens) -> bool:
    image = torch.randint(0, 255, (1, 3, 64, 48), dtype=torch.uint8)
    return torch.equal(a.eval()(image), b.eval()(image))


@pytest.mark.parametrize(
    "kind",
    ["wrapped", "flat", "ddp", "safetensors", "lightning", "compiled", "deep", "someone's own"],
)
def test_every_container_is_read(tmp_path: Path, kind: str) -> None:
    source, target = made(seed=1), made(seed=2)
    state = official(source)
    path = tmp_path / ("file.safetensors" if kind == "safetensors" else "file.pth")
    ours = source.state_dict()
    content: Any = {
        "wrapped": {"state_dict": state, "meta": {"epoch": 3}},
        "flat": state,
        "ddp": {"state_dict": {f"module.{k}": v for k, v in state.items()}},
        "lightning": {"state_dict": {f"model.{k}": v for k, v in ours.items()}, "epoch": 1},
        "compiled": {"state_dict": {f"model._orig_mod.{k}": v for k, v in ours.items()}},
        "safetensors": dict(ours),
        "deep": {"checkpoint": {"net": state, "averaged": {"decay": torch.ones(1)}}, "epoch": 1},
        "someone's own": {"net": {f"net.inner.{k}": v for k, v in state.items()}},
    }[kind]
    if kind == "safetensors":
        save_file(content, path)
    else:
        torch.save(content, path)
    report = load_weights(target, path, head="keep")
    assert same(source, target)
    assert not report.initialized
    assert not report.unused


class Payload:
    """A pickle that would make a folder if it were believed."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> Any:
        return os.mkdir, (self.path,)


def test_a_pickle_is_never_executed(tmp_path: Path) -> None:
    source, target = made(seed=1), made(seed=2)
    trap = tmp_path / "trap"
    meta = {"config": Payload(trap), "sigmas": np.ones(3), "dtype": np.dtype("int64")}
    torch.save({"meta": meta, "state_dict": official(source)}, tmp_path / "evil.pth")
    load_weights(target, tmp_path / "evil.pth", head="keep")
    assert same(source, target)
    assert not trap.exists()


def test_another_number_of_keypoints_gets_a_new_last_layer(tmp_path: Path) -> None:
    source, target = made(seed=1), made(7, seed=2)
    torch.save(source.state_dict(), tmp_path / "file.pth")
    report = load_weights(target, tmp_path / "file.pth")
    assert report.initialized == ["head.out.weight", "head.out.bias"]
    assert torch.equal(target.head.deconvs[0].weight, source.head.deconvs[0].weight)  # type: ignore[union-attr,index]
    assert "newly initialized: head.out.weight" in str(report)
    with pytest.raises(ValueError, match="the head in"):
        load_weights(target, tmp_path / "file.pth", head="keep")


def test_other_widths_or_drop_start_the_head_anew(tmp_path: Path) -> None:
    torch.save(made(seed=1).state_dict(), tmp_path / "file.pth")
    wide = made(seed=2, head_width=12)
    assert all(n.startswith("head.") for n in load_weights(wide, tmp_path / "file.pth").initialized)
    report = load_weights(made(seed=2), tmp_path / "file.pth", head="drop")
    assert len(report.initialized) == len(made().head.state_dict())


def test_positions_move_to_the_models_grid(tmp_path: Path) -> None:
    torch.save(made(seed=1).state_dict(), tmp_path / "file.pth")
    target = made(seed=2, image_size=(96, 96))
    assert load_weights(target, tmp_path / "file.pth").resized == ["backbone.pos_embed"]
    assert grid_of_patches(48) == (8, 6)
    assert grid_of_patches(4096) == (64, 64)
    assert grid_of_patches(3072) == (64, 48)
    assert grid_of_patches(50) is None


@pytest.mark.parametrize("options", [{"width": 32}, {"patch_size": 8}])
def test_another_encoder_is_refused(tmp_path: Path, options: dict[str, int]) -> None:
    torch.save(made().state_dict(), tmp_path / "file.pth")
    with pytest.raises(ValueError, match=r"not this model's: width 16, 2 layers, patches of 16"):
        load_weights(made(**options), tmp_path / "file.pth")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["file.pth", "file.safetensors"])
def test_a_truncated_file_is_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.endswith(".pth"):
        torch.save(made().state_dict(), path)
    else:
        save_file(made().state_dict(), path)
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(ValueError, match=name):
        read_weights(path)


def test_missing_and_empty_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent\.pth"):
        read_weights(tmp_path / "absent.pth")
    (tmp_path / "list.pth").write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(ValueError, match=r"list\.pth"):
        read_weights(tmp_path / "list.pth")


def test_names_that_are_not_official_stay_unknown() -> None:
    to_ours = DENSE_KEYS.to_ours
    assert to_ours("backbone.layers.3.ffn.layers.0.0.bias") == "backbone.layers.3.mlp.fc1.bias"
    assert to_ours("decode_head.deconv_layers.9.weight") == "head.deconvs.3.weight"
    assert POSE_KEYS.to_ours("head.final_layer.bias") == "head.out.bias"
    assert to_ours("backbone.layers.3.norm1.weight") is None
    assert to_ours("neck.decoder_blocks.1.ln2.bias") == "decoder.layers.1.norm2.bias"
    assert to_ours("neck.unknown") is None
    assert DENSE_KEYS.to_theirs("head.convs.1.bias") == "decode_head.conv_layers.3.bias"
    with pytest.raises(ValueError, match=r"no official name: head\.heads"):
        to_official({"head.heads.pose.out.bias": torch.zeros(1)}, pose=True)


def test_outputs_that_both_sides_know_are_copied_by_name(tmp_path: Path) -> None:
    source, target = made(3, seed=1), made(4, seed=2)
    task = {"name": "pose", "meaning": {"skeleton": ["nose", "tail", "paw"]}}
    folder = save_model(source, tmp_path / "export", task=task)
    before = target.head.out.weight.clone()
    names = ["paw", "horn", "nose", "wing"]
    report = load_weights(target, folder, head="by_name", outputs=names)
    assert report.by_name == ["paw", "nose"]
    assert report.new_outputs == ["horn", "wing"]
    theirs, ours = source.head.out.weight, target.head.out.weight
    torch.testing.assert_close(ours[0], theirs[2])
    torch.testing.assert_close(ours[2], theirs[0])
    torch.testing.assert_close(ours[[1, 3]], before[[1, 3]])
    torch.testing.assert_close(target.head.deconvs[0].weight, source.head.deconvs[0].weight)
    with pytest.raises(ValueError, match=r"none of this task's outputs \(horn"):
        load_weights(target, folder, head="by_name", outputs=["horn", "wing", "fin", "gill"])
    with pytest.raises(ValueError, match="are not known; use auto"):
        load_weights(target, folder, head="by_name")


def test_outputs_are_copied_through_the_aliases_of_either_side(tmp_path: Path) -> None:
    source, target = made(3, seed=1), made(4, seed=2)
    task = {
        "name": "pose",
        "meaning": {"skeleton": ["left_wrist", "tail", "nose"]},
        "aliases": {"tail": ["rump"]},
    }
    folder = save_model(source, tmp_path / "export", task=task)
    report = load_weights(
        target,
        folder,
        head="by_name",
        outputs=["nose", "hand", "rump", "horn"],
        aliases={"hand": ["paw", "left_wrist"]},
    )
    assert report.by_name == ["nose", "hand (of left_wrist)", "rump (of tail)"]
    assert report.new_outputs == ["horn"]
    torch.testing.assert_close(target.head.out.weight[:3], source.head.out.weight[[2, 0, 1]])
    torch.testing.assert_close(target.head.out.bias[:3], source.head.out.bias[[2, 0, 1]])
    assert "outputs copied by name (3): nose, hand (of left_wrist), rump (of tail)" in str(report)
    assert "new outputs (1): horn" in str(report)
    task["aliases"] = {"tail": 5, "nose": "snout"}  # of a damaged or foreign file
    damaged = save_model(source, tmp_path / "damaged", task=task)
    with pytest.raises(ValueError, match="none of this task's outputs"):
        load_weights(target, damaged, head="by_name", outputs=["rump", "snout", "a", "b"])


def test_parts_of_a_file_are_named(tmp_path: Path) -> None:
    state = official(made())
    save_file(dict(state), tmp_path / "model-00001-of-00002.safetensors")
    with pytest.raises(ValueError, match=r"00002\.safetensors is one of 2 shards"):
        read_weights(tmp_path / "model-00001-of-00002.safetensors")
    table = {"weight_map": dict.fromkeys([*state, "more"], "model-00001-of-00002.safetensors")}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(table))
    with pytest.raises(
        ValueError, match=r"names 1 tensors that its shards do not hold, e\.g\. more"
    ):
        read_weights(tmp_path)
    del state["backbone.layers.0.attn.proj.weight"]
    torch.save(state, tmp_path / "x.pth")
    with pytest.raises(ValueError, match=r"x\.pth is incomplete.*\n.*attn\.proj\.weight"):
        load_weights(made(), tmp_path / "x.pth")
    torch.save({name: value.numpy() for name, value in state.items()}, tmp_path / "y.pth")
    with pytest.raises(ValueError, match=r"no tensors; what is in it: backbone\S+ \(numpy"):
        read_weights(tmp_path / "y.pth")
