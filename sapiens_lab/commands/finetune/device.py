"""What a run will compute on."""

from __future__ import annotations

from dataclasses import dataclass

from sapiens_lab.commands.finetune.request import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """The kind of device, how many, and its memory."""

    is_gpu: bool
    free_gib: float = 0.0  # of one GPU
    count: int = 1


def find_device(request: Request) -> Device:
    """Return the device that ``trainer.accelerator`` and ``trainer.devices`` mean here."""
    count = _count(request.value("trainer.devices"))
    if request.value("trainer.accelerator") not in ("auto", "gpu", "cuda"):
        return Device(is_gpu=False, count=count)
    import torch

    if not torch.cuda.is_available():
        return Device(is_gpu=False, count=count)
    free, _ = torch.cuda.mem_get_info()
    return Device(is_gpu=True, free_gib=free / 2**30, count=count)


def _count(devices: object) -> int:
    if isinstance(devices, int) and devices > 0:
        return devices
    return len(devices) if isinstance(devices, list | tuple) and devices else 1
