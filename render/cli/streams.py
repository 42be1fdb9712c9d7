"""The standard streams, so that what is printed can neither end nor spoil what is made.

A reader that goes away, a full disk behind a redirection, a closed stream, and a character that a stream's encoding
lacks are faults of printing. Films, records and samples must be finished all the same.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys

from render.errors import RenderError

# The name under which `_printable` is known to Python's encoders.
_PRINTABLE = "render.printable"


class _Output(io.TextIOWrapper):
    """A stream that drops its text once it cannot be written any more, and remembers why.

    failure: the first error that writing met; None as long as there was none.
    """

    failure: OSError | None = None

    def write(self, text: str) -> int:
        """Write a text, or drop it; return its length."""
        try:
            return super().write(text)
        except OSError as error:
            self._drop(error)
            return len(text)

    def flush(self) -> None:
        """Write what is buffered, or drop it."""
        try:
            super().flush()
        except OSError as error:
            self._drop(error)

    def _drop(self, error: OSError) -> None:
        """Lead the descriptor to the null device: whatever is buffered here or in a library goes there too."""
        self.failure = self.failure or error
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self.fileno())
        os.close(null)


def open_all() -> None:
    """Make stdin, stdout and stderr streams that are open and take every text. Call it once, before any work.

    A closed stream becomes the null device. Otherwise the first file that the process opens would get its descriptor,
    and everything printed would go into that file.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    codecs.register_error(_PRINTABLE, _printable)
    sys.stdin = sys.stdin or open(0, encoding="utf-8")  # noqa: SIM115 - a standard stream stays open
    sys.stdout = _output(sys.stdout, 1)
    sys.stderr = _output(sys.stderr, 2)


def check_stdout() -> None:
    """Raise RenderError if results could not be printed. A reader that went away had all that it wanted."""
    sys.stdout.flush()
    error = getattr(sys.stdout, "failure", None)
    if error is not None and error.errno != errno.EPIPE:
        raise RenderError(
            f"stdout cannot be written: {error.strerror or error}. Everything that was made is kept, but not all "
            "results were printed. Free some space, or send stdout elsewhere."
        )


def _output(stream: object, descriptor: int) -> io.TextIOWrapper:
    if not isinstance(stream, io.TextIOWrapper):
        return _Output(open(descriptor, "wb"), encoding="utf-8", errors=_PRINTABLE)
    encoding, buffered = stream.encoding, stream.line_buffering
    return _Output(stream.detach(), encoding=encoding, errors=_PRINTABLE, line_buffering=buffered)


def _printable(error: UnicodeError) -> tuple[str | bytes, int]:
    """Encode the characters that an encoding lacks: a byte of a file's name as that byte, others as escapes."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    # Python keeps a byte that is not valid in a name as a lone surrogate (PEP 383). It is printed as it was, so that a
    # printed path leads to its file.
    first = ord(error.object[error.start])
    if 0xDC80 <= first <= 0xDCFF:
        return bytes([first - 0xDC00]), error.start + 1
    return error.object[error.start].encode("ascii", "backslashreplace").decode(), error.start + 1
