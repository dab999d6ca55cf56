"""How a run trains: the recipe for its number of samples, batches, epochs and learning rate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sapiens_lab.commands.finetune.device import Device, find_device
from sapiens_lab.commands.finetune.request import AUTO, Decision, Request, format_number, word
from sapiens_lab.commands.finetune.samples import Samples

if TYPE_CHECKING:
    from sapiens_lab.training.memory import StepMemory

_TINY, _LARGE = 200, 20_000  # training samples below and from which the recipe is another
_NUM_VALIDATIONS = 8  # of a run
_BASE_BATCH = 16  # that recipe.lr is for
_CPU_BATCH = {"tiny": 16, "light": 16, "small": 8}  # samples at once; 2 of larger encoders
_GIB = 2**30
_MARGIN = 0.7  # of the free memory that the estimate may fill


def choose_recipe(request: Request, samples: Samples) -> list[Decision]:
    """Choose the recipe by the number of samples, and what of the encoder trains."""
    num, option = samples.num_train, request.choices["recipe"]
    why = "as you say"
    if option == AUTO:
        option = "tiny" if num < _TINY else "large" if num >= _LARGE else "small"
        why = f"{num} training samples (tiny below {_TINY}, large from {_LARGE})"
    tune, reason = _tune(request, str(option))
    words = (f"recipe={option}", *((f"tune={tune}",) if tune else ()))
    text = f"{option}: {why}; {reason}"
    return [Decision(title="recipe", text=text, words=words)]


def _tune(request: Request, recipe: str) -> tuple[str, str]:
    """Return the option of ``tune=`` to take, if any, and the reason."""
    if not request.is_free("tune", "full") or request.is_overfit:
        return "", f"tune={request.choices['tune']}"
    large = str(request.choices["backbone"]).startswith("sapiens_")
    if request.value("weights") is None or not large:
        return "", "everything trains (tune=full)"
    if recipe == "tiny":
        return "lora", "tune=lora, as few samples would spoil a large encoder"
    return "", "everything trains (tune=full; tune=lora takes a fraction of the memory)"


def plan(request: Request, samples: Samples) -> list[Decision]:
    """Decide batch, epochs, validation interval and learning rate by the recipe's numbers.

    Raises:
        ValueError: a number of the recipe is none, or too small.
    """
    device = find_device(request)
    batch = _batches(request, samples, device)
    epochs, interval = _epochs(request, samples, batch)
    steps = batch.steps_per_epoch * epochs
    how = f" ({batch.size} x {batch.accumulate} accumulated)" if batch.accumulate > 1 else ""
    text = (
        f"{epochs} epochs of {batch.steps_per_epoch} steps of {batch.effective} samples{how}: "
        f"{steps} steps; validated every {interval} epochs; warm-up {_warmup(request)}"
    )
    words = [
        word(key, value)
        for key, value in (
            ("data.batch_size", batch.size),
            (
                "trainer.accumulate_grad_batches",
                1 if request.value("effective_batch") else batch.accumulate,  # that sets it
            ),
            ("trainer.max_epochs", epochs),
            ("trainer.check_val_every_n_epoch", interval),
        )
        if request.is_open(key)
    ]
    if not device.is_gpu and request.value("data.num_workers") is None:
        words.append("data.num_workers=1")  # the network needs the cores
    length = Decision(title="length", text=text, words=tuple(words))
    return [length, _rates(request, batch)]


# ---- batches and epochs --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batches:
    size: int  # of one device
    accumulate: int
    effective: int  # samples of a step
    steps_per_epoch: int


def _batches(request: Request, samples: Samples, device: Device) -> _Batches:
    num = max(1, samples.num_train // device.count)
    total = request.value("effective_batch") or _number(request, "batch_size")
    wanted = max(1, min(math.ceil(total / device.count), num))
    if request.is_open("data.batch_size") or request.value("data.batch_size") == "auto":
        most = _that_fits(request, device)
        size = max(n for n in range(1, wanted + 1) if wanted % n == 0 and n <= most)
    else:
        size = _at_least_one(request, "data.batch_size")
    if request.is_open("trainer.accumulate_grad_batches"):
        accumulate = max(1, round(wanted / size))
    else:
        accumulate = _at_least_one(request, "trainer.accumulate_grad_batches")
    batches = max(1, num // size)  # the last batch of an epoch is dropped
    return _Batches(
        size=size,
        accumulate=accumulate,
        effective=size * accumulate * device.count,
        steps_per_epoch=math.ceil(batches / accumulate),
    )


def _that_fits(request: Request, device: Device) -> int:
    """Return about how many samples a device holds at once."""
    if not device.is_gpu:
        return _CPU_BATCH.get(str(request.choices["backbone"]), 2)
    step = _memory(request)
    room = _MARGIN * device.free_gib * _GIB - step.states
    return max(1, int(room // max(step.per_sample, 1)))


def _memory(request: Request) -> StepMemory:
    """Estimate the memory of a step, without taking any."""
    import torch
    from hydra.utils import instantiate

    from sapiens_lab.training.memory import estimate_step

    config = request.config
    with torch.device("meta"):
        model = instantiate(config.model, _convert_="all")
    instantiate(config.tune)(model)
    return estimate_step(model, (int(config.image_size[0]), int(config.image_size[1])))


def _epochs(request: Request, samples: Samples, batch: _Batches) -> tuple[int, int]:
    if request.is_open("trainer.max_epochs"):
        least = int(_number(request, "min_epochs"))
        epochs = max(least, math.ceil(_number(request, "steps") / batch.steps_per_epoch))
    else:
        epochs = _at_least_one(request, "trainer.max_epochs")
    if request.is_open("trainer.check_val_every_n_epoch"):
        return epochs, max(1, epochs // _NUM_VALIDATIONS)
    return epochs, _at_least_one(request, "trainer.check_val_every_n_epoch")


# ---- rates ---------------------------------------------------------------------------------------


def _rates(request: Request, batch: _Batches) -> Decision:
    """Decide the learning rate, and how much slower the encoder learns."""
    is_random = request.value("weights") is None
    words, texts = [], []
    if request.is_open("optimizer.lr"):
        base = _number(request, "random_lr" if is_random else "lr")
        scale = math.sqrt(batch.effective / _BASE_BATCH)
        lr = float(f"{base * scale:.3g}")
        words.append(word("optimizer.lr", lr))
        how = f"the recipe's {format_number(base)} x root({batch.effective} / {_BASE_BATCH})"
        texts.append(f"{format_number(lr)}, {how} for the effective batch")
    else:
        texts.append(f"{request.value('optimizer.lr')}, as you say")
    if request.is_open("optimizer.layer_decay"):
        decay = None if is_random else _number(request, "layer_decay")
        words.append(word("optimizer.layer_decay", decay))
        texts.append(
            "no layer decay, as the weights are random" if decay is None else
            f"for the head; each layer of the encoder x {format_number(decay)} of the one above it"
        )  # fmt: skip
    return Decision(title="rate", text="; ".join(texts), words=tuple(words))


def _warmup(request: Request) -> str:
    warmup = request.value("scheduler.warmup") or 0
    return f"{warmup:.0%} of them" if warmup < 1 else f"{warmup} steps"


def _at_least_one(request: Request, key: str) -> int:
    """Return a number that the user gave; 1 where it is null or means "without end"."""
    value = request.value(key)
    return value if isinstance(value, int) and value > 0 else 1


def _number(request: Request, name: str) -> float:
    """Return a number of the recipe.

    Raises:
        ValueError: it is none, or not above zero.
    """
    value: Any = request.value(f"recipe.{name}")
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ValueError(f"recipe.{name}={value}: must be a number above zero")
    return value
