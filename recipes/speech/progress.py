"""A line that shows what is left."""

import sys
import time

_WIDTH = 30
_INTERVAL = 0.2  # seconds between two pictures


class ProgressBar:
    """Shows on standard error how far a task is, if that is a terminal.

    Args:
        total: int. Items of the task.
        stream: Where to write. Default: standard error.
        show: bool. Default: whether the stream is a terminal.
    """

    def __init__(self, total, stream=None, show=None):
        self._stream = stream or sys.stderr
        self._show = self._stream.isatty() if show is None else show
        self._total = total
        self._done = 0
        self._started = time.monotonic()
        self._shown = float("-inf")

    def advance(self):
        """One more item is done."""
        self._done += 1
        now = time.monotonic()
        if self._show and (
            now - self._shown > _INTERVAL or self._done == self._total
        ):
            self._shown = now
            self._draw(now - self._started)

    def close(self):
        """Ends the line."""
        if self._show and self._done:
            self._stream.write("\n")

    def _draw(self, seconds):
        left = seconds / self._done * (self._total - self._done)
        bar = "=" * (_WIDTH * self._done // self._total)
        self._stream.write(
            f"\r[{bar:<{_WIDTH}}] {self._done}/{self._total} recordings, "
            f"{int(left) // 60}:{int(left) % 60:02} left "
        )
        self._stream.flush()
