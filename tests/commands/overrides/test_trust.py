"""A run of another person is data: what its overrides may say, and what needs to be allowed."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from sapiens_lab.commands.overrides import trust
from sapiens_lab.commands.overrides.trust import recorded_words, sign_run
from tests.command import Commands, Run

CONFIGS = [Path(__file__).parents[3] / "configs"]


@pytest.fixture(autouse=True)
def another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAPIENS_LAB_CACHE", str(tmp_path / "cache"))


def recorded(folder: Path, *words: object) -> Path:
    path = folder / "run" / "overrides.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(list(words)))
    return path


@pytest.mark.parametrize(
    "word",
    [
        "experiment=pose/coco17",
        "optimizer.lr=1e-4",
        "data.root=/data/coco",
        "data.root=../coco",
        "data.train.annotation_file=../a.json",
        "weights=hf://owner/repo",
        "weights=/models/a.safetensors",
        "skeleton=../mine.yaml",
        "~callbacks.images",
        "image_size=[64,48]",
        "model.head={_target_:sapiens_lab.models.heads.DeconvHead,out_channels:3}",
        "task.loss._target_=sapiens_lab.losses.pose.HeatmapOHKMLoss",
        "+trainer.max_time=00:01:00:00",
        "task.weight=${optimizer.lr}",
        "experiment_name=mine",
        "data.train.num_scenes=64",
    ],
)
def test_values_and_known_classes_are_applied(tmp_path: Path, word: str) -> None:
    assert recorded_words(recorded(tmp_path, word), CONFIGS, is_trusted=False) == [word]


HOSTILE = [
    "+callbacks.x._target_=os.system",
    "+callbacks.x._target_=sapiens_lab.atomic.write_bytes",
    "+callbacks.x={_target_:pathlib.Path.touch,_args_:[/tmp/x]}",
    "+callbacks.x={a:[{b:{_target_:builtins.eval}}]}",
    "optimizer._target_=${output_root}",
    "+callbacks.x='${oc.create:\"{_target_: os.system}\"}'",
    "+callbacks.x=${oc.decode:${output_root}}",
    "experiment_name=${oc.env:HOME}",
    "hydra.run.dir=/tmp/x",
    "hydra.searchpath=[file:///tmp/evil]",
    "+hydra.callbacks.x._target_=os.system",
    "hydra/launcher=evil",
    "callbacks=../../../../tmp/evil",
    "+callbacks@trainer.plugins=/tmp/evil",
    "data=/tmp/evil",
    "data@hydra.run=x",
    "output_root=/etc",
    "output_root=~/x",
    "experiment_name=../../x",
    "logger.csv.path=/home/x/.bashrc",
    "callbacks.best.dirpath=/tmp",
    "+data.train.cache_dir=/etc",
    "trainer.default_root_dir=/etc",
    "trainer.plugins=null",
    "trust_run=true",
    "limit_scale=1000",
    "backbone.name=hf_hub:evil/model",
    "optimizer.lr=choice(1,2)",
    "optimizer.lr=1,2",
    "a b c",
    "x={" * 2000,
]


@pytest.mark.parametrize("word", HOSTILE)
def test_what_chooses_calls_or_places_is_listed(tmp_path: Path, word: str) -> None:
    path = recorded(tmp_path, "optimizer.lr=1e-4", word)
    with pytest.raises(
        ValueError, match=r"(?s)overrides\.yaml was not written by this user.*trust_run=true"
    ) as caught:
        recorded_words(path, CONFIGS, is_trusted=False)
    assert word[:200] in str(caught.value)
    assert "optimizer.lr=1e-4" not in str(caught.value)
    assert recorded_words(path, CONFIGS, is_trusted=True)[1] == word


def test_classes_of_ones_own_configs_are_known(tmp_path: Path) -> None:
    (tmp_path / "mine/callbacks").mkdir(parents=True)
    (tmp_path / "mine/callbacks/own.yaml").write_text("own:\n  _target_: own.Callback  # mine\n")
    path = recorded(tmp_path, "+callbacks.own._target_=own.Callback")
    assert recorded_words(path, [*CONFIGS, tmp_path / "mine"], is_trusted=False)


def test_ones_own_run_is_applied_as_it_is_until_it_is_changed(tmp_path: Path) -> None:
    words = ["+callbacks.x._target_=own.Callback", "output_root=/scratch"]
    path = recorded(tmp_path, *words)
    sign_run(path)
    assert recorded_words(path, CONFIGS, is_trusted=False) == words
    moved = tmp_path / "moved"
    path.parent.rename(moved)
    assert recorded_words(moved / path.name, CONFIGS, is_trusted=False) == words
    (moved / path.name).write_text(yaml.safe_dump([*words, "+callbacks.y._target_=os.system"]))
    with pytest.raises(ValueError, match="not written by this user"):
        recorded_words(moved / path.name, CONFIGS, is_trusted=False)


def test_another_users_signature_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = recorded(tmp_path, "+callbacks.x._target_=own.Callback")
    sign_run(path)
    monkeypatch.setenv("SAPIENS_LAB_CACHE", str(tmp_path / "other"))
    with pytest.raises(ValueError, match="not written by this user"):
        recorded_words(path, CONFIGS, is_trusted=False)
    sign_run(recorded(tmp_path, "a=1"))
    key = tmp_path / "other" / "run_key"
    assert key.stat().st_mode & 0o777 == 0o600


def test_without_a_cache_a_run_stays_unsigned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SAPIENS_LAB_CACHE", str(tmp_path / "file" / "x"))
    path = recorded(tmp_path, "a=1")
    sign_run(path)
    assert not path.with_name(trust.SIGNATURE_FILE).exists()


@pytest.mark.parametrize("text", ["{a: 1}", "[1, 2]", "[[a]]", "x", "!!python/name:os.system", "["])
def test_what_is_no_list_of_words_is_named(tmp_path: Path, text: str) -> None:
    path = recorded(tmp_path)
    path.write_text(text)
    with pytest.raises(ValueError, match=r"overrides\.yaml is n"):
        recorded_words(path, CONFIGS, is_trusted=True)


def test_a_run_without_a_record_has_no_words(tmp_path: Path) -> None:
    assert recorded_words(tmp_path / "overrides.yaml", CONFIGS, is_trusted=False) == []


def foreign(trained: Run, folder: Path, *words: str) -> Path:
    """Return the best checkpoint of a copy of a run, as another user would have left it."""
    shutil.copytree(trained.folder, folder)
    path = folder / "overrides.yaml"
    path.write_text(yaml.safe_dump([*yaml.safe_load(path.read_text()), *words]))
    return folder / "checkpoints" / "best.ckpt"


TOUCH = (
    "+callbacks.x={_target_:pathlib.Path.touch,_args_:[{_target_:pathlib.Path,_args_:[MARKER]}]}"
)


def test_a_foreign_run_is_evaluated_unless_it_chooses_what_is_called(
    commands: Commands, trained: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commands.evaluate(f"ckpt_path={foreign(trained, tmp_path / 'good')}")
    marker = tmp_path / "marker"
    word = TOUCH.replace("MARKER", str(marker))
    evil = foreign(trained, tmp_path / "evil", word)
    for run, key in ((commands.evaluate, "ckpt_path"), (commands.train, "resume")):
        with pytest.raises(SystemExit):
            run(f"{key}={evil}")
        said = capsys.readouterr().err.replace("\n", "")
        assert "trust_run=true" in said
        assert word in said
        assert not marker.exists()
    commands.evaluate(f"ckpt_path={evil}", "trust_run=true")
    assert marker.exists()


def test_a_run_is_signed_once_and_trust_is_not_recorded(
    commands: Commands, trained: Run, tmp_path: Path
) -> None:
    assert (trained.folder / trust.SIGNATURE_FILE).is_file()
    assert "trust_run" not in (trained.folder / "overrides.yaml").read_text()


def test_one_key_raises_the_limits(
    commands: Commands, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SAPIENS_LIMIT_SCALE", "1")  # is put back at the end
    with pytest.raises(SystemExit):
        commands.train("limit_scale=-1")
    assert "limit_scale=-1: must be a number above 0" in capsys.readouterr().err


def test_what_is_no_checkpoint_of_a_run_is_answered_in_a_line(
    commands: Commands, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights, bare = tmp_path / "mine.pth", tmp_path / "bare.ckpt"
    torch.save({"state_dict": {"a": torch.ones(2)}}, weights)
    bare.write_bytes(pickle.dumps({"pytorch-lightning_version": "2.6.0"}))
    for path, answer in (
        (weights, "mine.pth holds weights and no state of a run"),
        (bare, "bare.ckpt is not read: it is a pickle that torch.save did not write"),
    ):
        with pytest.raises(SystemExit):
            commands.train(f"resume={path}")
        said = capsys.readouterr().err
        assert answer in said.replace("\n", "")
        assert "Traceback" not in said
        assert "weights_only" not in said
