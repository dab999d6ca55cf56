"""What the loss compares, what an output means in the source image, what the metric sees."""

from sapiens_lab.lazy import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
