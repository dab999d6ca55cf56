"""How Lightning reads and writes checkpoints here: by a reader that runs nothing, and whole."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from sapiens_lab import atomic
from sapiens_lab.weights.reading import read_content, stub_names

_VERSION = "pytorch-lightning_version"


class SafeCheckpointIO(TorchCheckpointIO):
    """Saves whole files, or leaves the earlier ones; loads tensors and plain containers only.

    A plugin of ``Trainer``, so that ``resume=``, ``ckpt_path=`` and whatever else Lightning loads
    come through here. ``torch.load`` is not used.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Write a checkpoint beside its target, and let it take the target's place.

        Args:
            checkpoint: tensors and plain containers.
            path: of the file; an earlier one stays until the new one is whole and on the disk.
            storage_options: not used.

        Raises:
            WriteError: there is no room or no permission; says how much room is missing.
        """
        path = Path(path)
        atomic.remove_leftovers(path.parent)
        with atomic.replacing(path, expected_bytes=num_bytes(checkpoint)) as file:
            torch.save(checkpoint, file)

    def load_checkpoint(
        self,
        path: str | Path,
        map_location: Any = None,
        weights_only: bool | None = None,
    ) -> dict[str, Any]:
        """Return a checkpoint, its tensors copied to the processor's memory.

        Args:
            path: of a checkpoint of a run.
            map_location: not used; Lightning moves the tensors to the model's device.
            weights_only: not used; code is never run.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is damaged, no checkpoint of a run, or holds other objects than tensors
                and plain containers; names them.
        """
        # Copies: a run overwrites the file that it was continued from.
        content = read_content(Path(path), is_mapped=False)
        if not isinstance(content, dict) or _VERSION not in content:
            raise ValueError(
                f"{path} holds weights and no state of a run: start from it or measure it with "
                f"weights={path}"
            )
        if strange := stub_names(content):
            raise ValueError(
                f"{path} is not continued: besides tensors and plain containers it holds "
                f"{', '.join(strange[:5])}, which could run code when they are made. Its weights "
                f"alone can be used with weights={path}"
            )
        return content


def num_bytes(content: Any) -> int:
    """Return how many bytes the tensors of nested containers take, each storage once."""
    storages: dict[int, int] = {}
    rest = [content]
    while rest:
        item = rest.pop()
        if isinstance(item, torch.Tensor):
            storage = item.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
        elif isinstance(item, Mapping):
            rest += item.values()
        elif isinstance(item, list | tuple):
            rest += item
    return sum(storages.values())
