"""What classes of other packages allow beyond what their annotations say."""

from __future__ import annotations

from collections.abc import Mapping

from sapiens_lab.commands.overrides.expected import (
    NULL,
    Choice,
    Expected,
    Many,
    Number,
    Text,
    either,
)
from sapiens_lab.ranges import Range

_COUNT = Number(True, Range(low=1))
_WHOLE = Number(True, Range(low=0))
_NON_NEGATIVE = Number(False, Range(low=0))
_ENDLESS = Choice((-1,))
_BATCHES = either(_WHOLE, Number(False, Range(low=0, high=1)), NULL)
_SOME_BATCHES = either(_COUNT, Number(False, Range(above=0, high=1)), NULL)
_MODE = Choice(("min", "max"))
_DURATION = r"\d+:\d\d:\d\d:\d\d"

EXPECTED: Mapping[str, Mapping[str, Expected]] = {
    "lightning.Trainer": {
        "accelerator": Choice(("auto", "cpu", "gpu", "cuda", "mps", "tpu")),
        "devices": either(_COUNT, _ENDLESS, Text("auto", r"auto|-1|\d+(,\d+)*"), Many(_WHOLE)),
        "num_nodes": _COUNT,
        # Weights of 16 or 64 bits would need batches of the same; mixed precision is as fast.
        "precision": Choice(
            ("32-true", "bf16-mixed", "16-mixed", "32", "bf16", "16", 32, 16, None)
        ),
        "max_epochs": either(_COUNT, _ENDLESS, NULL),
        "min_epochs": either(_WHOLE, NULL),
        "max_steps": either(_COUNT, _ENDLESS),
        "min_steps": either(_WHOLE, NULL),
        "max_time": either(Text("a time such as 00:12:00:00 (days:hours:...)", _DURATION), NULL),
        "limit_train_batches": _SOME_BATCHES,
        "limit_val_batches": _BATCHES,
        "limit_test_batches": _BATCHES,
        "limit_predict_batches": _BATCHES,
        "overfit_batches": either(_WHOLE, Number(False, Range(low=0, high=1))),
        "val_check_interval": _SOME_BATCHES,
        "check_val_every_n_epoch": either(_COUNT, NULL),
        "num_sanity_val_steps": either(_WHOLE, _ENDLESS, NULL),
        "log_every_n_steps": either(_WHOLE, NULL),
        "accumulate_grad_batches": _COUNT,
        "gradient_clip_val": either(_NON_NEGATIVE, NULL),
        "gradient_clip_algorithm": Choice(("norm", "value", None)),
        "profiler": either(Choice(("simple", "advanced", "pytorch")), NULL),
        "reload_dataloaders_every_n_epochs": _WHOLE,
    },
    "lightning.pytorch.callbacks.ModelCheckpoint": {
        "save_top_k": either(_WHOLE, _ENDLESS),
        "mode": _MODE,
        "every_n_train_steps": either(_WHOLE, NULL),
        "every_n_epochs": either(_WHOLE, NULL),
    },
    "lightning.pytorch.callbacks.EarlyStopping": {"mode": _MODE, "patience": _WHOLE},
}
