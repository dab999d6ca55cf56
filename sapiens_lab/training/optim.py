"""The optimizer of Sapiens fine-tuning: AdamW, each layer slower than the one above it.

Layer-wise decay is from BEiT (Bao et al., 2022); the groups follow the official constructor
(sapiens_v1 reference, section 7.2). Schedules are functions of the finished fraction of the run,
so a recipe keeps its shape when the run gets longer or shorter.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence

from torch import nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

_BLOCK = re.compile(r"^backbone\..*?(?:layers|blocks)\.\d+(?=\.)")
_EMBEDDING = re.compile(
    r"^backbone\.(.*\.)?(cls_token|mask_token|pos_embed|reg_token|patch_embed|stem(_\d)?)(\.|$)"
)
_UNDECAYED = re.compile(r"(?:^|\.)(cls_token|mask_token|pos_embed|reg_token)$")
WARMUP_START = 1e-3  # first factor of every official warm-up


def adamw(
    model: nn.Module,
    *,
    lr: float,
    betas: tuple[float, float] = (0.9, 0.999),
    weight_decay: float = 0.1,
    layer_decay: float | None = None,
) -> AdamW:
    """Group a model's trainable parameters by layer and by decay.

    With ``L`` blocks in the backbone, the embeddings are layer 0, block ``i`` is layer ``i + 1``
    and everything else (final norm, head) is layer ``L + 1``; layer ``n`` learns at
    ``lr * layer_decay ** (L + 1 - n)``. Vectors, biases, positional embeddings and tokens are not
    decayed.

    Args:
        model: with its encoder under ``backbone``, or one without an encoder.
        lr: of the last layer.
        betas: of AdamW.
        weight_decay: of matrices and kernels.
        layer_decay: factor from a layer to the one below; ``None`` or 1 treats all alike.

    Returns:
        The optimizer; each group also has ``name``, e.g. ``layer_03_decay``.

    Raises:
        ValueError: nothing is trainable.
    """
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    if not named:
        raise ValueError("no parameter of the model is trainable; unfreeze something with `tune=`")
    blocks = block_names(name for name, _ in model.named_parameters())
    groups: dict[str, dict[str, object]] = {}
    for name, parameter in named:
        layer = layer_of(name, blocks)
        decayed = parameter.ndim > 1 and not name.endswith(".bias") and not _UNDECAYED.search(name)
        key = f"layer_{layer:02d}_{'decay' if decayed else 'no_decay'}"
        scale = (layer_decay or 1.0) ** (len(blocks) + 1 - layer)
        group = groups.setdefault(
            key,
            {
                "name": key,
                "params": [],
                "lr": lr * scale,
                "weight_decay": weight_decay if decayed else 0.0,
            },
        )
        members = group["params"]
        assert isinstance(members, list)
        members.append(parameter)
    return AdamW([groups[key] for key in sorted(groups)], lr=lr, betas=betas)


def block_names(names: Iterable[str]) -> list[str]:
    """Return the prefixes of the backbone's blocks, e.g. ``backbone.layers.0``, in their order."""
    return list(dict.fromkeys(m.group() for name in names if (m := _BLOCK.match(name))))


def layer_of(name: str, blocks: Sequence[str]) -> int:
    """Return the layer of a parameter: 0 embeddings, 1..L blocks, L + 1 everything else."""
    if block := _BLOCK.match(name):
        return blocks.index(block.group()) + 1
    return 0 if _EMBEDDING.match(name) else len(blocks) + 1


def warmup_cosine(
    optimizer: Optimizer, *, num_steps: int, warmup: float = 0.05, final: float = 0.0
) -> LambdaLR:
    """Rise linearly, then fall as a half cosine to ``final`` of the learning rate.

    Args:
        optimizer: its groups keep their ratios.
        num_steps: optimizer steps of the whole run.
        warmup: below 1 a fraction of the run, from 1 on a number of steps.
        final: factor at the end.

    Raises:
        ValueError: the warm-up takes more than half of the run.
    """

    warmup_steps = _warmup_steps(warmup, num_steps)

    def main(step: int) -> float:
        done = (step - warmup_steps) / max(1, num_steps - warmup_steps)
        return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * min(1.0, max(0.0, done))))

    return _with_warmup(optimizer, warmup_steps, main)


def warmup_poly(
    optimizer: Optimizer, *, num_steps: int, warmup: float = 0.05, power: float = 1.0
) -> LambdaLR:
    """Rise linearly while falling as ``(1 - step / num_steps) ** power``, as Sapiens' dense tasks.

    Raises:
        ValueError: the warm-up takes more than half of the run.
    """

    def main(step: int) -> float:
        return float(max(0.0, 1 - step / num_steps) ** power)

    return _with_warmup(optimizer, _warmup_steps(warmup, num_steps), main)


def warmup_multistep(
    optimizer: Optimizer,
    *,
    num_steps: int,
    warmup: float = 0.05,
    milestones: Sequence[float] = (170 / 210, 200 / 210),
    gamma: float = 0.1,
) -> LambdaLR:
    """Rise linearly, then drop by ``gamma`` at each fraction of the run in ``milestones``.

    Raises:
        ValueError: the warm-up takes more than half of the run, or a milestone is no share.
    """
    if any(not 0 < milestone < 1 for milestone in milestones):
        raise ValueError(f"milestones are fractions of the run between 0 and 1, not {milestones}")

    def main(step: int) -> float:
        return float(gamma ** sum(step >= milestone * num_steps for milestone in milestones))

    return _with_warmup(optimizer, _warmup_steps(warmup, num_steps), main)


def _warmup_steps(warmup: float, num_steps: int) -> int:
    steps = round(warmup * num_steps) if warmup < 1 else int(warmup)
    if steps > num_steps / 2:
        raise ValueError(
            f"a warm-up of {steps} steps takes more than half of this run of {num_steps}; "
            "shorten it (scheduler.warmup=0.05 is 5 % of the run) or train longer"
        )
    return steps


def _with_warmup(optimizer: Optimizer, warmup_steps: int, main: Callable[[int], float]) -> LambdaLR:
    """Multiply a schedule by a linear rise, as two chained official schedulers do."""

    def factor(step: int) -> float:
        rise = min(1.0, step / warmup_steps) if warmup_steps else 1.0
        return (WARMUP_START + (1 - WARMUP_START) * rise) * main(step)

    return LambdaLR(optimizer, factor)
