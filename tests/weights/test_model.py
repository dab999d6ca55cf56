"""Models from files and back, the command around them, and equality through every container."""

from __future__ import annotations

import json
import warnings
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import sapiens_lab
from sapiens_lab import atomic
from sapiens_lab.models.heads import DeconvHead, MultiHead
from sapiens_lab.models.mae import MaskedAutoencoder
from sapiens_lab.models.sapiens import Sapiens
from sapiens_lab.models.spec import build
from sapiens_lab.models.timm_encoder import TimmEncoder
from sapiens_lab.models.vit import SIZES, ViT, vit
from sapiens_lab.weights.families import Hints
from sapiens_lab.weights.families.sapiens_v1 import FAMILY, to_official
from sapiens_lab.weights.model import load_model, save_model
from tests.command import status
from tests.weights.test_load import made, official, same

IMAGE = torch.randint(0, 255, (1, 3, 64, 48), dtype=torch.uint8)


def write_official(path: Path, model: Sapiens, *, pose: bool = True) -> Path:
    state = OrderedDict(to_official(model.state_dict(), pose=pose))
    torch.save({"state_dict": state, "meta": {}}, path)
    return path


def test_a_file_becomes_the_model_that_wrote_it(tmp_path: Path) -> None:
    source = made(seed=3, patch_padding=2)
    path = write_official(tmp_path / "pose.pth", source)
    assert same(load_model(path, num_heads=2), source)
    assert not same(load_model(path, num_heads=2, patch_padding=0), source)


@pytest.mark.parametrize(("outputs", "task"), [(1, "depth"), (3, "normal"), (20, "segmentation")])
def test_the_task_is_read_off_the_outputs(tmp_path: Path, outputs: int, task: Any) -> None:
    path = write_official(tmp_path / "dense.pth", made(outputs), pose=False)
    load_model(path, task=task, num_heads=2)
    with pytest.raises(ValueError, match=f"is a model for {task}, not for pose"):
        load_model(path, task="pose", num_heads=2)


def test_what_the_tensors_do_not_say_must_be_given(tmp_path: Path) -> None:
    path = write_official(tmp_path / "pose.pth", made())
    with pytest.raises(ValueError, match=r"width of 16 is not known.*num_heads="):
        load_model(path)


@torch.no_grad()
def test_another_size_of_image(tmp_path: Path) -> None:
    path = write_official(tmp_path / "pose.pth", made())
    model = load_model(path, num_heads=2, image_size=(96, 80))
    assert isinstance(model, Sapiens)
    assert model(torch.zeros(1, 3, 96, 80)).shape == (1, 5, 24, 20)


@torch.no_grad()
def test_an_encoder_alone_gives_features(tmp_path: Path) -> None:
    source = made(image_size=(64, 64), class_token=True)
    state = {k.removeprefix("backbone."): v for k, v in official(source).items() if "head" not in k}
    torch.save(state, tmp_path / "clean.pth")
    model = load_model(tmp_path / "clean.pth", num_heads=2)
    assert isinstance(model, Sapiens)
    image = torch.rand(1, 3, 64, 64) * 255
    torch.testing.assert_close(model(image), source.backbone(source.normalize(image)))
    first, last = model.features(image, layers=[0, -1])
    assert first.shape == last.shape == (1, 16, 4, 4)


def multi() -> Sapiens:
    def head(dim: int) -> MultiHead:
        def one(d: int) -> DeconvHead:
            return DeconvHead(d, out_channels=3, deconv_channels=[4], conv_channels=[])

        return MultiHead(dim, heads={"pose": one, "normal": one})

    return Sapiens(ViT((64, 48), embed_dim=16, num_layers=1, num_heads=2), head=head)


def timm() -> Sapiens:
    return Sapiens(
        TimmEncoder("vit_tiny_patch16_224", image_size=(64, 48)),
        head=lambda d: DeconvHead(d, out_channels=3, deconv_channels=[4], conv_channels=[4]),
    )


@pytest.mark.parametrize("make", [made, multi, timm])
@torch.no_grad()
def test_an_export_comes_back_whole(tmp_path: Path, make: Any) -> None:
    source = make().eval()
    folder = save_model(source, tmp_path / "export", task={"name": "pose"}, license="X")
    for place in (folder, folder / "model.safetensors"):
        model = load_model(place)
        expected, found = source(IMAGE), model(IMAGE)
        torch.testing.assert_close(found, expected)
    assert not list(folder.glob(".*"))


def test_two_files_of_different_exports_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def model() -> MaskedAutoencoder:
        backbone = ViT((64, 48), embed_dim=16, num_layers=1, num_heads=2)
        return MaskedAutoencoder(backbone, decoder_dim=8, decoder_layers=1, decoder_heads=2)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    folder = save_model(model(), tmp_path, task={"name": "pretrain"})
    with monkeypatch.context() as patch:
        patch.setattr(atomic, "write_text", killed)  # between the two files
        with pytest.raises(KeyboardInterrupt):
            save_model(model(), folder, task={"name": "pose"})
    with pytest.raises(ValueError, match=r"config\.json were not written together"):
        load_model(folder)
    load_model(save_model(model(), folder, task={"name": "pose"}))


def test_a_flipped_bit_of_an_export_is_refused(tmp_path: Path) -> None:
    folder = save_model(made(), tmp_path, task={"name": "pose"})
    file, config = folder / "model.safetensors", folder / "config.json"
    content = file.read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")
    for place in (header + 1, (header + len(content)) // 2, len(content) - 1):
        damaged = bytearray(content)
        damaged[place] ^= 4
        file.write_bytes(damaged)
        for source in (folder, file):
            with pytest.raises(ValueError, match=r"model\.safetensors is damaged: its checksum"):
                load_model(source)
    values = json.loads(config.read_text())
    config.write_text(json.dumps({**values, "crc32": None}))
    load_model(folder)
    file.write_bytes(content)
    config.write_text(json.dumps(values))
    load_model(folder)


@torch.no_grad()
def test_a_masked_autoencoder_comes_back_whole(tmp_path: Path) -> None:
    backbone = ViT((64, 48), embed_dim=16, num_layers=1, num_heads=2, class_token=True)
    source = MaskedAutoencoder(backbone, decoder_dim=8, decoder_layers=1, decoder_heads=2).eval()
    model = load_model(save_model(source, tmp_path / "export", task={"name": "pretrain"}))
    assert isinstance(model, MaskedAutoencoder)
    mask = source.masking(1, (4, 3), IMAGE.device)
    torch.testing.assert_close(model(IMAGE, mask).patches, source(IMAGE, mask).patches)


@pytest.mark.parametrize("size", [name for name in SIZES if name.startswith("sapiens")])
def test_the_released_sizes_are_read_off_their_shapes(size: Any) -> None:
    with torch.device("meta"):
        model = Sapiens(
            vit(size, image_size=(1024, 768), patch_padding=2),
            head=lambda d: DeconvHead(
                d, out_channels=308, deconv_channels=[768] * 2, conv_channels=[768] * 2
            ),
        )
        file = FAMILY.recognize(to_official(model.state_dict(), pose=True))
        assert file is not None
        spec = file.describe(None, Hints()).model
        again = build(spec)
        assert again.spec() == model.spec()
    assert spec["backbone"]["num_heads"] == SIZES[size].num_heads
    shapes = {k: v.shape for k, v in model.state_dict().items()}
    assert {k: v.shape for k, v in again.state_dict().items()} == shapes


def test_the_command_converts_and_verifies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = made(seed=5, patch_padding=2).eval()
    path = write_official(tmp_path / "pose.pth", source)
    assert status("weights", "convert", str(path), str(tmp_path / "out"), "--num-heads", "2") == 0
    with torch.no_grad():
        image = torch.randn(2, 3, 64, 48)
        output = source.head(source.backbone(image))
    save_file({"image": image, "output": output}, tmp_path / "io.safetensors")
    assert status("weights", "verify", str(tmp_path / "out"), str(tmp_path / "io.safetensors")) == 0
    assert "equal: largest difference" in capsys.readouterr().out
    save_file({"image": image, "output": output + 1e-3}, tmp_path / "io.safetensors")
    assert status("weights", "verify", str(tmp_path / "out"), str(tmp_path / "io.safetensors")) == 1
    assert "DIFFERENT" in capsys.readouterr().out
    assert status("weights", "convert", str(path), str(tmp_path / "out"), "--num-heads", "2") == 1
    assert "already holds a model" in capsys.readouterr().err


def test_a_convert_that_breaks_off_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_official(tmp_path / "pose.pth", made())

    def broken(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sapiens_lab.weights.model.save_file", broken)
    words = ("convert", str(path), str(tmp_path / "out"), "--num-heads", "2")
    assert status("weights", *words) == 130
    assert not (tmp_path / "out").exists()


def test_the_command_lists_and_shows(capsys: pytest.CaptureFixture[str]) -> None:
    assert status("weights", "list") == 0
    assert "sapiens-normal-2b" in capsys.readouterr().out
    assert status("weights", "show", "sapiens-pose-1b") == 0
    assert "https://huggingface.co/facebook/sapiens-pose-1b" in capsys.readouterr().out
    assert status("weights", "download", "sapiens-pose-1") == 1
    assert "sapiens-pose-1b" in capsys.readouterr().err


@torch.no_grad()
def test_one_model_through_four_containers(tmp_path: Path) -> None:
    source = made(seed=7, patch_padding=2).eval().requires_grad_(False)
    write_official(tmp_path / "a.pth", source)

    class Official(torch.nn.Module):
        """Modules under the official names, as the exporter traced them."""

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = source.head(source.backbone(image))
            return out

    wrapper = Official()
    for name, value in official(source).items():
        owner: torch.nn.Module = wrapper
        *path, leaf = name.split(".")
        for part in path:
            if not hasattr(owner, part):
                owner.add_module(part, torch.nn.Module())
            owner = getattr(owner, part)
        owner.register_parameter(leaf, torch.nn.Parameter(value.clone()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(wrapper, torch.zeros(1, 3, 64, 48)).save(str(tmp_path / "b.pt2"))
    save_file(dict(official(source)), tmp_path / "c.safetensors")
    save_model(source, tmp_path / "d", task={"name": "pose"})
    for name in ("a.pth", "b.pt2", "c.safetensors", "d"):
        num_heads = None if name == "d" else 2  # an export says it itself
        assert same(load_model(tmp_path / name, num_heads=num_heads, task="pose"), source), name
    with pytest.raises(ValueError, match="says itself how its model is built; leave out num_heads"):
        load_model(tmp_path / "d", num_heads=2)


def test_the_public_names_are_imported_when_they_are_used() -> None:
    for name in sapiens_lab.__all__:
        assert getattr(sapiens_lab, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = sapiens_lab.nothing


HEADS = {  # sapiens_v1 reference, sections 2.2, 2.3 and 3.2
    "pose": (308, [768] * 2, [768] * 2, 8),
    "segmentation": (28, [768] * 3, [768] * 3, 11),
    "depth": (1, [384] * 4, [384] * 2, 10),
    "normal": (3, [768] * 3, [768] * 3, 11),
}


@pytest.mark.parametrize("task", HEADS)
@pytest.mark.parametrize("size", [name for name in SIZES if name.startswith("sapiens")])
def test_every_released_shape_has_the_official_tensors(size: Any, task: str) -> None:
    outputs, deconvs, convs, count = HEADS[task]
    with torch.device("meta"):
        model = Sapiens(
            vit(size, image_size=(1024, 768)),
            head=lambda d: DeconvHead(
                d, out_channels=outputs, deconv_channels=deconvs, conv_channels=convs
            ),
        )
    pose = task == "pose"
    state = to_official(model.state_dict(), pose=pose)
    shapes = {name: tuple(value.shape) for name, value in state.items()}
    width, layers = SIZES[size].embed_dim, SIZES[size].num_layers
    head, last = ("head", "final_layer") if pose else ("decode_head", "conv_seg")
    assert len(shapes) == 12 * layers + 5 + count
    expected = {
        "backbone.pos_embed": (1, 3072, width),
        "backbone.patch_embed.projection.weight": (width, 3, 16, 16),
        f"backbone.layers.{layers - 1}.attn.qkv.weight": (3 * width, width),
        f"backbone.layers.{layers - 1}.ffn.layers.0.0.weight": (4 * width, width),
        f"backbone.layers.{layers - 1}.ffn.layers.1.bias": (width,),
        "backbone.ln1.weight": (width,),
        f"{head}.deconv_layers.0.weight": (width, deconvs[0], 4, 4),
        f"{head}.deconv_layers.{3 * len(deconvs) - 3}.weight": (deconvs[0], deconvs[0], 4, 4),
        f"{head}.conv_layers.{3 * len(convs) - 3}.weight": (convs[0], convs[0], 1, 1),
        f"{head}.conv_layers.0.bias": (convs[0],),
        f"{head}.{last}.weight": (outputs, convs[0], 1, 1),
        f"{head}.{last}.bias": (outputs,),
    }
    assert {name: shapes.get(name) for name in expected} == expected
    assert f"{head}.deconv_layers.0.bias" not in shapes
