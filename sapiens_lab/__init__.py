"""Pretrain, fine-tune and evaluate human-vision foundation models.

Public names are imported when they are first used, so ``import sapiens_lab`` costs nothing:
``Predictor``, ``load_model``, ``save_model``, ``list_models``, ``Sapiens``,
``MaskedAutoencoder`` here, and what each package defines, e.g. ``sapiens_lab.losses.SiLogLoss``.
"""

from sapiens_lab.lazy import public_names

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = public_names(__name__, __file__)
