"""The section "config": everything that it names is built, and a batch of nothing goes through."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from sapiens_lab.commands.doctor.composing import build, build_shell, messages
from sapiens_lab.commands.doctor.diagnosis import Line, Section
from sapiens_lab.commands.errors import explain
from sapiens_lab.commands.overrides.monitored import check_logged, check_monitor

_ATTEMPTS = (Exception,)  # classes of the user's own may raise anything


@dataclass(slots=True, kw_only=True)
class Built:
    """What could be built; parameters are on the meta device."""

    learner: Any = None
    view: Any = None


def fault_line(name: str, error: BaseException) -> Line:
    """Return a line that says what went wrong, as a command would."""
    text = explain(error) or f"{type(error).__name__}: {error}"
    return Line(status="error", name=name, text=text)


def examine_config(config: DictConfig) -> tuple[Section, Built]:
    """Build model, task, optimizer, callbacks, loggers and trainer."""
    built, lines = Built(), []
    with messages() as heard:
        lines += list(_attempt("values", lambda: _resolve(config)))
        lines += list(_attempt("model and task", lambda: _build_learner(config, built)))
        if built.learner is not None:
            lines += list(_attempt("metrics", lambda: _check_metrics(config, built)))
            lines += list(_attempt("tune", lambda: _tune(config, built)))
            lines += list(_attempt("optimizer", lambda: _build_optimizer(config, built)))
            lines += list(_attempt("forward pass", lambda: _run(config, built)))
        lines += list(_attempt("callbacks", lambda: _build_all(config, "callbacks")))
        lines += list(_attempt("logger", lambda: _build_all(config, "logger")))
        lines += list(_attempt("trainer", lambda: _build_trainer(config)))
        lines += list(_attempt("view", lambda: _build_view(config, built)))
    lines += [
        Line(status="warning", name="said", text=text)
        for level, text in heard.said
        if level >= logging.WARNING
    ]
    return Section.of("config", lines), built


def _attempt(name: str, step: Callable[[], str]) -> Iterator[Line]:
    """Do a step; yield what it says, or what went wrong."""
    try:
        yield Line(status="ok", name=name, text=step())
    except _ATTEMPTS as error:
        yield fault_line(name, error)


def _resolve(config: DictConfig) -> str:
    OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    return "all are there, and every reference leads to one"


def _build_learner(config: DictConfig, built: Built) -> str:
    built.learner = build_shell(config, "learner")
    model, task = built.learner.model, built.learner.task
    count = sum(p.numel() for p in model.parameters())
    return f"{type(model).__name__} of {count / 1e6:.1f} M parameters, {type(task).__name__}"


def _check_metrics(config: DictConfig, built: Built) -> str:
    names = built.learner.task.metric_names()
    check_monitor(config.monitor, names)
    check_logged(config.log_metrics, names)
    return f"{config.monitor} chooses the best checkpoint; all logged ones exist"


def _tune(config: DictConfig, built: Built) -> str:
    tune = build(config, "tune")
    with torch.device("meta"):
        tune(built.learner.model)
    parameters = list(built.learner.model.parameters())
    trained = sum(p.numel() for p in parameters if p.requires_grad)
    return f"{trained / sum(p.numel() for p in parameters):.0%} of the parameters are trained"


def _build_optimizer(config: DictConfig, built: Built) -> str:
    optimizer = build(config, "optimizer")(built.learner.model)
    text = f"{type(optimizer).__name__} with {len(optimizer.param_groups)} groups"
    if config.scheduler is None:
        return text
    scheduler = build(config, "scheduler")(optimizer, num_steps=1000)
    return f"{text}, {type(scheduler).__name__}"


def _run(config: DictConfig, built: Built) -> str:
    height, width = config.image_size
    image = torch.empty(2, 3, height, width, dtype=torch.uint8, device="meta")
    with torch.no_grad():
        output = built.learner.model.eval()(image)
    built.learner.model.train()
    shapes = output.items() if isinstance(output, dict) else [("output", output)]
    told = ", ".join(f"{k} {tuple(v.shape)}" for k, v in shapes if isinstance(v, torch.Tensor))
    return f"images (2, 3, {height}, {width}) become {told or type(output).__name__}"


def _build_all(config: DictConfig, key: str) -> str:
    objects = build(config, key) if config[key] else {}
    names = [name for name, built in objects.items() if built is not None]
    return ", ".join(names) or "none"


def _build_trainer(config: DictConfig) -> str:
    trainer = build(config, "trainer", logger=False, callbacks=[])
    device = trainer.strategy.root_device
    return f"{trainer.num_devices} x {device.type}, precision {trainer.precision}"


def _build_view(config: DictConfig, built: Built) -> str:
    built.view = build(config, "view") if config.view is not None else None
    return type(built.view).__name__
