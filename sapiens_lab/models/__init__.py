"""Networks: pixels in, feature maps and dense outputs out. No config and no trainer needed."""

from sapiens_lab.lazy import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
