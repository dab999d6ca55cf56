"""Loggers that keep the identity of a run when it is continued, and images for all of them."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import lightning as L
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from lightning.pytorch.loggers.mlflow import MLFlowLogger
from lightning.pytorch.utilities import rank_zero_only

from sapiens_lab.atomic import write_text

if TYPE_CHECKING:
    from sapiens_lab.visualize.image import RGBImage


def wandb_logger(
    *,
    folder: str,
    project: str,
    name: str,
    offline: bool = False,
    entity: str | None = None,
    group: str | None = None,
    tags: Sequence[str] | None = None,
    notes: str | None = None,
) -> WandbLogger:
    """Return a logger to Weights & Biases; a continued run goes on under the same id.

    Args:
        folder: of the run; keeps the id in ``wandb_id``.
        project: at W&B.
        name: of the run.
        offline: write files only, which ``wandb sync`` sends later.
        entity: user or team; W&B's default otherwise.
        group: of runs that belong together.
        tags: of the run.
        notes: of the run.

    Raises:
        ValueError: W&B is not installed.
    """
    _need("wandb")
    import wandb

    wandb.finish()  # the run before, in a sweep: it would get this one's metrics
    return WandbLogger(
        project=project,
        name=name,
        save_dir=folder,
        offline=offline,
        id=_kept_id(Path(folder) / "wandb_id"),
        resume="allow",
        entity=entity,
        group=group,
        tags=None if tags is None else list(tags),
        notes=notes,
    )


class MLflowLogger(MLFlowLogger):
    """A logger to MLflow; a continued run goes on under the same id.

    Args:
        folder: of the run; keeps the id in ``mlflow_id``.
        tracking_uri: a server, or a database such as ``sqlite:///FILE``.
        experiment_name: at MLflow.
        run_name: of the run.
        artifact_location: folder of the images, where no server says so.
        tags: of the run.

    Raises:
        ValueError: MLflow is not installed, or cannot be reached at the address.
    """

    def __init__(
        self,
        *,
        folder: str,
        tracking_uri: str,
        experiment_name: str,
        run_name: str,
        artifact_location: str | None = None,
        tags: dict[str, str] | None = None,
    ) -> None:
        _need("mlflow")
        self._id_file = Path(folder) / "mlflow_id"
        known = self._id_file.read_text().strip() if self._id_file.is_file() else None
        from mlflow.exceptions import MlflowException

        logging.getLogger("alembic").setLevel(logging.WARNING)  # it reports each new table
        try:
            super().__init__(
                experiment_name=experiment_name,
                run_name=run_name,
                tracking_uri=tracking_uri,
                artifact_location=artifact_location,
                tags=tags,
                run_id=known,
            )
        except MlflowException as error:
            raise ValueError(f"logger.mlflow.tracking_uri={tracking_uri}: {error}") from error

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:  # type: ignore[override]
        """Log metrics; ``@`` is no character of MLflow's names."""
        plain = {name.replace("@", "_at_"): value for name, value in metrics.items()}
        super().log_metrics(plain, step)
        if not self._id_file.is_file():
            _write_id(self._id_file, str(self.run_id))


def send_image(trainer: L.Trainer, name: str, image: RGBImage) -> None:
    """Show an image in TensorBoard, Weights & Biases and MLflow, where these are on."""
    step = trainer.global_step
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.experiment.add_image(name, image, step, dataformats="HWC")
        elif isinstance(logger, WandbLogger):
            logger.log_image(name, [image], step=step)
        elif isinstance(logger, MLFlowLogger):
            file = f"{name.replace('@', '_at_')}/{step:08d}.png"
            logger.experiment.log_image(logger.run_id, image, file)


def _kept_id(file: Path) -> str:
    """Return the id of the run that is continued, or a new one."""
    if file.is_file():
        return file.read_text().strip()
    new = secrets.token_hex(4)
    _write_id(file, new)
    return new


@rank_zero_only
def _write_id(file: Path, new: str) -> None:
    """Keep an id; only the first process logs."""
    write_text(file, f"{new}\n")


def _need(package: str) -> None:
    if find_spec(package) is None:
        raise ValueError(f'logger={package} needs {package}: pip install "sapiens-lab[{package}]"')
