"""The hub of weights: whether it answers, and the variables that decide how it is asked."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator

from sapiens_lab.commands.doctor.diagnosis import Line

_SECONDS = 3.0  # to wait for an answer; looking up a name may take 20 without a network
_OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
_TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
_SHOWN = ("HF_HOME", "HF_HUB_CACHE", "HF_ENDPOINT", "HTTPS_PROXY", "https_proxy")
_TRUE = ("1", "true", "yes", "on")


def examine_hub() -> Iterator[Line]:
    """Ask the hub for an answer, but not for long."""
    offline = [name for name in _OFFLINE if os.environ.get(name, "").lower() in _TRUE]
    if offline:
        yield Line(
            status="note",
            name="hub",
            text=f"not asked: {' and '.join(offline)} is set; weights come from the cache alone",
        )
    else:
        yield _ask()
    # A token is a secret: whether there is one is all that is said.
    named = [name for name in _TOKENS if os.environ.get(name)]
    settings = [f"{name}={_without_password(os.environ[name])}" for name in _SHOWN
                if os.environ.get(name)]  # fmt: skip
    told = [*(f"{name} is set" for name in named), *settings]
    if told:
        yield Line(status="ok", name="hub settings", text=", ".join(told))


def _ask() -> Line:
    try:
        from sapiens_lab.weights.hub import is_reachable
    except ImportError:
        return Line(status="note", name="hub", text="not asked: huggingface_hub is missing")
    answer = within(_SECONDS, is_reachable)
    if answer:
        return Line(status="ok", name="hub", text="answers")
    return Line(
        status="warning",
        name="hub",
        text=f"does not answer within {_SECONDS:g} s: weights are not found by name",
        remedy="download them elsewhere and give weights=PATH; HF_HUB_OFFLINE=1 says that it is "
        "meant so",
    )


def within(seconds: float, ask: Callable[[], bool]) -> bool:
    """Return the answer of a function, ``False`` if it takes longer than ``seconds``."""
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(ask()), daemon=True)
    thread.start()
    thread.join(seconds)
    return bool(answers and answers[0])


def _without_password(value: str) -> str:
    """Return the address of a proxy without its user and password."""
    scheme, found, rest = value.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}" if found else value.rpartition("@")[2]
