"""Files on disk, written whole or not at all and read one record at a time. Trouble with a file is one line that names the file."""

import errno
import hashlib
import json
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from lib.errors import KitError, plain

R = TypeVar("R", bound=BaseModel)
UNFINISHED = ".partial"  # what the name of a file ends in while it is being written
LONGEST_STEM = 40  # characters of a file's name that its unfinished copy bears, because a name has room for 255 bytes
ADVICE = {
    (errno.ENOSPC, errno.EDQUOT): "Free some space, then run again.",
    (errno.EFBIG,): "Raise the limit on the size of files (ulimit -f), or choose another outputs_dir.",
    (errno.EROFS,): "Choose another outputs_dir.",
    (errno.EACCES, errno.EPERM): "Check the permissions, or choose another outputs_dir.",
    (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ELOOP): "Something else has that name: move it away, or choose another outputs_dir.",
    (errno.ENAMETOOLONG,): "Choose a shorter name.",
}
NO_OBJECT = "it is not a whole JSON object in UTF-8"
FLAWS = {
    "missing": "is missing, so another version of this kit may have written it",
    "extra_forbidden": "is a key that this version does not know",
}  # by pydantic's name of the error


class RunError(KitError):
    """A file or the folder of a run is missing, busy, damaged, or can't be written."""


@contextmanager
def trouble_told(path: Path, *, doing: str) -> Iterator[None]:
    """Raise RunError with `path`, the cause and what to do when the operating system fails. `doing` is "read", "written" or "removed"."""
    try:
        yield
    except ConnectionError:  # of a socket or a pipe, not of a file
        raise
    except OSError as error:
        advice = next((text for codes, text in ADVICE.items() if error.errno in codes), "Check the disk and the name, then run again.")
        inside = isinstance(error.filename, str) and Path(error.filename).is_relative_to(path) and not error.filename.endswith(UNFINISHED)
        name = error.filename if inside else path
        raise RunError(f"{name}: can't be {doing} ({plain(error.strerror or error)}). {advice}") from None


def make_folder(path: Path) -> None:
    """Make the folder and those above it. Raises RunError."""
    with trouble_told(path, doing="written"):
        path.mkdir(parents=True, exist_ok=True)


@contextmanager
def whole_file(path: Path, *, binary: bool = False) -> Iterator[Any]:
    """Yield a file, of text in UTF-8 unless `binary`, that replaces `path` once it is complete. Raises RunError.

    After any error `path` is as it was.
    """
    make_folder(path.parent)
    unfinished = path.with_name(f".{path.name[:LONGEST_STEM]}.{secrets.token_hex(4)}{UNFINISHED}")
    with trouble_told(path, doing="written"):
        try:
            with unfinished.open("xb") if binary else unfinished.open("x", encoding="utf-8", newline="\n") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
        except BaseException:
            with suppress(OSError):
                unfinished.unlink()
            raise


def require_writable(folder: Path) -> None:
    """Raise RunError when 64 kB can't be written into the folder. They are removed again."""
    with (
        trouble_told(folder, doing="written"),
        NamedTemporaryFile(dir=folder, prefix=".probe.", suffix=UNFINISHED, buffering=0) as probe,
    ):
        probe.write(bytes(65_536))
        os.fsync(probe.fileno())


def remove_unfinished(folder: Path) -> None:
    """Remove the unfinished files of killed processes. Only the holder of the folder may do so."""
    for path in folder.rglob(f".*{UNFINISHED}"):
        with suppress(OSError):
            path.unlink()


def write_jsonl(path: Path, records: Iterable[BaseModel]) -> None:
    """Write one record a line. Raises RunError."""
    with whole_file(path) as file:
        file.writelines(map(json_line, records))


def write_json(path: Path, value: Any) -> None:
    with whole_file(path) as file:
        json.dump(value, file, ensure_ascii=False, indent=2, allow_nan=False)
        file.write("\n")


def json_line(record: BaseModel) -> str:
    return one_line(record.model_dump_json())


def one_line(text: str) -> str:
    """Return JSON as one line with its end. The characters that `str.splitlines` ends lines at are escaped where JSON leaves them."""
    for separator in ("\x85", "\u2028", "\u2029"):
        text = text.replace(separator, f"\\u{ord(separator):04x}")
    return text + "\n"


def read_jsonl(path: Path, kind: type[R], *, made_by: str, remedy: str = "") -> Iterator[R]:
    """Yield the records of `path`, which the notebook `made_by` writes.

    Raises RunError with the line and what to do, which is to run that notebook unless `remedy` names something else.
    """
    remedy = remedy or f"Run {made_by} again: it writes the file anew."
    with trouble_told(path, doing="read"):
        try:
            file = path.open("rb")
        except FileNotFoundError:
            raise RunError(f"{path} is not there yet: run {made_by} with the same RUN first.") from None
        with file:
            for number, line in enumerate(file, start=1):
                yield as_record(line, kind, where=f"{path}, line {number}", remedy=remedy)


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
        raise RunError(f"{path}: {NO_OBJECT}. {remedy}")
    return value


def as_record(value: dict[str, Any] | bytes, kind: type[R], *, where: str, remedy: str) -> R:
    """Return a JSON object, or the text of one, as a record. Raises RunError, which names `where` and the key and ends in `remedy`."""
    try:
        return kind.model_validate_json(value) if isinstance(value, bytes) else kind.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "it"
        flaw = f"{key} {FLAWS.get(first['type']) or 'does not fit (' + first['msg'] + ')'}"
        raise RunError(f"{where}: {NO_OBJECT if first['type'] == 'json_invalid' else plain(flaw)}. {remedy}") from None


def read_text(path: Path) -> str:
    """Return the text of a file in UTF-8. Raises RunError."""
    try:
        with trouble_told(path, doing="read"):
            return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise RunError(f"{path}: can't be read (it is not UTF-8). Run the notebook that writes it again.") from None


def is_file(path: Path) -> bool:
    """Return whether a file is there. Where that can't be found out, it is not."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long, a folder that can't be looked into; a NUL in the name
        return False


def sha256_of(path: Path) -> str:
    """Return the digest of the file. Raises RunError."""
    with trouble_told(path, doing="read"), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
