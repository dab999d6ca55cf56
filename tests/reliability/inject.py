"""Break runs off in every way that a machine has, and check that nothing was lost.

    python tests/reliability/inject.py --num 20

Kinds: ``kill`` (SIGKILL at a random time), ``saving`` (SIGKILL while a checkpoint is written, with
TMPDIR on another file system), ``stop`` (SIGTERM, SIGHUP or SIGINT at a random time, to the process
or to its group), ``limit`` (files may not grow beyond a random size) and ``disk`` (a file system of
a random size; mounted by root). After each, every file of the run must be whole and no process
left; the run continued with ``resume=auto`` must end with the weights of an undisturbed one.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import importlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import yaml

from sapiens_lab.commands.train import train
from sapiens_lab.data.images import read_image
from sapiens_lab.training.checkpoint_io import SafeCheckpointIO
from sapiens_lab.weights.files import read_weights
from sapiens_lab.weights.reading import read_content

ROOT = Path(__file__).resolve().parents[2]
IMPORTED = (  # for the processes that are forked
    "commands.hydra_app", "training.learner", "training.export", "training.callbacks.report",
    "training.callbacks.images", "training.callbacks.final_validation", "training.optim",
    "training.callbacks.progress", "training.csv_logger", "data.datasets.synthetic_people",
    "data.datamodule", "tasks.pose", "models.sapiens", "visualize.pose",
)  # fmt: skip
IMPORT_S = 6.0  # about how long Python takes to import everything
KINDS = ("kill", "saving", "stop", "limit", "disk")
STATUS = {signal.SIGTERM: 143, signal.SIGHUP: 129, signal.SIGINT: 130}
OVERRIDES = [
    "trainer=cpu", "trainer.max_epochs=3", "trainer.check_val_every_n_epoch=1",
    "trainer.log_every_n_steps=1", "image_size=[64,48]", "head_width=16", "data.batch_size=4",
    "data.train.num_scenes=12", "data.val.num_scenes=5", "data.num_workers=1",
    "backbone.drop_path=0.2",
]  # fmt: skip
Weights = dict[str, torch.Tensor]


@dataclass
class Run:
    """A run in a folder of its own."""

    folder: Path
    tmpdir: Path | None = None
    largest_file: int | None = None  # [bytes]
    pid: int = 0
    status: int | None = None

    def start(self, *overrides: str, is_fresh: bool = False) -> None:
        """Start ``sapiens train`` in a session of its own, without waiting for it.

        Args:
            overrides: beside ``OVERRIDES``.
            is_fresh: start Python too. Otherwise this process is forked, which has imported
                everything.
        """
        self.status = None
        self.pid = os.fork()
        if self.pid:
            return
        try:
            self._become(is_fresh, [*OVERRIDES, *overrides])
        except SystemExit as ended:
            sys.stdout.flush()
            os._exit(int(ended.code or 0))
        except BaseException:
            traceback.print_exc()
        os._exit(99)

    def _become(self, is_fresh: bool, overrides: list[str]) -> None:
        os.setsid()
        os.chdir(self.folder)
        log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.environ["PYTHONPATH"] = str(ROOT)
        os.environ["OMP_NUM_THREADS"] = "1"  # as here: other sums have other last digits
        os.environ["SAPIENS_LAB_CACHE"] = str(self.folder.parent / "cache")
        if self.tmpdir is not None:
            os.environ["TMPDIR"] = tempfile.tempdir = str(self.tmpdir)
        if self.largest_file is not None:
            largest = (self.largest_file, resource.RLIM_INFINITY)
            resource.setrlimit(resource.RLIMIT_FSIZE, largest)
        if is_fresh:
            os.execv(sys.executable, [sys.executable, str(ROOT / "train.py"), *overrides])
        sys.argv[0] = str(ROOT / "train.py")
        train(overrides, prog_name="train.py")

    def poll(self) -> int | None:
        """Return the exit status of a run that has ended; minus the signal's number, if by one."""
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.status = os.waitstatus_to_exitcode(status) if pid else None
        return self.status

    def wait(self, patience_s: float = 300) -> int:
        """Return the exit status."""
        deadline = time.monotonic() + patience_s
        while (status := self.poll()) is None:
            if time.monotonic() > deadline:
                os.killpg(self.pid, signal.SIGKILL)
                raise LostError(f"the run hangs\n{self.output[-3000:]}")
            time.sleep(0.005)
        return status

    def kill(self, number: int, *, to_group: bool = False) -> None:
        """Send a signal to a run, unless it has ended."""
        if self.poll() is None:
            (os.killpg if to_group else os.kill)(self.pid, number)

    def finish(self) -> None:
        """Continue the run, without limits, to its end."""
        self.tmpdir = self.largest_file = None
        self.start("resume=auto")
        check(self.wait() == 0, f"resume=auto ended with {self.status}", self.output)

    @property
    def log(self) -> Path:
        """What the run prints."""
        return self.folder.with_suffix(".log")

    @property
    def output(self) -> str:
        """What the run has printed."""
        return self.log.read_text(errors="replace")

    @property
    def outputs(self) -> list[Path]:
        """Folders of runs; more than one where the first had no checkpoint yet."""
        return sorted((self.folder / "outputs").glob("*/*/*"))

    @property
    def last(self) -> Path:
        """The newest ``last.ckpt``."""
        found = [folder / "checkpoints/last.ckpt" for folder in self.outputs]
        return max((path for path in found if path.is_file()), key=lambda p: p.stat().st_mtime)

    def weights(self) -> Weights:
        """Return the weights of ``last.ckpt``."""
        state: Weights = read_content(self.last)["state_dict"]
        return state


class LostError(AssertionError):
    """Something was lost."""


def check(holds: bool, message: str, output: str = "") -> None:
    """Raise where something does not hold."""
    if not holds:
        raise LostError(f"{message}\n{output[-3000:]}")


# ---- what must hold afterwards -------------------------------------------------------------------


def check_files(folder: Path) -> int:
    """Check that every file of a run is whole; return how many there are."""
    count = 0
    for path in folder.rglob("*"):
        if path.is_dir() or path.suffix == ".part" or "tensorboard" in path.parts:
            continue
        count += 1
        try:
            _read(path)
        except Exception as error:
            raise LostError(f"{path} is not whole: {error}") from error
    exports = [path.parent for path in folder.rglob("export/config.json")]
    for export in exports:
        read_weights(export)
    return count


def _read(path: Path) -> None:
    match path.suffix:
        case ".ckpt" if path.name == "last.ckpt":
            SafeCheckpointIO().load_checkpoint(path)
        case ".ckpt" | ".safetensors":
            read_content(path)
        case ".json":
            json.loads(path.read_text())
        case ".yaml":
            assert yaml.safe_load(path.read_text()) is not None
        case ".png":
            read_image(path)
        case ".csv":
            rows = list(csv.reader(path.read_text().splitlines()))
            assert path.read_text().endswith("\n")
            assert len({len(row) for row in rows}) == 1


def check_no_process(run: Run, patience_s: float) -> None:
    """Check that no process of a run is left after a while."""
    deadline = time.monotonic() + patience_s
    while left := list(_processes(run.pid)):
        check(time.monotonic() < deadline, f"processes are left: {left}")
        time.sleep(0.05)


def _processes(session: int) -> Iterator[str]:
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state, _, _, its_session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
            if state != "Z" and int(its_session) == session:
                yield f"{entry.name} {(entry / 'cmdline').read_bytes()[:200]!r}"


def check_same(run: Run, expected: Weights) -> None:
    """Check that a run has ended with the weights of an undisturbed one."""
    found = run.weights()
    differ = [name for name, value in expected.items() if not torch.equal(found[name], value)]
    check(not differ, f"{len(differ)} of {len(expected)} tensors differ, e.g. {differ[:3]}")
    for folder in run.outputs:
        if (folder / "checkpoints/last.ckpt") == run.last:
            check(not list(folder.rglob(".*.part")), f"a half-written file is left in {folder}")
            check((folder / "export/model.safetensors").is_file(), "there is no export")


# ---- the faults ----------------------------------------------------------------------------------


def kill(run: Run, rng: random.Random, duration_s: float) -> str:
    """SIGKILL at a random time."""
    run.start()
    after = rng.uniform(0.1, 1.0) * duration_s
    time.sleep(after)
    run.kill(signal.SIGKILL)
    run.wait()
    check_no_process(run, 2)
    return f"after {after:.1f} s"


def saving(run: Run, rng: random.Random, duration_s: float) -> str:
    """SIGKILL while ``last.ckpt`` is written."""
    run.tmpdir = other_file_system(run.folder)
    run.start()
    nth, seen = rng.randrange(1, 4), set[str]()
    while run.poll() is None and len(seen) < nth:
        for path in run.folder.glob("outputs/*/*/*/checkpoints/.last.ckpt.*"):
            seen.add(path.name)
        time.sleep(0.0005)
    time.sleep(rng.uniform(0, 0.01))
    run.kill(signal.SIGKILL)
    run.wait()
    part = list(run.folder.glob("outputs/*/*/*/checkpoints/.*.part"))
    return f"in save {nth}" + (", half-written" if part else "")


def stop(run: Run, rng: random.Random, duration_s: float) -> str:
    """SIGTERM, SIGHUP or SIGINT at a random time."""
    number = rng.choice(list(STATUS))
    is_fresh, to_group = rng.random() < 0.3, rng.random() < 0.5
    run.start(is_fresh=is_fresh)
    after = rng.uniform(0.05, 1.0) * (duration_s + (IMPORT_S if is_fresh else 0))
    time.sleep(after)
    run.kill(number, to_group=to_group)
    began = time.monotonic()
    status = run.wait()
    took = time.monotonic() - began
    name = signal.Signals(number).name
    said = f"{name} to the {'group' if to_group else 'process'} after {after:.1f} s: {status}"
    # Before our code runs, Python and the system answer; after the last line there is no run.
    check(status in (STATUS[number], -number, 0), said, run.output)
    check_no_process(run, 0.5)
    exported = list(run.folder.rglob("export/config.json"))
    check(bool(exported) == (status == 0) or took > 30, f"{said}, export: {exported}", run.output)
    check("Traceback" not in run.output or status == -number, f"{said}: a trace", run.output)
    return f"{said}, {took:.1f} s"


def limit(run: Run, rng: random.Random, duration_s: float) -> str:
    """Files may not grow beyond a random size."""
    run.largest_file = int(10 ** rng.uniform(5, 7.5))
    # Without workers: their shared memory consists of files as well, for torch.
    run.start("data.num_workers=0", *_unchecked(rng))
    status = run.wait()
    said = f"{run.largest_file} bytes: {status}"
    check_failure(run, status, said)
    return said


def disk(run: Run, rng: random.Random, duration_s: float) -> str:
    """A file system of a random size."""
    outputs = run.folder / "outputs"
    outputs.mkdir()
    size = int(10 ** rng.uniform(4.5, 7.9))
    _mount(outputs, size)
    run.start(*_unchecked(rng))
    status = run.wait()
    said = f"{size} bytes: {status}"
    check_failure(run, status, said)
    subprocess.run(["mount", "-o", "remount,size=1g", str(outputs)], check=True)
    return said


def _unchecked(rng: random.Random) -> list[str]:
    """Let the disk fill during the run, mostly, where it would be refused."""
    return ["callbacks.check_room=null"] if rng.random() < 0.7 else []


def check_failure(run: Run, status: int, said: str) -> None:
    """Check that a full disk ends a run with one message and a status."""
    if status == 0:
        return
    check(status == 1, said, run.output)
    check("Traceback" not in run.output, f"{said}: a trace", run.output)
    check(" missing" in run.output, f"{said}: nothing says how much is missing", run.output)
    check_no_process(run, 0.5)


def _mount(folder: Path, size: int) -> None:
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    subprocess.run(command, check=True, capture_output=True)


def other_file_system(folder: Path) -> Path | None:
    """Return a folder that lies on another file system than this one, if there is one."""
    places = (Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"))
    device = folder.stat().st_dev
    return next((p for p in places if p.is_dir() and p.stat().st_dev != device), None)


def can_mount() -> bool:
    """Return whether a file system can be mounted here."""
    if shutil.which("mount") is None or os.geteuid() != 0:
        return False
    with tempfile.TemporaryDirectory() as folder:
        try:
            _mount(Path(folder), 1 << 20)
        except (subprocess.CalledProcessError, OSError):
            return False
        subprocess.run(["umount", folder], check=True)
    return True


FAULTS: dict[str, Callable[[Run, random.Random, float], str]] = {
    "kill": kill, "saving": saving, "stop": stop, "limit": limit, "disk": disk
}  # fmt: skip


# ---- all of it -----------------------------------------------------------------------------------


def trial(kind: str, place: Path, seed: int, expected: Weights, duration_s: float) -> str:
    """Inject one fault and check everything; return what was done."""
    place.mkdir()
    run = Run(place)
    try:
        said = FAULTS[kind](run, random.Random(seed), duration_s)
        count = check_files(place)
        run.finish()
        check_same(run, expected)
        return f"{said}; {count} files whole"
    finally:
        if (place / "outputs").is_mount():
            subprocess.run(["umount", "--lazy", str(place / "outputs")], check=True)


def undisturbed(place: Path) -> tuple[Weights, float]:
    """Return the weights that all runs must end with, and how long one takes."""
    place.mkdir()
    run = Run(place)
    run.start()  # renders the people
    check(run.wait() == 0, "the undisturbed run failed", run.output)
    began = time.monotonic()
    run.start()
    check(run.wait() == 0, "the undisturbed run failed", run.output)
    return run.weights(), time.monotonic() - began


def main() -> None:
    """Run the trials and print a line for each."""
    for name in IMPORTED:
        importlib.import_module(f"sapiens_lab.{name}")
    torch.set_num_threads(1)  # a pool of threads does not survive the forks
    cv2.setNumThreads(1)
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--num", type=int, default=20, help="trials of each kind")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--place", help="parent of the folder to work in; /dev/shm is quickest")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    failed: dict[str, int] = {}
    with tempfile.TemporaryDirectory(prefix="inject", dir=arguments.place) as name:
        place = Path(name)
        expected, duration_s = undisturbed(place / "undisturbed")
        print(f"an undisturbed run takes {duration_s:.1f} s", flush=True)
        for kind in arguments.kinds:
            if kind == "disk" and not can_mount():
                print("disk: skipped, only root can mount a file system")
                continue
            failed[kind] = 0
            for number in range(arguments.num):
                folder = place / f"{kind}{number}"
                seed = int(np.random.SeedSequence([arguments.seed, number]).generate_state(1)[0])
                try:
                    said = trial(kind, folder, seed, expected, duration_s)
                    print(f"{kind} {number}: {said}", flush=True)
                    shutil.rmtree(folder)
                except LostError as fault:
                    failed[kind] += 1
                    print(f"{kind} {number}: FAILED: {fault}", flush=True)
    for kind, count in failed.items():
        print(f"{kind}: {arguments.num - count} of {arguments.num} lost nothing")
    sys.exit(any(failed.values()))


if __name__ == "__main__":
    main()
