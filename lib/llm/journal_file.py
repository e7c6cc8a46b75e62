"""A journal's SQLite file, opened and checked, and salvaged when it is damaged.

A file is put aside only when SQLite itself calls it damaged. With a full disk or a missing permission it stays where it is.
"""

import sqlite3
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from lib.errors import KitError, plain

VERSION = 1  # kept as SQLite's `user_version`; files of earlier versions have 0 and the same tables
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
INSERT_REPLY = f"INSERT OR REPLACE INTO reply VALUES ({', '.join('?' * 20)})"
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
SIDE_FILES = ("", "-wal", "-shm", "-journal")  # what SQLite adds to the name, for the journal itself and the files beside it
KEY_PARTS = [f"{number:03x}" for number in range(4096)]  # what keys begin with; a bad page costs the replies of one part only


class JournalError(KitError):
    """The journal can't be used as it is."""


class Damaged(JournalError):
    """SQLite calls the file damaged."""


def error_of(error: Exception, path: Path, *, doing: str) -> JournalError:
    """Return the JournalError for one of SQLite's errors. `doing` is a word such as "opened"."""
    if (getattr(error, "sqlite_errorcode", 0) & 0xFF) in DAMAGED:
        return Damaged(f"{path} is damaged ({error}). Run again: what can be read of it is copied to a new one.")
    return JournalError(f"{path}: can't be {doing} ({error}). Free some space or mend the folder, then run again; what was stored is safe.")


def opened(path: Path) -> tuple[sqlite3.Connection, str]:
    """Return a connection to the journal, and a remark on what was not as it should be ("" when all is well).

    A journal that is not there is made. A damaged one is put aside, and what can be read of it is copied. Raises JournalError.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if _new_name(path).exists() and not path.exists():  # killed between the two renames of mending
            _new_name(path).replace(path)
        was_empty = path.is_file() and not path.stat().st_size
        return connected(path), f"{path.name} was empty: what was paid for before is not known any more." if was_empty else ""
    except OSError as error:
        raise JournalError(f"{path}: can't be opened ({error.strerror}). Mend that, then run again.") from None
    except Damaged:
        remark = _mended(path)
        return connected(path), remark


def connected(path: Path, *, check: bool = True) -> sqlite3.Connection:
    """Return a connection whose commits survive a loss of power. Raises Damaged, or JournalError for any other trouble."""
    try:
        with ExitStack() as on_error:
            connection = on_error.enter_context(closing(sqlite3.connect(path, timeout=30, check_same_thread=False, uri=True)))
            _prepare(connection, path, check=check)
            on_error.pop_all()
            return connection
    except sqlite3.Error as error:
        raise error_of(error, path, doing="opened") from None


def require_types(connection: sqlite3.Connection, path: Path) -> None:
    """Raise JournalError when a value has not the type of its column, because somebody changed it by hand."""
    for table, name in (("reply", "slot || ' ' || stage"), ("shard", "number")):
        if found := connection.execute(f"SELECT {name} FROM {table} WHERE NOT ({_types_fit(connection, table)})").fetchall():
            raise JournalError(
                f"{path}: {len(found):,} rows of the table {table} were changed by hand and hold a value of another type. "
                f"The first is {plain(found[0][0])}. Delete these rows, or put back the file as it was."
            )


def write_again(connection: sqlite3.Connection, path: Path) -> None:
    """Write the journal that `connection` still holds to `path`, and put aside what may be there now. Raises JournalError."""
    if path.exists():
        _moved_aside(path, "replaced")
    try:
        with closing(sqlite3.connect(path)) as copy:
            connection.backup(copy)
    except sqlite3.Error as error:
        raise error_of(error, path, doing="written again, after it was deleted while the run was at work") from None


def _prepare(connection: sqlite3.Connection, path: Path, *, check: bool) -> None:
    connection.text_factory = lambda raw: raw.decode("utf-8", errors="replace")  # one bad byte must not block all other replies
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    if check and (problem := connection.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
        raise Damaged(f"{path} is damaged ({problem}).")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise JournalError(f"{path} was written by a newer version of this kit. Use that version, or choose another RUN name.")
    if version < VERSION:
        connection.executescript(f"{SCHEMA} PRAGMA user_version = {VERSION};")
    if check:
        require_types(connection, path)


def _types_fit(connection: sqlite3.Connection, table: str) -> str:
    """Return the condition, in SQL, that each value of a row has the type of its column."""
    columns = connection.execute("SELECT name, lower(type) FROM pragma_table_info(?)", (table,))
    return " AND ".join(f"typeof({name}) = '{kind}'" for name, kind in columns)


def _mended(path: Path) -> str:
    """Put a journal with all that can be read of the damaged one in its place, and return a remark on it.

    The new file is complete before the old one is moved, so that neither a full disk nor a kill loses a reply. Raises JournalError.
    """
    new = _new_name(path)
    try:
        for suffix in SIDE_FILES:
            new.with_name(new.name + suffix).unlink(missing_ok=True)
        with closing(connected(new)) as connection:
            replies = _salvaged(path, connection)
            connection.execute("PRAGMA journal_mode = DELETE")  # all of it in the one file that is renamed
        aside = _moved_aside(path, "corrupt")
        new.replace(path)
    except (sqlite3.Error, OSError) as error:
        raise error_of(error, path, doing="mended") from None
    return f"The journal was damaged. {replies:,} paid replies could be read and were copied; the damaged file is kept as {aside.name}."


def _moved_aside(path: Path, why: str) -> Path:
    """Rename the journal, with the files that SQLite keeps beside it, and return its new name."""
    target = path.with_name(f"{path.name}.{why}-{time.strftime('%Y%m%dT%H%M%S')}")
    for suffix in SIDE_FILES:
        file = path.with_name(path.name + suffix)
        if file.exists():
            file.rename(target.with_name(target.name + suffix))
    return target


def _new_name(path: Path) -> Path:
    return path.with_name(f"{path.name}.mended")


def _salvaged(damaged: Path, connection: sqlite3.Connection) -> int:
    """Copy what can be read of a damaged journal into the new one of `connection`, and return how many replies that is."""
    wanted = f"SELECT * FROM reply WHERE key >= ? AND key < ? AND {_types_fit(connection, 'reply')} ORDER BY key"
    with closing(sqlite3.connect(damaged)) as old, connection:
        for part in KEY_PARTS:
            for order in ("ASC", "DESC"):  # from both sides, up to the page that can't be read
                rows, is_whole = _readable(old, f"{wanted} {order}", part, part + "g")
                connection.executemany(INSERT_REPLY, rows)
                if is_whole:
                    break
        shards, _ = _readable(old, f"SELECT * FROM shard WHERE {_types_fit(connection, 'shard')}")
        connection.executemany("INSERT INTO shard VALUES (?, ?, ?, ?, ?)", shards)
    return int(connection.execute("SELECT COUNT(*) FROM reply").fetchone()[0])


def _readable(connection: sqlite3.Connection, query: str, *values: str) -> tuple[list[Any], bool]:
    """Return the rows up to the first that can't be read, and whether all could be."""
    rows: list[Any] = []
    try:
        rows.extend(connection.execute(query, values))
    except sqlite3.DatabaseError:
        return rows, False
    return rows, True
