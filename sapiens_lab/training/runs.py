"""Runs on disk: what one writes about itself, and how a later command finds it again.

A run is a folder ``outputs/<experiment>/<time>``. ``overrides.yaml`` in it repeats the words of
its command line, so that ``resume=auto`` and ``ckpt_path=...`` rebuild the same objects without
the user typing them again; what the user does type wins.
"""

from __future__ import annotations

import difflib
import enum
import platform
import subprocess
import sys
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

OVERRIDES_FILE = "overrides.yaml"
_PACKAGES = ("sapiens-lab", "torch", "torchvision", "lightning", "timm", "hydra-core", "numpy",
             "opencv-python", "torchmetrics", "faster-coco-eval")  # fmt: skip


class Command(enum.Enum):
    """The two verbs; a value names the key that points at an earlier run."""

    TRAIN = "resume"
    EVALUATE = "ckpt_path"


def prepare_command(command: Command, argv: Sequence[str], configs: Path) -> list[str]:
    """Complete a command line before Hydra reads it.

    Args:
        command: the verb.
        argv: the words after the program's name.
        configs: the shipped config folder.

    Returns:
        Words for Hydra: its flags first, then the overrides, an earlier run's before the user's.

    Raises:
        ValueError: an override names no key or option; the message lists the nearest.
        FileNotFoundError: ``ckpt_path`` or ``resume`` names a file that does not exist.
    """
    arguments = get_args_parser().parse_intermixed_args(list(argv))
    typed: list[str] = arguments.overrides
    flags = [word for word in argv if word not in typed]
    if {"-h", "--help", "--hydra-help", "--version", "--info"} & set(flags):
        return [*flags, *typed]
    searched = [Path(arguments.config_dir)] if arguments.config_dir else []
    # A file that is named brings its run's words along; for `auto` the config says where to look.
    named = next((word.split("=", 1)[1] for word in typed if _key(word) == command.value), "")
    words = _merge(_recorded(Path(named.strip("'\"")).parent.parent), typed)
    config = _compose(_single(words), configs, searched)
    value = config[command.value]
    extra: list[str] = []
    if command is Command.EVALUATE:
        value = value or (None if config.weights else "auto")
        extra = [
            "hydra.run.dir=${output_root}/${experiment_name}/${now:%Y-%m-%d_%H-%M-%S}_evaluate"
        ]
    checkpoint = None if value is None else _find_checkpoint(command, value, config)
    if checkpoint is None:
        return [*flags, *(word for word in typed if value is None or _key(word) != command.value)]
    run = checkpoint.parent.parent
    words = _merge(_recorded(run), [word for word in typed if _key(word) != command.value])
    _compose(_single(words), configs, searched)
    if command is Command.TRAIN and (run / OVERRIDES_FILE).is_file():
        extra = [f"hydra.run.dir='{run}'"]
    return [*flags, *words, f"{command.value}='{checkpoint}'", *extra]


def record_run(config: DictConfig, folder: Path, overrides: Iterable[str]) -> None:
    """Write config, overrides and environment into a new run's folder.

    Raises:
        FileExistsError: the folder holds another run, which would be mixed with this one.
    """
    resuming = config.get("resume") is not None
    if (folder / OVERRIDES_FILE).exists():
        if resuming:
            return
        raise FileExistsError(
            f"{folder} already holds a run. Continue it with `resume=auto`, or give this one "
            "another folder with `hydra.run.dir=PATH`"
        )
    folder.mkdir(parents=True, exist_ok=True)
    own = {command.value for command in Command}
    words = [word for word in overrides if _key(word) not in own]
    OmegaConf.save(config, folder / "config.yaml", resolve=True)
    OmegaConf.save(OmegaConf.create(words), folder / OVERRIDES_FILE)
    (folder / "environment.txt").write_text(environment())


def environment() -> str:
    """Return versions, machine and source revision, a line each."""
    import torch

    lines = [f"command: {' '.join(sys.argv)}", f"python: {platform.python_version()}"]
    installed = {d.name.lower(): d.version for d in metadata.distributions()}
    lines += [f"{name}: {installed.get(name, 'not installed as a package')}" for name in _PACKAGES]
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    lines += [f"platform: {platform.platform()}", f"gpu: {device}", f"git: {_revision()}"]
    return "\n".join(lines) + "\n"


def _revision() -> str:
    """Return the checkout's commit, marked where files differ from it."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        result = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return result.stdout.strip() or "not a checkout"


def _find_checkpoint(command: Command, value: str, config: DictConfig) -> Path | None:
    if value != "auto":
        path = Path(value)
        if not path.is_file():
            raise FileNotFoundError(
                f"{command.value}={value}: there is no such file. Checkpoints of a run are "
                "<run>/checkpoints/best.ckpt and last.ckpt; `auto` takes the latest run's"
            )
        return path.resolve()
    name = "last.ckpt" if command is Command.TRAIN else "best.ckpt"
    chosen = config.hydra.runtime.choices.experiment
    experiment = Path(config.output_root, chosen)
    found = sorted(experiment.glob(f"*/checkpoints/{name}"), key=lambda path: path.stat().st_mtime)
    if found:
        return found[-1].resolve()
    if command is Command.TRAIN:
        return None  # nothing to continue: a pre-empted job's first start says resume=auto too
    raise FileNotFoundError(
        f"no run of {chosen!r} with a best checkpoint below {experiment}. Train "
        f"one first (`python train.py experiment={chosen}`), or name a file with "
        "`ckpt_path=PATH` or `weights=PATH`"
    )


def _recorded(run: Path) -> list[str]:
    path = run / OVERRIDES_FILE
    if not path.is_file():
        return []
    words = OmegaConf.to_container(OmegaConf.load(path))
    assert isinstance(words, list)
    return [str(word) for word in words]


def _merge(old: Iterable[str], new: Iterable[str]) -> list[str]:
    """Let the newer of two overrides of one key stand."""
    new = list(new)
    replaced = {_key(word) for word in new}
    return [word for word in old if _key(word) not in replaced] + new


def _key(word: str) -> str:
    return word.split("=", 1)[0].lstrip("+~").split("@")[0]


def _single(words: Iterable[str]) -> list[str]:
    """Reduce sweeps such as ``lr=1,2`` to their first choice, to check the keys of all jobs."""
    singles = []
    for override in OverridesParser.create().parse_overrides(list(words)):
        line = override.input_line
        assert line is not None
        if override.is_hydra_override():
            continue
        if override.is_sweep_override():
            line = f"{line.split('=', 1)[0]}={next(iter(override.sweep_string_iterator()))}"
        singles.append(line)
    return singles


def _compose(words: Sequence[str], configs: Path, searched: Iterable[Path]) -> DictConfig:
    """Compose as Hydra will; explain what it cannot."""
    path = [f"file://{folder.resolve()}" for folder in searched]
    add = [f"hydra.searchpath=[{','.join(path)}]"] if path else []
    with initialize_config_dir(str(configs), version_base="1.3"):
        try:
            config: DictConfig = compose(
                "config", overrides=[*words, *add], return_hydra_config=True
            )
            return config
        except HydraException as error:
            known = _known_words(configs, path)
            raise ValueError(_explain(words, str(error), known)) from error
        finally:
            GlobalHydra.instance().clear()


def _known_words(configs: Path, searchpath: Sequence[str]) -> set[str]:
    """Return every dotted key of the default config and every ``group=option`` on disk."""
    words = set(_leaves(compose("config"), ""))
    folders = [configs, *(Path(url.removeprefix("file://")) for url in searchpath)]
    for folder in folders:
        for file in folder.rglob("*.yaml"):
            relative = file.relative_to(folder).with_suffix("")
            for parent in list(relative.parents)[:-1]:
                words.add(f"{parent.as_posix()}={relative.relative_to(parent).as_posix()}")
    return words


def _leaves(node: Any, prefix: str) -> list[str]:
    if not isinstance(node, DictConfig) or node._is_interpolation() or node._is_none():
        return [prefix]
    children = [_leaves(node._get_node(key), f"{prefix}{key!s}.") for key in node]
    return [prefix.rstrip(".")] * bool(prefix) + [k.rstrip(".") for c in children for k in c]


def _explain(words: Sequence[str], message: str, known: set[str]) -> str:
    """Name the override that failed and its nearest neighbors."""
    keys = {word.split("=", 1)[0] for word in known}
    lines = [message.splitlines()[0]]
    # Hydra quotes the key that it could not set; other words may be right for this experiment.
    quoted = [word for word in words if f"'{_key(word)}'" in lines[0]]
    for word in quoted or words:
        key = word.split("=", 1)[0].lstrip("+~")
        candidates = {w for w in known if w.startswith(f"{key}=")} if key in keys else keys
        wanted = word.lstrip("+~") if key in keys else key
        if wanted in candidates or (key in keys and not candidates):
            continue
        near = difflib.get_close_matches(wanted, sorted(candidates), n=3, cutoff=0.5)
        near = near or sorted(k for k in candidates if k.endswith(f".{key.split('.')[-1]}"))[:3]
        if near:
            lines.append(f"`{word}`: did you mean {' or '.join(f'`{n}`' for n in near)}?")
    lines.append("`+key=value` adds an argument that the config does not name.")
    return "\n".join(lines)
