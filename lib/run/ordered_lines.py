"""Lines that come in any order -> a file that has them in theirs."""

from array import array
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from lib.run.files import trouble_told, whole_file


class OrderedLines:
    """The lines wait in a temporary file; memory holds two numbers a line.

    The temporary file lies in `folder` and has no name there, so that nothing is left of it, however the process ends.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._spool: IO[bytes] | None = None
        self._starts, self._lengths = array("q"), array("q")  # a length of 0: not there
        self._count = self._end = 0

    def add(self, index: int, line: str) -> None:
        """Keep the line until it is written. Raises RunError, as when the disk is full."""
        raw = line.encode("utf-8")
        with trouble_told(self._folder, doing="written"):
            spool = self._opened()
            spool.seek(self._end)
            spool.write(raw)
        if (lacking := index + 1 - len(self._starts)) > 0:
            self._starts.extend([0] * lacking)
            self._lengths.extend([0] * lacking)
        self._starts[index], self._lengths[index] = self._end, len(raw)
        self._end += len(raw)
        self._count += 1

    def __len__(self) -> int:
        return self._count

    def write(self, path: Path, *, first: int = 0, last: int | None = None) -> None:
        """Write the lines whose index is in first..last (inclusive; all by default) to `path`, in order."""
        end = len(self._starts) if last is None else min(last + 1, len(self._starts))
        with whole_file(path, binary=True) as file:
            for start, length in zip(self._starts[first:end], self._lengths[first:end], strict=True):
                if length:
                    file.write(self._read(start, length))

    def close(self) -> None:
        if self._spool:
            with suppress(OSError):  # of a full disk, which has been reported by then
                self._spool.close()

    def _opened(self) -> IO[bytes]:
        if self._spool is None:
            self._spool = TemporaryFile("w+b", dir=self._folder)  # noqa: SIM115  # closed by close()
        return self._spool

    def _read(self, start: int, length: int) -> bytes:
        with trouble_told(self._folder, doing="written"):  # reading writes out what is still in memory
            spool = self._opened()
            spool.seek(start)
            return spool.read(length)
