"""GPUs: whether torch sees them, what they can do, and how much of their memory is free."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from sapiens_lab.atomic import size
from sapiens_lab.commands.doctor.diagnosis import Line

_DRIVER = Path("/proc/driver/nvidia/version")
_BF16 = (8, 0)  # compute capability from which bfloat16 is fast (Ampere)
_BUSY = 0.5  # fraction of a GPU's memory that is free, below which something else uses it


class Gpu(NamedTuple):
    """What torch says of a GPU."""

    name: str
    capability: tuple[int, int]
    total: int  # bytes
    free: int


def examine_accelerators(torch: ModuleType) -> list[Line]:
    """Say which accelerators torch can use."""
    driver = driver_version(_DRIVER)
    built = torch.version.cuda
    fault = ""
    gpus: list[Gpu] = []
    try:
        if torch.cuda.is_available():
            gpus = [_gpu(torch, i) for i in range(torch.cuda.device_count())]
        elif built and driver:
            torch.cuda.init()  # says why
    except Exception as error:  # RuntimeError, AssertionError or one of CUDA's own
        fault = (str(error).splitlines() or [type(error).__name__])[0]
    if gpus:
        known = list(torch.cuda.get_arch_list())
        lines = [
            line for i, gpu in enumerate(gpus) for line in examine_gpu(i, gpu, built, driver, known)
        ]
    elif torch.backends.mps.is_available():
        lines = [Line(status="ok", name="GPU", text="Apple's, through mps")]
    else:
        lines = [examine_absence(built, driver, fault)]
    return lines


def driver_version(path: Path) -> str:
    """Return the version of NVIDIA's driver; empty if there is none."""
    try:
        found = re.search(r"\s(\d+\.\d+(?:\.\d+)?)\s", path.read_text())
    except OSError:
        return ""
    return found[1] if found else "of unknown version"


def examine_gpu(
    index: int, gpu: Gpu, built: str | None, driver: str, architectures: list[str]
) -> Iterator[Line]:
    """Judge one GPU.

    Args:
        index: as in ``cuda:0``.
        gpu: what torch says.
        built: the CUDA version of torch.
        driver: version of the driver.
        architectures: for which torch was compiled, e.g. ``sm_90``.
    """
    name = f"GPU {index}"
    major, minor = gpu.capability
    number = 10 * major + minor
    compiled = [int(m[1]) for a in architectures if (m := re.fullmatch(r"sm_(\d+)[a-z]?", a))]
    newest = [int(m[1]) for a in architectures if (m := re.fullmatch(r"compute_(\d+)[a-z]?", a))]
    fits = any(c // 10 == major and c <= number for c in compiled)
    fits = fits or any(c <= number for c in newest)
    text = f"{gpu.name}, {size(gpu.total)}, CUDA {built}"
    text += f", driver {driver}" if driver else ""
    if compiled and not fits:
        yield Line(
            status="error",
            name=name,
            text=f"{text}: this torch was not compiled for sm_{number}, only for "
            f"{', '.join(architectures)}",
            remedy="install a torch for this GPU's generation, torchvision with it",
        )
        return
    yield Line(status="ok", name=name, text=text)
    if gpu.capability >= _BF16:
        yield Line(status="ok", name=f"{name} bf16", text="supported: trainer.precision=bf16-mixed")
    else:
        yield Line(
            status="note",
            name=f"{name} bf16",
            text=f"not supported in hardware (capability {major}.{minor})",
            remedy="trainer.precision=16-mixed, or stay at 32-true",
        )
    if gpu.free < _BUSY * gpu.total:
        yield Line(
            status="warning",
            name=f"{name} memory",
            text=f"{size(gpu.free)} of {size(gpu.total)} are free: another process uses the rest",
            remedy="end it (`nvidia-smi` lists them), or choose another GPU with "
            "CUDA_VISIBLE_DEVICES",
        )


def examine_absence(built: str | None, driver: str, fault: str) -> Line:
    """Say why there is no GPU, where there should be one."""
    if driver and not built:
        return Line(
            status="warning",
            name="GPU",
            text=f"an NVIDIA driver ({driver}) is here, but this torch is for processors only",
            remedy="install a torch for CUDA, torchvision with it, in one command",
        )
    if driver:
        return Line(
            status="error",
            name="GPU",
            text=f"torch for CUDA {built} cannot use the driver {driver}: {fault or 'no device'}",
            remedy="update the driver, or install a torch for an older CUDA; CUDA_VISIBLE_DEVICES "
            "may hide the GPUs",
        )
    return Line(
        status="note",
        name="GPU",
        text="none: training runs on the processor, which is enough for small models only",
    )


def _gpu(torch: ModuleType, index: int) -> Gpu:
    properties = torch.cuda.get_device_properties(index)
    free, total = torch.cuda.mem_get_info(index)
    return Gpu(properties.name, (properties.major, properties.minor), total, free)
