"""What training minimizes: modules that compare tensors and know no batch."""

from sapiens_lab.lazy import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
