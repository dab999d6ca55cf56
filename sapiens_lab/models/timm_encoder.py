"""Any encoder of timm in place of ours, for comparisons against other pretraining."""

from __future__ import annotations

import re

import timm
from torch import Tensor

from sapiens_lab.models.backbone import Backbone
from sapiens_lab.ranges import BelowOne, ImageSize

# How timm's families name the modules that repeat: blocks.3, layers_0.blocks.1, layer2.0, ...
_BLOCK = re.compile(r"(?:^|[._])(?:blocks|layers|stages|layer\d+)[._]\d+$")


class TimmEncoder(Backbone):
    """The last feature map of a timm model.

    Args:
        name: as timm knows it, e.g. ``vit_small_patch16_224`` or ``convnext_tiny``.
        image_size: (height, width) of the input; transformers resize their positional embedding
            to it.
        pretrained: load timm's weights (from the hub).
        drop_path: stochastic depth, where the model has it.

    Raises:
        ValueError: timm does not know the name or cannot give feature maps.
    """

    training_only = frozenset({"pretrained", "drop_path"})

    def __init__(
        self,
        name: str,
        *,
        image_size: ImageSize,
        pretrained: bool = False,
        drop_path: BelowOne = 0.0,
    ) -> None:
        super().__init__()
        if not timm.is_model(name):
            near = timm.list_models(f"*{name.split('_')[0]}*")[:5]
            raise ValueError(f"timm has no model {name!r}; near are {', '.join(near) or 'none'}")
        self.image_size = (image_size[0], image_size[1])
        options = {"pretrained": pretrained, "drop_path_rate": drop_path}
        features = {"features_only": True, "out_indices": (-1,)}
        try:
            self.model = timm.create_model(name, img_size=tuple(image_size), **features, **options)
        except TypeError:  # convolutional networks have no fixed image size
            self.model = timm.create_model(name, **features, **options)
        self.embed_dim = int(self.model.feature_info.channels()[-1])
        self.stride = int(self.model.feature_info.reduction()[-1])
        self.block_names = self._innermost_blocks()

    def forward(self, image: Tensor) -> Tensor:
        """Return the feature map ``(B, D, H/stride, W/stride)`` of a normalized image."""
        out: Tensor = self.model(image)[-1]
        channels_last = out.shape[-1] == self.embed_dim != out.shape[1]  # e.g. Swin
        return out.permute(0, 3, 1, 2) if channels_last else out

    def _innermost_blocks(self) -> list[str]:
        """Return the repeated modules that hold no repeated modules themselves."""
        names = [name for name, _ in self.named_modules() if _BLOCK.search(name)]
        return [n for n in names if not any(other.startswith(f"{n}.") for other in names)]
