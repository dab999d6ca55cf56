"""What trains in each mode, what keeps a graph, and that adapters fold away."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from sapiens_lab.models.heads import FeatureHead
from sapiens_lab.models.lora import lora_scale, merge_lora
from sapiens_lab.models.sapiens import Sapiens
from sapiens_lab.models.timm_encoder import TimmEncoder
from sapiens_lab.training.freeze import tune_head, tune_last
from sapiens_lab.training.lora import tune_lora
from sapiens_lab.training.memory import activations
from sapiens_lab.training.optim import adamw
from tests.command import Commands, metrics
from tests.weights.test_load import made, same

IMAGE = torch.randint(0, 255, (2, 3, 64, 48), dtype=torch.uint8)


def saved_values(model: nn.Module) -> int:
    """Return how many numbers a forward pass keeps for the backward pass."""
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    sizes: dict[int, float] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            sizes[storage.data_ptr()] = storage.nbytes() / tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        model(IMAGE)
    return int(sum(sizes.values()))


@pytest.mark.parametrize(
    ("apply", "trained"),
    [
        (tune_head, {"head"}),
        (partial(tune_last, num_layers=1), {"head", "backbone.layers.1", "backbone.norm"}),
        (tune_lora, {"head", "backbone.layers.0", "backbone.layers.1"}),
    ],
)
def test_only_what_should_train_changes(
    apply: Callable[[nn.Module], None], trained: set[str]
) -> None:
    model = made(drop_path=0.5)
    apply(model)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = adamw(model, lr=1e-2, layer_decay=0.5)
    for _ in range(2):  # the first step of an adapter moves B alone
        model.train()(IMAGE).square().mean().backward()
        optimizer.step()
    changed = {n for n, v in model.state_dict().items() if not torch.equal(v, before[n])}
    places = {".".join(n.split(".")[: 3 if "layers" in n else 2]) for n in changed}
    assert {p if p.startswith("backbone") else "head" for p in places} == trained
    if apply is tune_lora:
        assert all("lora_" in name for name in changed if name.startswith("backbone"))


def test_frozen_layers_keep_nothing_for_a_backward_pass() -> None:
    full, last, head = (saved_values(m.train()) for m in _three())
    assert head < last < full
    alone = made()
    tune_head(alone)
    features = alone.backbone(alone.normalize(IMAGE))
    assert not features.requires_grad


def _three() -> list[Any]:
    models = [made() for _ in range(3)]
    tune_last(models[1], num_layers=1)
    tune_head(models[2])
    return models


@torch.no_grad()
def test_adapters_change_nothing_at_first_and_fold_away() -> None:
    plain, adapted = made(seed=1), made(seed=1)
    tune_lora(adapted, rank=3, alpha=6.0, targets=("qkv", "fc2"))
    assert same(plain, adapted)
    for name, parameter in adapted.named_parameters():
        if "lora_b" in name:
            parameter.normal_()
    assert not same(plain, adapted)
    merged = merge_lora(adapted.state_dict(), scale=lora_scale(adapted) or 0)
    assert set(merged) == set(plain.state_dict())
    plain.load_state_dict(merged)
    expected, found = adapted.eval()(IMAGE), plain.eval()(IMAGE)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("apply", "message"),
    [
        (partial(tune_last, num_layers=3), "has 2 blocks"),
        (partial(tune_lora, rank=0), "rank=0"),
        (partial(tune_lora, targets=("query",)), r"\['query'\]: a block has"),
    ],
)
def test_impossible_choices_are_named(apply: Callable[[nn.Module], None], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        apply(made())


@pytest.mark.parametrize("checkpointed", [False, True])
def test_the_estimate_of_activations_is_near(checkpointed: bool) -> None:
    model = made(width=64, activation_checkpointing=checkpointed).train()
    estimate = len(IMAGE) * activations(model, (64, 48))
    assert estimate == pytest.approx(saved_values(model), rel=0.35)


@pytest.mark.parametrize("mode", ["head", "last_n tune.num_layers=1", "lora"])
def test_the_command_tunes_evaluates_and_exports(
    commands: Commands, mode: str, capsys: pytest.CaptureFixture[str]
) -> None:
    commands.train(*f"tune={mode}".split(), "trainer.max_epochs=1", "monitor=val/PCK@0.1")
    run = commands.runs()[0]
    assert "M parameters" in capsys.readouterr().out
    commands.evaluate()
    best = metrics(run)["best"]["val/loss"]
    assert metrics(commands.runs()[-1])["test"]["test/loss"] == pytest.approx(best, rel=1e-5)
    commands.train("debug=fast", f"weights={run}/export", "head_init=keep")


def test_frozen_blocks_drop_nothing_while_the_others_train() -> None:
    model = made(drop_path=0.9)
    tune_last(model, num_layers=1)
    assert [block.training for block in model.backbone.blocks] == [False, True]
    model.eval()
    assert not any(block.training for block in model.backbone.blocks)


@pytest.mark.parametrize("apply", [partial(tune_last, num_layers=2), tune_lora])
def test_timm_encoders_train_in_part(apply: Callable[[nn.Module], None]) -> None:
    encoder = TimmEncoder("vit_tiny_patch16_224", image_size=(64, 48))
    model = Sapiens(encoder, head=FeatureHead)
    apply(model)
    trained = {n for n, p in model.named_parameters() if p.requires_grad}
    if apply is tune_lora:
        assert trained == {n for n, _ in model.named_parameters() if "lora_" in n}
        assert len(trained) == 12 * 2 * 2  # A and B of qkv and proj in twelve blocks
    else:
        blocks = {n.split("blocks.")[1].split(".")[0] for n in trained if "blocks." in n}
        assert blocks == {"10", "11"}


def test_adapters_that_an_encoder_bypasses_are_refused() -> None:
    encoder = TimmEncoder("eva02_tiny_patch14_224", image_size=(56, 56))
    with pytest.raises(ValueError, match="its adapter has no effect"):
        tune_lora(Sapiens(encoder, head=FeatureHead), targets=("qkv",))
