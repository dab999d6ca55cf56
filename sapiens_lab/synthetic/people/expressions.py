"""Draw what a face does, as strengths of facial actions."""

from __future__ import annotations

from sapiens_lab.synthetic.rendering.arrays import Rng

_FLIPPED = ("mouthSmile", "eyeBlink", "browDown", "mouthFrown", "noseSneer", "eyeSquint",
             "browOuterUp", "cheekSquint")  # fmt: skip
_SINGLE = ("browInnerUp", "mouthPucker", "mouthFunnel", "mouthLeft", "mouthRight", "cheekPuff")


def sample_expression(rng: Rng, *, close_up: bool) -> dict[str, float]:
    """Return strengths by action; mouths are open more often where teeth can be seen."""
    actions: dict[str, float] = {}
    if rng.random() < 0.5:
        for name in rng.choice(_FLIPPED, 2, replace=False):
            strength, uneven = rng.uniform(0, 0.9), rng.uniform(0.7, 1)
            actions[f"{name}Left"], actions[f"{name}Right"] = strength, strength * uneven
        actions[str(rng.choice(_SINGLE))] = rng.uniform(0, 0.6)
    opening, width, tongue = rng.uniform(0.15, 0.75), rng.uniform(0, 0.9), rng.random()
    if rng.random() < (0.5 if close_up else 0.2):
        actions["jawOpen"] = opening
        for side in ("Left", "Right"):
            actions[f"mouthUpperUp{side}"] = actions[f"mouthLowerDown{side}"] = width
        if tongue < 0.2:
            actions["tongueOut"] = rng.uniform(0.3, 1)
    return actions
