"""Every malformed override is answered in a line with its key, before torch is imported."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from sapiens_lab.commands import composing
from sapiens_lab.commands import train as train_command
from sapiens_lab.commands.overrides.checking import check_config
from sapiens_lab.commands.overrides.monitored import check_monitor
from sapiens_lab.commands.overrides.root import Root
from sapiens_lab.commands.overrides.signatures import signature
from sapiens_lab.commands.resolvers import register_resolvers
from tests.command import Commands, status

TABLE = Path(__file__).with_name("malformed.txt")


def lines(section: str) -> list[str]:
    values, keys = TABLE.read_text().split("\n# keys\n")
    text = (values if section == "values" else keys).splitlines()
    return [line for line in text if line and line[0] != "#"]


@pytest.fixture
def composed(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> list[DictConfig]:
    """The configs that were accepted; they are not run."""
    configs: list[DictConfig] = []
    monkeypatch.setattr(train_command, "fit", configs.append)
    return configs


def test_the_table_is_long_enough() -> None:
    table = lines("values") + lines("keys")
    assert len(set(table)) == len(table) >= 250


@lru_cache
def compose(*choices: str) -> DictConfig:
    """Compose a config as a run would see it, with a folder."""
    config = composing.compose_config(choices, "config", [])
    OmegaConf.set_readonly(config, False)
    OmegaConf.set_readonly(config.hydra.runtime, False)
    config.hydra.runtime.output_dir = "outputs/run"
    return config


@pytest.fixture
def hydra_state() -> Iterator[None]:
    register_resolvers()
    yield
    HydraConfig.instance().cfg = None


@pytest.mark.parametrize("line", lines("values"))
def test_malformed_values_are_answered(hydra_state: None, line: str) -> None:
    typed, _, answer = line.partition(" | ")
    words = typed.split()
    choices = [word for word in words if "." not in word.split("=")[0] and is_choice(word)]
    values = [word for word in words if word not in choices]
    whole = copy.deepcopy(compose(*choices))
    HydraConfig.instance().set_config(whole)
    config = copy.deepcopy(whole)
    OmegaConf.set_struct(config, False)
    config.pop("hydra")
    added = OverridesParser.create().parse_overrides([f"++{word}" for word in values])
    ConfigLoaderImpl._apply_overrides_to_config(added, config)
    with pytest.raises(ValueError, match=r"\S") as raised:
        check_config(config, words, dict(whole.hydra.runtime.choices))
    said = str(raised.value)
    for part in [answer] if answer else [f"{word}: must be " for word in values]:
        assert part in said
    assert values[-1].split("=")[0] in said


def is_choice(word: str) -> bool:
    return (composing.config_folder() / word.split("=")[0]).is_dir()


@pytest.mark.parametrize("line", lines("values")[::20] + lines("keys"))
def test_malformed_command_lines_are_answered(
    composed: list[DictConfig], capsys: pytest.CaptureFixture[str], tmp_path: Path, line: str
) -> None:
    typed, _, answer = line.partition(" | ")
    code = status("train", *typed.split())
    said = capsys.readouterr()
    assert code == 1
    assert composed == []
    assert said.err.startswith("Error: ")
    assert "Traceback" not in said.err + said.out
    assert (answer or typed) in said.err
    assert not list((tmp_path / "outputs").rglob("*_*")), "a refused run leaves no folder"


def test_all_faults_are_listed_a_line_each(
    composed: list[DictConfig], capsys: pytest.CaptureFixture[str]
) -> None:
    assert status("train", "seed=-1", "optimizer.lr=fast", "data.limit=0") == 1
    assert capsys.readouterr().err.splitlines() == [
        "Error: seed=-1: must be a whole number at least 0",
        "data.limit=0: must be a whole number at least 1 or null",
        "optimizer.lr=fast: must be a number above 0",
    ]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["trainer.max_time=00:00:01:00"], {"trainer.max_time": "00:00:01:00"}),
        (["callbacks.best.save_top_k=3"], {"callbacks.best.save_top_k": 3}),
        (["trainer.limit_predict_batches=2"], {"trainer.limit_predict_batches": 2}),
        (["trainer.limit_val_batches=0.5"], {"trainer.limit_val_batches": 0.5}),
        (
            ["optimizer.betas=[0.8,0.9]", "scheduler.final=0.1", "data.on_error=skip"],
            {"optimizer.betas": [0.8, 0.9], "scheduler.final": 0.1, "data.on_error": "skip"},
        ),
        (["trainer.devices=[0,1]"], {"trainer.devices": [0, 1]}),
        (["trainer.devices=-1", "trainer.max_epochs=-1"], {"trainer.devices": -1}),
        (["optimizer.layer_decay=null"], {"optimizer.layer_decay": None}),
        (["optimizer.lr=1"], {"optimizer.lr": 1}),
        (["optimizer.lr=${seed}", "seed=1"], {"optimizer.lr": 1}),
    ],
)
def test_any_argument_of_a_class_can_be_set(
    composed: list[DictConfig], words: list[str], expected: dict[str, Any]
) -> None:
    assert status("train", *words) == 0
    [config] = composed
    for key, value in expected.items():
        assert OmegaConf.select(config, key) == value


@pytest.mark.parametrize(
    ("words", "gone", "kept"),
    [
        (
            ["experiment=pose/synthetic", "data=coco", "data.root=."],
            ["data.train.num_scenes"],
            {"data.batch_size": 16, "data.train.val_fraction": 0.1},
        ),
        (
            [
                "experiment=segmentation/lip20",
                "data.root=.",
                "data.train._target_=sapiens_lab.data.datasets.coco_parts.CocoParts",
            ],
            ["data.train.layout", "data.val.layout", "data.val.label_dir"],
            {"data.train.parts": "lip20"},
        ),
        (
            ["experiment=pose/coco17", "data.root=.", "backbone=timm"],
            ["backbone.patch_padding"],
            {"backbone.pretrained": False},
        ),
        (
            ["data/transforms=dense"],
            ["data.train_transforms.shift_scale_rotate"],
            {"data.train_transforms.flip.p": None},
        ),
    ],
)
def test_what_a_replaced_class_does_not_take_is_left_out(
    composed: list[DictConfig],
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    gone: list[str],
    kept: dict[str, Any],
) -> None:
    assert status("train", *words) == 0
    [config] = composed
    said = capsys.readouterr().out
    for key in gone:
        assert OmegaConf.select(config, key, throw_on_missing=False) is None
        assert f"{key} is left out" in said
    for key, value in kept.items():
        assert OmegaConf.select(config, key) == value


def test_paths_and_deletions_arrive_as_typed(
    composed: list[DictConfig], commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(commands.cwd))
    words = ["experiment=segmentation/lip20", "data.root=My Fish (1)", "output_root=~/runs"]
    target = "sapiens_lab.data.datasets.coco_parts.CocoParts"
    words += [f"data.{split}._target_={target}" for split in ("train", "val")]
    assert status("train", *words, "~data.train.layout", "~data.val.layout") == 0
    [config] = composed
    assert config.data.train.root == "My Fish (1)"
    assert config.output_root == f"{commands.cwd}/runs"
    assert config.data.train._target_ == target


def test_what_the_user_typed_is_never_left_out(
    composed: list[DictConfig], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["data=coco", "data.root=.", "data.train.num_scenes=5"]
    assert status("train", *words) == 1
    assert "CocoPose has no argument `num_scenes`" in capsys.readouterr().err


OWN = """
from typing import Literal

class Fog:
    def __init__(self, *, density: float, kind: Literal["thin", "thick"] = "thin") -> None:
        raise AssertionError("this is not built")
"""


@pytest.mark.parametrize("place", ["current folder", "--config-dir"])
def test_own_modules_are_found_and_checked(
    composed: list[DictConfig],
    commands: Commands,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    place: str,
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    module = f"fog_{place.strip('-')[:3]}"
    folder = commands.cwd if place == "current folder" else commands.cwd / "mine"
    folder.mkdir(exist_ok=True)
    folder.joinpath(f"{module}.py").write_text(OWN)
    options = [] if place == "current folder" else ["--config-dir=mine"]
    word = f"+data.train_transforms.fog={{_target_:{module}.Fog,density:DENSITY}}"
    assert status("train", *options, word.replace("DENSITY", "0.5")) == 0
    assert status("train", *options, word.replace("DENSITY", "dense")) == 1
    assert "data.train_transforms.fog.density=dense: must be a number" in capsys.readouterr().err
    assert module not in sys.modules


def test_the_root_names_the_keys_of_the_config() -> None:
    config = OmegaConf.load(Path(__file__).parents[3] / "configs/config.yaml")
    assert isinstance(config, DictConfig)
    own = {str(key) for key in config if key not in ("defaults", "hydra")}
    root = signature(f"{Root.__module__}.Root")
    assert root is not None
    assert own <= set(root.arguments)


@pytest.mark.parametrize("word", ["optimizer.lr=fast", "trainer.max_tme=1", "skeleton=coco71"])
def test_the_answer_imports_neither_torch_nor_lightning(tmp_path: Path, word: str) -> None:
    code = (
        "import sys, atexit\n"
        "atexit.register(lambda: print(sorted({'torch', 'lightning', 'cv2'} & set(sys.modules))))\n"
        "from sapiens_lab.commands.main import sapiens\n"
        f"sapiens(['train', {word!r}])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 1
    assert result.stdout == "[]\n"
    assert result.stderr.startswith("Error: ")
    assert word.split("=")[0] in result.stderr


@pytest.mark.parametrize(
    ("word", "answer"),
    [
        (
            "monitor=val/AQ",
            "monitor=val/AQ: there is no such metric; did you mean val/AR or val/AP",
        ),
        ("monitor=AP", "monitor=AP: there is no such metric; did you mean val/AP"),
        ("log_metrics=[val/loss,val/mIoU]", "log_metrics=val/mIoU: there is no such metric"),
    ],
)
def test_an_unknown_metric_is_answered_before_the_first_step(
    commands: Commands, capsys: pytest.CaptureFixture[str], word: str, answer: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        commands.train(word)
    said = capsys.readouterr()
    assert stopped.value.code == 1
    assert answer in said.err
    assert "val/PCK@0.1" in said.err
    assert "experiment " not in said.out


def test_metrics_that_are_known_only_later_are_not_refused() -> None:
    check_monitor("val/AQ", None)
    for name in ("val/loss", "val/loss_cosine", "train/loss", "val/probe_mIoU", "val/AP"):
        check_monitor(name, ["AP"])
