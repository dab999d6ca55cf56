"""Reading files of weights and checkpoints without running anything that they say.

Nothing of ``torch.load``, TorchScript or ``torch.package`` touches a file: zip records are found by
their exact names, pickles are interpreted by a machine that builds tensors and plain containers
only, and every size is checked against the file before memory is taken.
"""

from sapiens_lab.weights.reading.content import read_content
from sapiens_lab.weights.reading.stubs import Stub, stub_names

__all__ = ["Stub", "read_content", "stub_names"]
