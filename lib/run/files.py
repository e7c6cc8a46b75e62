"""Files on disk: written whole or not at all, read one record at a time. What goes wrong with a file becomes one line that names it."""

import errno
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from lib.errors import KitError, plain

R = TypeVar("R", bound=BaseModel)
PROBE_BYTES = 65_536
UNFINISHED = ".partial"  # what the name of a file ends in while it is being written
LONGEST_STEM = 40  # characters of a file's name that its unfinished copy bears: a name of 255 bytes must not become longer
IN_THE_WAY = "Something else has that name: move it away, or choose another outputs_dir."
NOT_ALLOWED = "Check the permissions, or choose another outputs_dir."
NO_SPACE = "Free some space, then run again."
ADVICE = {
    errno.ENOSPC: NO_SPACE,
    errno.EDQUOT: NO_SPACE,
    errno.EFBIG: "Raise the limit on the size of files (ulimit -f), or choose another outputs_dir.",
    errno.EROFS: "Choose another outputs_dir.",
    errno.EACCES: NOT_ALLOWED,
    errno.EPERM: NOT_ALLOWED,
    errno.EEXIST: IN_THE_WAY,
    errno.ENOTDIR: IN_THE_WAY,
    errno.EISDIR: IN_THE_WAY,
    errno.ELOOP: IN_THE_WAY,
    errno.ENAMETOOLONG: "Choose a shorter name.",
}


class RunError(KitError):
    """A file or the folder of a run is missing, busy, damaged, or can't be written."""


@contextmanager
def trouble_told(path: Path, *, doing: str) -> Iterator[None]:
    """Raise RunError with `path`, the cause and what to do when the operating system fails. `doing`: "read", "written" or "removed"."""
    try:
        yield
    except ConnectionError:  # of a socket or a pipe, not of a file
        raise
    except OSError as error:
        advice = ADVICE.get(error.errno or 0, "Check the disk and the name, then run again.")
        inside = isinstance(error.filename, str) and Path(error.filename).is_relative_to(path) and not error.filename.endswith(UNFINISHED)
        name = error.filename if inside else path
        raise RunError(f"{name}: can't be {doing} ({plain(error.strerror or error)}). {advice}") from None


def make_folder(path: Path) -> None:
    """Make the folder and those above it. Raises RunError."""
    with trouble_told(path, doing="written"):
        path.mkdir(parents=True, exist_ok=True)


@contextmanager
def whole_file(path: Path, *, binary: bool = False) -> Iterator[Any]:
    """Yield a file (UTF-8 unless `binary`) that takes `path`'s place when all is written and synced; on an error `path` stays as it was."""
    how: Any = {"mode": "wb"} if binary else {"mode": "w", "encoding": "utf-8", "newline": "\n"}
    make_folder(path.parent)
    with trouble_told(path, doing="written"):
        file = NamedTemporaryFile(  # noqa: SIM115  # closed below, and kept
            **how, dir=path.parent, prefix=f".{path.name[:LONGEST_STEM]}.", suffix=UNFINISHED, delete=False
        )
        try:
            with file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            with suppress(OSError):  # some file systems know no permissions
                Path(file.name).chmod(0o644)
            Path(file.name).replace(path)
        except BaseException:
            with suppress(OSError):
                Path(file.name).unlink()
            raise


def require_writable(folder: Path) -> None:
    """Write a few kB into the folder and take them away again. Raises RunError when that can't be done."""
    with (
        trouble_told(folder, doing="written"),
        NamedTemporaryFile(dir=folder, prefix=".probe.", suffix=UNFINISHED, buffering=0) as probe,
    ):
        probe.write(bytes(PROBE_BYTES))
        os.fsync(probe.fileno())


def remove_unfinished(folder: Path) -> None:
    """Remove what killed processes left half written. Only the holder of the folder may do so."""
    for path in folder.rglob(f".*{UNFINISHED}"):
        with suppress(OSError):
            path.unlink()


def write_jsonl(path: Path, records: Iterable[BaseModel]) -> int:
    """Write one record a line; return how many."""
    count = 0
    with whole_file(path) as file:
        for record in records:
            file.write(json_line(record))
            count += 1
    return count


def write_json(path: Path, value: Any) -> None:
    with whole_file(path) as file:
        json.dump(value, file, ensure_ascii=False, indent=2, allow_nan=False)
        file.write("\n")


def json_line(record: BaseModel) -> str:
    return one_line(record.model_dump_json())


def one_line(text: str) -> str:
    """Return JSON as a line with its end, in which no reader finds another: `str.splitlines` also ends lines at these three characters.

    JSON escapes the others that it ends lines at. Text without them stays as it is.
    """
    for separator in ("\x85", "\u2028", "\u2029"):
        text = text.replace(separator, f"\\u{ord(separator):04x}")
    return text + "\n"


def read_jsonl(path: Path, kind: type[R], *, made_by: str, remedy: str = "") -> Iterator[R]:
    """Yield the records of `path`.

    Raises RunError. It names the line and says what to do (`remedy`, if given), or names the notebook `made_by` that has yet to be run.
    """
    remedy = remedy or f"Run {made_by} again: it writes the file anew."
    with trouble_told(path, doing="read"):
        try:
            file = path.open("rb")
        except FileNotFoundError:
            raise RunError(f"{path} is not there yet: run {made_by} with the same RUN first.") from None
        with file:
            for number, line in enumerate(file, start=1):
                yield _record(line, kind, where=f"{path}, line {number}", remedy=remedy)


def read_object(path: Path, *, remedy: str) -> dict[str, Any]:
    """Return the JSON object in `path`. Raises RunError, which ends in `remedy`, when it holds anything else."""
    with trouble_told(path, doing="read"):
        raw = path.read_bytes()
    try:
        value = json.loads(raw.decode("utf-8"))
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8")  # it must be possible to write it again
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise RunError(f"{path}: it is not a whole JSON object in UTF-8. {remedy}")
    return value


def as_record(value: dict[str, Any], kind: type[R], *, where: str, remedy: str) -> R:
    """Return the JSON object as a record. Raises RunError, which names `where` and the key and ends in `remedy`."""
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise RunError(f"{where}: {flaw(error)}. {remedy}") from None


def read_text(path: Path) -> str:
    """Return the text of a file in UTF-8. Raises RunError."""
    try:
        with trouble_told(path, doing="read"):
            return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise RunError(f"{path}: can't be read (it is not UTF-8). Run the notebook that writes it again.") from None


def is_file(path: Path) -> bool:
    """Whether a file is there; False also where that can't be found out."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long, a folder that can't be looked into; a NUL in the name
        return False


def sha256_of(path: Path) -> str:
    """Return the digest of the file. Raises RunError."""
    with trouble_told(path, doing="read"), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def flaw(error: ValidationError) -> str:
    """Return in plain words what is first wrong with a record: the key, and what is the matter with it."""
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return "it is not a whole JSON object in UTF-8"
    said = {"missing": "is missing", "extra_forbidden": "is a key that this version does not know"}.get(first["type"])
    where = ".".join(str(part) for part in first["loc"]) or "it"
    return plain(f"{where} {said}" if said else f"{where} does not fit ({first['msg']})")


def _record(line: bytes, kind: type[R], *, where: str, remedy: str) -> R:
    try:
        return kind.model_validate_json(line)
    except ValidationError as error:
        raise RunError(f"{where}: {flaw(error)}. {remedy}") from None
