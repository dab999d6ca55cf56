"""Reading files of weights and checkpoints without running anything that they say.

Nothing of ``torch.load``, TorchScript or ``torch.package`` touches a file: zip records are found by
their exact names, pickles are interpreted by a machine that builds tensors and plain containers
only, and every size is checked against the file before memory is taken.
"""

from sapiens_lab.lazy import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
