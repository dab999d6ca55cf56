"""Metrics as ``torchmetrics.Metric`` with functional cores.

Every metric computes a dict of values by name; what is undefined is left out and explained in
``undefined``.
"""

from sapiens_lab.lazy import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
