"""Messages of a command on the screen."""

from __future__ import annotations

import logging
import sys
from typing import TextIO


class StdoutHandler(logging.StreamHandler[TextIO]):
    """Write to whatever ``sys.stdout`` is at that time.

    A progress bar replaces it while it is on the screen, so that messages appear above the bar.
    """

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:
        """The current standard output."""
        return sys.stdout

    @stream.setter
    def stream(self, value: TextIO) -> None:
        raise AttributeError("StdoutHandler always writes to sys.stdout")
