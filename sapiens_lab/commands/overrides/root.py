"""The keys at the top of ``configs/config.yaml``, as the signature of what uses them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sapiens_lab.ranges import BelowOne, Count, ImageSize, Positive, Whole


class Node:
    """What ``_target_`` of a group builds; the group's own classes say more."""


@dataclass(frozen=True, kw_only=True)
class Root:
    """One field for each key; never built, only read (see ``signatures.py``)."""

    seed: Whole
    image_size: ImageSize
    head_width: Count
    parts: str
    skeleton: str
    flip_test: bool
    compile: bool
    print_config: bool
    weights: str | None
    head_init: Literal["auto", "keep", "drop", "by_name"]
    resume: str | None
    extend: Count | None
    ckpt_path: str | None
    trust_run: bool
    doctor: Literal["off", "quick", "full"]
    limit_scale: Positive | None
    find_lr: bool
    effective_batch: Count | None
    ema: BelowOne | None
    early_stopping: Count | None
    monitor: str
    monitor_mode: Literal["min", "max"]
    overfit_at: float | None
    output_root: str
    experiment_name: str
    run_dir: str
    learner: Node
    model: Node
    task: Node
    backbone: Node
    optimizer: Node
    scheduler: Node | None
    tune: Node
    data: Node
    trainer: Node
    callbacks: Mapping[str, Node | None] | None
    logger: Mapping[str, Node | None] | None
    view: Node | None
    log_metrics: list[str]
    recipe: Any = None
    head: Any = None
    tasks: Any = None
