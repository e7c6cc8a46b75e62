"""A journal's SQLite file: opened, checked, and salvaged when it is damaged.

A file is put aside only when SQLite itself calls it damaged. A full disk or a missing permission says nothing against the file, which
stays where it is. The layout's number is SQLite's `user_version`; files that earlier versions wrote have 0 and the same tables.
"""

import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lib.errors import KitError

VERSION = 1
SCHEMA = """
CREATE TABLE IF NOT EXISTS reply (
  key TEXT NOT NULL, number INTEGER NOT NULL, outcome TEXT NOT NULL, slot TEXT NOT NULL, stage TEXT NOT NULL, vote INTEGER NOT NULL,
  model_asked TEXT NOT NULL, model TEXT NOT NULL, text TEXT NOT NULL, stop_reason TEXT NOT NULL, stop_detail TEXT NOT NULL,
  input INTEGER NOT NULL, output INTEGER NOT NULL, cache_read INTEGER NOT NULL, cache_write INTEGER NOT NULL,
  cost_usd REAL NOT NULL, request_id TEXT NOT NULL, attempts INTEGER NOT NULL, seconds REAL NOT NULL, at REAL NOT NULL,
  PRIMARY KEY (key, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS shard (
  number INTEGER PRIMARY KEY, at REAL NOT NULL, keys TEXT NOT NULL, batch_id TEXT NOT NULL DEFAULT '', open INTEGER NOT NULL DEFAULT 1
);
"""
COLUMNS = {"reply": 20, "shard": 5}
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
KEY_PARTS = [f"{number:03x}" for number in range(4096)]  # keys are hexadecimal digests: one part a search, so that a bad page costs little
IN_PART = "SELECT * FROM reply WHERE key >= ? AND key < ? ORDER BY key {order}, number {order}"


class JournalError(KitError):
    """The journal can't be used as it is."""


class Damaged(Exception):
    """SQLite calls the file damaged."""


@dataclass(frozen=True, slots=True)
class Opened:
    """`remark` is "" when the file was as it should be."""

    connection: sqlite3.Connection
    remark: str = ""


def opened(path: Path) -> Opened:
    """Open or create the journal; a damaged one is put aside and what can be read of it is copied. Raises JournalError."""
    was_empty = path.is_file() and not path.stat().st_size
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if _new_name(path).exists() and not path.exists():  # killed between the two renames of mending
            _new_name(path).replace(path)
        return Opened(connected(path), f"{path.name} was empty: what was paid for before is not known any more." if was_empty else "")
    except OSError as error:
        raise JournalError(f"{path}: can't be opened ({error.strerror}). Mend that, then run again.") from None
    except Damaged:
        aside, replies = _mended(path)
        remark = (
            f"The journal was damaged. {replies:,} paid replies could be read and were copied; the damaged file is kept as {aside.name}."
        )
        return Opened(connected(path), remark)


def connected(path: Path, *, check: bool = True) -> sqlite3.Connection:
    """Return a connection that commits for good (`synchronous = FULL`). Raises Damaged, or JournalError for any other trouble."""
    try:
        connection = sqlite3.connect(path, timeout=30, check_same_thread=False)
        try:
            _prepare(connection, path, check=check)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        if is_damage(error):
            raise Damaged from None
        raise cannot("opened", path, error) from None
    return connection


def _prepare(connection: sqlite3.Connection, path: Path, *, check: bool) -> None:
    connection.text_factory = lambda raw: raw.decode("utf-8", errors="replace")  # one bad byte must not block all other replies
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    if check and connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
        raise Damaged
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise JournalError(f"{path} was written by a newer version of this kit. Use that version, or choose another RUN name.")
    if version < VERSION:
        connection.executescript(f"{SCHEMA} PRAGMA user_version = {VERSION};")


def cannot(what: str, path: Path, error: Exception) -> JournalError:
    """Return the error for trouble that says nothing against the file itself, such as a full disk."""
    return JournalError(f"{path}: can't be {what} ({error}). Free some space or mend the folder, then run again; what was stored is safe.")


def is_damage(error: sqlite3.Error) -> bool:
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in DAMAGED


def moved_aside(path: Path, why: str) -> Path:
    """Rename the journal, with the files that SQLite keeps beside it, and return its new name."""
    target = path.with_name(f"{path.name}.{why}-{time.strftime('%Y%m%dT%H%M%S')}")
    for suffix in ("", "-wal", "-shm"):
        file = path.with_name(path.name + suffix)
        if file.exists():
            file.rename(target.with_name(target.name + suffix))
    return target


def _mended(path: Path) -> tuple[Path, int]:
    """Put a journal with all that can be read of the damaged one in its place; return where the damaged one is, and how many replies.

    The new file is complete before the old one is moved, so that neither a full disk nor a kill loses a reply. Raises JournalError.
    """
    new = _new_name(path)
    try:
        for suffix in ("", "-wal", "-shm", "-journal"):
            new.with_name(new.name + suffix).unlink(missing_ok=True)
        with closing(connected(new)) as connection:
            replies = _salvaged(path, connection)
            connection.execute("PRAGMA journal_mode = DELETE")  # all of it in the one file that is renamed
        aside = moved_aside(path, "corrupt")
        new.replace(path)
    except (sqlite3.Error, OSError) as error:
        raise cannot("mended", path, error) from None
    return aside, replies


def _new_name(path: Path) -> Path:
    return path.with_name(f"{path.name}.mended")


def _salvaged(damaged: Path, connection: sqlite3.Connection) -> int:
    """Copy what can be read of a damaged journal, and return how many replies that is."""
    before = connection.total_changes
    with closing(sqlite3.connect(damaged)) as old, connection:
        for part in KEY_PARTS:
            for order in ("ASC", "DESC"):  # from both sides, up to the page that can't be read
                rows, is_whole = _readable(old, IN_PART.format(order=order), (part, part + "g"))
                connection.executemany(_insert("reply"), rows)
                if is_whole:
                    break
        replies = connection.total_changes - before
        connection.executemany(_insert("shard"), _readable(old, "SELECT * FROM shard", ())[0])
    return replies


def _insert(table: str) -> str:
    return f"INSERT OR IGNORE INTO {table} VALUES ({','.join('?' * COLUMNS[table])})"


def _readable(connection: sqlite3.Connection, query: str, values: tuple[str, ...]) -> tuple[list[Any], bool]:
    """Return the rows up to the first that can't be read, and whether all could."""
    rows: list[Any] = []
    try:
        rows.extend(connection.execute(query, values))
    except sqlite3.DatabaseError:
        return rows, False
    return rows, True
