"""Lines that come in any order -> a file that holds them in order."""

from array import array
from contextlib import suppress
from os import SEEK_END
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from lib.run.files import trouble_told, whole_file

ABSENT = -1


class OrderedLines:
    """Keeps lines in a temporary file until they are written. Memory holds one number a line.

    The file lies in `folder` and has no name there, so that nothing is left of it, however the process ends.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._spool: IO[bytes] | None = None
        self._starts = array("q")  # where in the file the line of an index starts, in bytes
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, index: int, line: str) -> None:
        """Keep a line, which ends in a newline and holds no other. Raises RunError, as when the disk is full."""
        with trouble_told(self._folder, doing="written"):
            if self._spool is None:
                self._spool = TemporaryFile("w+b", dir=self._folder)  # noqa: SIM115  # closed by close()
            start = self._spool.seek(0, SEEK_END)
            self._spool.write(line.encode("utf-8"))
        self._starts.extend([ABSENT] * (index + 1 - len(self._starts)))
        self._starts[index] = start
        self._count += 1

    def write(self, path: Path, *, first: int = 0, last: int | None = None) -> None:
        """Write the lines whose index is in first..last (inclusive; all by default) to `path`, in order. Raises RunError."""
        with whole_file(path, binary=True) as file:
            for start in self._starts[first : None if last is None else last + 1]:
                if self._spool and start != ABSENT:
                    with trouble_told(self._folder, doing="written"):  # reading writes out what is still in memory
                        self._spool.seek(start)
                        line = self._spool.readline()
                    file.write(line)

    def close(self) -> None:
        if self._spool:
            with suppress(OSError):  # of a full disk, which has been reported by then
                self._spool.close()
