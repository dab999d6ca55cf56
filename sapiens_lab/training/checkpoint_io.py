"""How Lightning reads checkpoints here: through our reader, which runs nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.pytorch.plugins.io import TorchCheckpointIO

from sapiens_lab.weights.reading import read_content, stub_names

_VERSION = "pytorch-lightning_version"


class SafeCheckpointIO(TorchCheckpointIO):
    """Saves as Lightning does; loads tensors and plain containers only.

    A plugin of ``Trainer``, so that ``resume=``, ``ckpt_path=`` and whatever else Lightning loads
    come through here. ``torch.load`` is not used.
    """

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
