"""Every reply paid for, in SQLite: committed before it is used, found again instead of paid twice.

A writer thread commits what has come in as one transaction (`synchronous=FULL`), so that neither the event loop nor a fast provider
waits for the disk reply by reply. One run at a time holds a folder's journal; others read.
"""

import asyncio
import json
import queue
import sqlite3
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lib.errors import KitError
from lib.llm.call import Call, RawReply, Usage

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
FIND = """
SELECT outcome, text, stop_reason, input, output, cache_read, cache_write, model, request_id, stop_detail, attempts, seconds
FROM reply WHERE key = ? ORDER BY number
"""
LEDGER = """
SELECT stage, model, COUNT(*), SUM(input), SUM(output), SUM(cache_read), SUM(cache_write), SUM(cost_usd)
FROM reply GROUP BY stage, model ORDER BY stage, model
"""
COLUMNS = 20
FINAL = ("ok", "refusal")  # what is never asked again unchanged


class JournalError(KitError):
    """The journal can't be used as it is."""


@dataclass(frozen=True, slots=True)
class Spent:
    """One line of the ledger."""

    stage: str
    model: str
    calls: int
    usage: Usage
    cost_usd: float


@dataclass(frozen=True, slots=True)
class Shard:
    """A Message Batch: intended at `at`, and bought once it has a `batch_id`. `keys` are its custom ids."""

    number: int
    at: float
    keys: tuple[str, ...]
    batch_id: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One reply as it goes in: `number` counts the replies paid for one key, `outcome` is "ok" or why it was of no use."""

    key: str
    number: int
    outcome: str
    call: Call[Any]
    raw: RawReply
    cost_usd: float

    def row(self) -> tuple[Any, ...]:
        call, raw, usage = self.call, self.raw, self.raw.usage
        return (
            self.key, self.number, self.outcome, call.slot, call.stage, call.vote, call.model, raw.model, raw.text, raw.stop_reason,
            raw.stop_detail, usage.input, usage.output, usage.cache_read, usage.cache_write, self.cost_usd, raw.request_id, raw.attempts,
            raw.seconds, time.time(),
        )  # fmt: skip


class Journal:
    """Open with `with Journal(path) as journal:`. `set_aside` is where a corrupt predecessor was moved, else None."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.set_aside: Path | None = None
        self._entries: queue.SimpleQueue[tuple[Entry, asyncio.Future[None]] | None] = queue.SimpleQueue()

    def __enter__(self) -> "Journal":
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._reader = _opened(self.path)
        except sqlite3.DatabaseError:
            self.set_aside = _moved_aside(self.path)
            self._reader = _opened(self.path)
        self._writer = threading.Thread(target=self._write, name="journal", daemon=True)
        self._writer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._entries.put(None)
        self._writer.join()
        self._reader.close()

    def find(self, key: str) -> tuple[str, RawReply, int]:
        """Return (outcome, reply, paid): the final reply for `key` if there is one, and how many replies it has been paid for."""
        rows = self._reader.execute(FIND, (key,)).fetchall()
        for outcome, text, stop_reason, *tokens, model, request_id, stop_detail, attempts, seconds in rows:
            if outcome in FINAL:
                return outcome, RawReply(text, stop_reason, Usage(*tokens), model, request_id, stop_detail, attempts, seconds), len(rows)
        return "", RawReply("", "", Usage(), ""), len(rows)

    async def store(self, entry: Entry) -> None:
        """Return once `entry` is on disk."""
        stored = asyncio.get_running_loop().create_future()
        self._entries.put((entry, stored))
        await stored

    def spent_usd(self) -> float:
        """Return what was paid in this run."""
        return float(self._reader.execute("SELECT TOTAL(cost_usd) FROM reply").fetchone()[0])

    def paid_since(self, key: str, at: float) -> bool:
        return self._reader.execute("SELECT 1 FROM reply WHERE key = ? AND at >= ?", (key, at)).fetchone() is not None

    def intend_shard(self, keys: list[str]) -> Shard:
        """Write down, before it is sent, what a batch is to hold."""
        at = time.time()
        with self._reader:
            number = self._reader.execute("INSERT INTO shard (at, keys) VALUES (?, ?)", (at, json.dumps(keys))).lastrowid
        return Shard(int(number or 0), at, tuple(keys))

    def name_shard(self, shard: Shard, batch_id: str) -> None:
        with self._reader:
            self._reader.execute("UPDATE shard SET batch_id = ? WHERE number = ?", (batch_id, shard.number))

    def close_shard(self, shard: Shard) -> None:
        """Note that all its results were read, or that it was never bought."""
        with self._reader:
            self._reader.execute("UPDATE shard SET open = 0 WHERE number = ?", (shard.number,))

    def open_shards(self) -> list[Shard]:
        rows = self._reader.execute("SELECT number, at, keys, batch_id FROM shard WHERE open ORDER BY number").fetchall()
        return [Shard(number, at, tuple(json.loads(keys)), batch_id) for number, at, keys, batch_id in rows]

    def shard_ids(self) -> set[str]:
        return {row[0] for row in self._reader.execute("SELECT batch_id FROM shard")}

    def _write(self) -> None:
        connection = _opened(self.path)
        while batch := self._waiting():
            entries = [pair for pair in batch if pair is not None]
            problem: Exception | None = None
            try:
                with connection:
                    connection.executemany(
                        f"INSERT OR REPLACE INTO reply VALUES ({','.join('?' * COLUMNS)})", (e.row() for e, _ in entries)
                    )
            except sqlite3.Error as error:  # a full disk, say: every waiting call must hear of it
                problem = JournalError(f"{self.path}: can't be written ({error}). Free some space and run again; what was stored is safe.")
            _tell(entries, problem)
            if None in batch:
                break
        connection.close()

    def _waiting(self) -> list[tuple[Entry, asyncio.Future[None]] | None]:
        batch = [self._entries.get()]
        while batch[-1] is not None and not self._entries.empty():
            batch.append(self._entries.get())
        return batch


def ledger(path: Path) -> list[Spent]:
    """Return what was spent, by stage and model as returned; empty when there is no journal."""
    if not path.exists():
        return []
    connection = sqlite3.connect(path, timeout=30)
    try:
        return [Spent(stage, model, calls, Usage(*tokens), cost) for stage, model, calls, *tokens, cost in connection.execute(LEDGER)]
    finally:
        connection.close()


def _opened(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=30, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.executescript(SCHEMA)
    if (found := connection.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
        connection.close()
        raise sqlite3.DatabaseError(found)
    return connection


def _moved_aside(path: Path) -> Path:
    target = path.with_name(f"{path.name}.corrupt-{time.strftime('%Y%m%dT%H%M%S')}")
    for suffix in ("", "-wal", "-shm"):
        file = path.with_name(path.name + suffix)
        if file.exists():
            file.rename(target.with_name(target.name + suffix))
    return target


def _tell(entries: Iterable[tuple[Entry, asyncio.Future[None]]], problem: Exception | None) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for _, future in entries:
        by_loop.setdefault(future.get_loop(), []).append(future)
    for loop, futures in by_loop.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_settle, futures, problem)


def _settle(futures: list[asyncio.Future[None]], problem: Exception | None) -> None:
    for future in futures:
        if future.done():
            continue
        if problem is None:
            future.set_result(None)
        else:
            future.set_exception(problem)
