"""Reading trained weights: official files of Sapiens, and our own."""

from sapiens_lab.lazy import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
