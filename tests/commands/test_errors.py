"""How commands end when something is wrong."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from sapiens_lab.commands.errors import reported
from tests.command import Commands, status


@pytest.mark.parametrize(
    ("overrides", "answer"),
    [
        (["optimzer.lr=1e-3"], "did you mean `optimizer.lr`"),
        (["data.batchsize=3"], "did you mean `batch_size`"),
        (["experiment=pose/sintetic"], "`experiment=pose/synthetic`"),
        (["backbone=sapiens_3b"], "`backbone=sapiens_2b`"),
        (["resume=nowhere.ckpt"], "resume=nowhere.ckpt: there is no such file"),
        (["weights=nowhere.pth"], "weights=nowhere.pth: there is no such file"),
        (["skeleton=coco71"], "did you mean coco17"),
        (["data.batch_size=0"], "data.batch_size=0: must be a whole number at least 1"),
        (["data.limit=0"], "data.limit=0: must be a whole number at least 1 or null"),
        (["trainer.max_epochs=0"], "trainer.max_epochs=0: must be a whole number at least 1"),
        (["scheduler.warmup=-1"], "scheduler.warmup=-1: must be a number at least 0"),
        (["image_size=[100,48]"], "does not divide into patches"),
        (["experiment=pose/coco17"], "data.root has no value: add `data.root=...`"),
        (["experiment=pose/coco17", "data.root=nowhere"], "data.root=nowhere is not a folder"),
        (["optimizer.lr=["], "`optimizer.lr=[` is not Hydra's grammar of KEY=VALUE"),
    ],
)
def test_mistakes_are_answered_before_the_first_step(
    commands: Commands, capsys: pytest.CaptureFixture[str], overrides: list[str], answer: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        commands.train(*overrides, tiny="experiment=pose/coco17" not in overrides)
    assert stopped.value.code == 1
    said = capsys.readouterr()
    assert answer in said.err
    assert "Traceback" not in said.err
    assert "experiment " not in said.out  # the error comes first, alone


def test_an_error_within_an_interpolation_is_the_users_cause_alone(
    commands: Commands, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        commands.train("skeleton=missing.yaml")
    said = capsys.readouterr().err
    assert said.startswith(
        "Error: skeleton 'missing.yaml' is neither a file nor one of aic14, coco17"
    )
    assert "interpolation" not in said
    assert "full_key" not in said
    assert commands.runs() == []


def test_only_the_wrong_override_is_corrected(
    commands: Commands, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        commands.train(
            "experiment=pretrain/synthetic", "model.decoder_dim=24", "model.decoder_din=3"
        )
    said = capsys.readouterr().err
    assert "model.decoder_din=3: MaskedAutoencoder has no argument" in said
    assert "model.decoder_dim=24" not in said


def test_a_full_disk_is_said_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped, reported():
        raise OSError(errno.ENOSPC, "No space left on device", "out/a.png")
    assert stopped.value.code == 1
    assert capsys.readouterr().err == "Error: No space left on device: out/a.png\n"


def test_a_fault_of_the_program_keeps_its_trace(tmp_path: Path) -> None:
    with pytest.raises(KeyError), reported(run_folder=lambda: tmp_path):
        raise KeyError("ours")
    assert "KeyError: 'ours'" in (tmp_path / "error.txt").read_text()


@pytest.mark.parametrize("variable", ["SAPIENS_TRACE", "HYDRA_FULL_ERROR"])
def test_traces_on_request(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "1")
    with pytest.raises(ValueError, match="yours"), reported():
        raise ValueError("yours")


def test_ctrl_c_ends_with_status_130_and_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped, reported(interrupted="all is whole"):
        raise KeyboardInterrupt
    assert stopped.value.code == 130
    assert capsys.readouterr().out == "all is whole\n"


def test_unknown_subcommands_and_options_are_usage_errors(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert status("trian") == 2
    assert "No such command 'trian'" in capsys.readouterr().err
    assert status("weights", "show") == 2
    assert "MODEL" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "is_pointed_out"),
    [
        (RuntimeError("operator torchvision::nms does not exist"), True),
        (ImportError("libGL.so.1: cannot open shared object file"), True),
        (ImportError('ultralytics is missing: pip install "sapiens-lab[detect]"'), False),
        (ValueError("lr=-1: must be positive"), False),
    ],
)
def test_a_broken_installation_is_for_the_doctor(
    error: Exception, is_pointed_out: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit), reported():
        raise error
    said = capsys.readouterr().err
    assert str(error) in said
    assert ("sapiens doctor" in said) == is_pointed_out
    assert "Traceback" not in said
