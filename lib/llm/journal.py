"""Every reply paid for, in SQLite: committed before it is used, found again instead of paid twice.

A writer thread commits what has come in as one transaction, so that neither the event loop nor a fast provider waits for the disk
reply by reply. One run at a time holds a folder's journal; others read.
"""

import asyncio
import json
import queue
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lib.llm.call import Asked, RawReply, Usage
from lib.llm.journal_file import COLUMNS, Damaged, JournalError, cannot, connected, is_damage, moved_aside, opened

FIND = """
SELECT
  outcome, number, text, stop_reason, input, output, cache_read, cache_write, model, request_id, stop_detail, attempts, seconds, cost_usd
FROM reply WHERE key = ? ORDER BY number
"""
LEDGER = """
SELECT stage, model, COUNT(*), SUM(input), SUM(output), SUM(cache_read), SUM(cache_write), SUM(cost_usd)
FROM reply GROUP BY stage, model ORDER BY stage, model
"""
INSERT = f"INSERT OR REPLACE INTO reply VALUES ({','.join('?' * COLUMNS['reply'])})"
UNREAD = "unread"  # the outcome of a batch's reply that no call has validated yet
USABLE = ("ok", "refusal", UNREAD)  # what is never asked again unchanged
LONGEST_CUSTOM_ID = 64  # characters. Source: Anthropic, Message Batches


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
    """A Message Batch: intended at `at`, and bought once it has a `batch_id`.

    `mark` is part of every custom id, so that a batch can be told from another one that asks the same; "" in shards of earlier versions.
    """

    number: int
    at: float
    requests: tuple[Asked, ...]
    mark: str
    batch_id: str = ""

    def custom_id(self, key: str) -> str:
        return f"{key[: LONGEST_CUSTOM_ID - len(self.mark) - 1]}-{self.mark}" if self.mark else key

    @property
    def by_custom_id(self) -> dict[str, Asked]:
        return {self.custom_id(asked.key): asked for asked in self.requests}


@dataclass(frozen=True, slots=True)
class Entry:
    """One reply as it goes in: `number` counts the replies paid for one key, `outcome` is "ok" or why it was of no use."""

    asked: Asked
    number: int
    outcome: str
    raw: RawReply

    def row(self) -> tuple[Any, ...]:
        asked, raw, usage = self.asked, self.raw, self.raw.usage or Usage()
        return (
            asked.key, self.number, self.outcome, asked.slot, asked.stage, asked.vote, asked.model, raw.model, raw.text, raw.stop_reason,
            raw.stop_detail, usage.input, usage.output, usage.cache_read, usage.cache_write, raw.cost_usd or 0.0, raw.request_id,
            raw.attempts, raw.seconds, time.time(),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Found:
    """What the journal has for a key: the reply that can be used, if any, its number, and how many replies were paid for."""

    outcome: str
    raw: RawReply
    number: int
    paid: int


Waiting = tuple[Entry, asyncio.Future[None]]


class Journal:
    """Open with `with Journal(path) as journal:`. `remarks` say what was not as it should be."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.remarks: list[str] = []
        self._entries: queue.SimpleQueue[Waiting | None] = queue.SimpleQueue()
        self._ended = threading.Event()
        self._why_ended = "its writer has ended"

    def __enter__(self) -> "Journal":
        journal = opened(self.path)
        self._reader = journal.connection
        self._file = self.path.stat().st_ino
        self.remarks += [journal.remark] if journal.remark else []
        self._writer = threading.Thread(target=self._write, name="journal", daemon=True)
        self._writer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._entries.put(None)
        self._writer.join()
        try:
            self.restored()
        finally:
            self._reader.close()

    def find(self, key: str) -> Found:
        """Return what there is for `key`."""
        rows = self._rows(FIND, key)
        for outcome, number, text, stop_reason, *tokens, model, request_id, stop_detail, attempts, seconds, cost_usd in rows:
            if outcome in USABLE:
                raw = RawReply(text, stop_reason, Usage(*tokens), model, request_id, stop_detail, attempts, seconds, cost_usd=cost_usd)
                return Found(outcome, raw, number, len(rows))
        return Found("", RawReply("", "", None, ""), 0, len(rows))

    async def store(self, entry: Entry) -> None:
        """Return once `entry` is on disk. Raises JournalError when it can't be written."""
        stored = asyncio.get_running_loop().create_future()
        self._entries.put((entry, stored))
        if self._ended.is_set():  # the writer will not look again
            self._refuse_waiting()
        await stored

    def spent_usd(self) -> float:
        """Return what was paid in this run."""
        return float(self._rows("SELECT TOTAL(cost_usd) FROM reply")[0][0])

    def slots_and_stages(self) -> set[tuple[str, str]]:
        """Return each (slot, stage) for which a reply was paid."""
        return set(self._rows("SELECT DISTINCT slot, stage FROM reply"))

    def paid_since(self, key: str, at: float) -> bool:
        return bool(self._rows("SELECT 1 FROM reply WHERE key = ? AND at >= ?", key, at))

    def has_reply(self, key: str, request_id: str, *, since: float) -> bool:
        """Whether this reply of a batch was journalled before; one without an id, whether any was since then."""
        if not request_id:
            return self.paid_since(key, since)
        return bool(self._rows("SELECT 1 FROM reply WHERE key = ? AND request_id = ?", key, request_id))

    def restored(self) -> bool:
        """Whether the file had been deleted or replaced since it was opened. It is then written again from the open connection."""
        if self.path.exists() and self.path.stat().st_ino == self._file:
            return False
        if self.path.exists():
            moved_aside(self.path, "replaced")
        try:
            with closing(sqlite3.connect(self.path)) as copy:
                self._reader.backup(copy)
        except sqlite3.Error as error:
            raise cannot("written again, after it was deleted while the run was at work", self.path, error) from None
        self._file = self.path.stat().st_ino
        return True

    def intend_shard(self, requests: Iterable[Asked]) -> Shard:
        """Write down, before it is sent, what a batch is to hold."""
        shard = Shard(0, time.time(), tuple(requests), secrets.token_hex(8))
        listed = [[asked.key, asked.slot, asked.stage, asked.vote, asked.model, asked.worst_usd] for asked in shard.requests]
        text = json.dumps({"mark": shard.mark, "requests": listed})
        number = self._changed("INSERT INTO shard (at, keys) VALUES (?, ?)", shard.at, text)
        return Shard(number, shard.at, shard.requests, shard.mark)

    def name_shard(self, shard: Shard, batch_id: str) -> None:
        self._changed("UPDATE shard SET batch_id = ? WHERE number = ?", batch_id, shard.number)

    def close_shard(self, shard: Shard) -> None:
        """Note that all its results were read, or that it was never bought."""
        self._changed("UPDATE shard SET open = 0 WHERE number = ?", shard.number)

    def open_shards(self) -> list[Shard]:
        return [_shard(*row) for row in self._rows("SELECT number, at, keys, batch_id FROM shard WHERE open ORDER BY number")]

    def shard_ids(self) -> set[str]:
        return {row[0] for row in self._rows("SELECT batch_id FROM shard")}

    def _rows(self, query: str, *values: object) -> list[Any]:
        try:
            return self._reader.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise self._problem(error, "read") from None

    def _changed(self, statement: str, *values: object) -> int:
        try:
            with self._reader:
                return int(self._reader.execute(statement, values).lastrowid or 0)
        except sqlite3.Error as error:
            raise self._problem(error, "written") from None

    def _problem(self, error: sqlite3.Error, what: str) -> JournalError:
        if is_damage(error):
            return JournalError(f"{self.path} is damaged ({error}). Run again: what can be read of it is copied to a new one.")
        return cannot(what, self.path, error)

    def _write(self) -> None:
        """Commit what comes in until None comes. Whatever ends this thread, no call is left waiting."""
        try:
            with closing(connected(self.path, check=False)) as connection:
                while batch := self._next_batch():
                    entries = [pair for pair in batch if pair is not None]
                    _tell(entries, self._problem_of_writing(connection, entries))
                    if None in batch:
                        return
        except (JournalError, Damaged) as error:
            self._why_ended = str(error)
        finally:
            self._ended.set()
            self._refuse_waiting()

    def _problem_of_writing(self, connection: sqlite3.Connection, entries: list[Waiting]) -> Exception | None:
        try:
            with connection:
                connection.executemany(INSERT, (entry.row() for entry, _ in entries))
        except sqlite3.Error as error:  # a full disk, say
            return self._problem(error, "written")
        except Exception as error:  # noqa: BLE001  # a bug: the calls that wait must end in it, not wait for ever
            return error
        return None

    def _refuse_waiting(self) -> None:
        refused = []
        while not self._entries.empty():
            if pair := self._entries.get():
                refused.append(pair)
        _tell(refused, JournalError(f"{self.path}: can't be written ({self._why_ended}). Run again; what was stored is safe."))

    def _next_batch(self) -> list[Waiting | None]:
        batch = [self._entries.get()]
        while batch[-1] is not None and not self._entries.empty():
            batch.append(self._entries.get())
        return batch


def ledger(path: Path) -> list[Spent]:
    """Return what was spent, by stage and model as returned; empty when there is no journal. Raises JournalError."""
    if not path.exists():
        return []
    try:
        with closing(sqlite3.connect(path, timeout=30)) as connection:
            return [Spent(stage, model, calls, Usage(*tokens), cost) for stage, model, calls, *tokens, cost in connection.execute(LEDGER)]
    except sqlite3.Error as error:
        if "no such table" in str(error):  # made, but nothing was ever stored
            return []
        raise JournalError(f"{path}: can't be read ({error}). Run 01_generate again: it mends a damaged journal.") from None


def _shard(number: int, at: float, text: str, batch_id: str) -> Shard:
    """Return a shard as it was written down; earlier versions wrote a list of keys."""
    try:
        written = json.loads(text)
        if isinstance(written, list):
            return Shard(number, at, tuple(Asked(key, "", "", 0, "", 0.0) for key in written), "", batch_id)
        return Shard(number, at, tuple(Asked(*fields) for fields in written["requests"]), written["mark"], batch_id)
    except (ValueError, KeyError, TypeError):
        raise JournalError(f"The journal's entry {number} of a batch ({batch_id}) was changed. Delete it from its table shard.") from None


def _tell(entries: Iterable[Waiting], problem: Exception | None) -> None:
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
