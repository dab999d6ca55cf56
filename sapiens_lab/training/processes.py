"""What the processes of a run tell each other."""

from __future__ import annotations

from typing import Any, TypeVar

import torch

T = TypeVar("T")


def gather(value: T) -> list[T]:
    """Return the values of all processes."""
    if not torch.distributed.is_initialized():
        return [value]
    values: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(values, value)
    return values
