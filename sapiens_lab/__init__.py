"""Pretrain, fine-tune and evaluate human-vision foundation models."""

__version__ = "0.1.0"
