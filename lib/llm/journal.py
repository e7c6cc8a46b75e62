"""Every paid reply, in SQLite. It is committed before it is used, and found again instead of being paid for twice.

One run at a time writes a folder's journal, and others read it.
"""

import asyncio
import secrets
import sqlite3
import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from lib.llm.call import Asked, RawReply, Usage
from lib.llm.journal_file import INSERT_REPLY, JournalError, connected, error_of, opened, write_again
from lib.llm.shards import Shard, shard_of

FIND = """
SELECT
  outcome, number, text, stop_reason, input, output, cache_read, cache_write, model, request_id, stop_detail, attempts, seconds, cost_usd
FROM reply WHERE key = ? ORDER BY number
"""
ADOPT = """
INSERT INTO reply SELECT
  key, number, outcome, slot, stage, vote, model_asked, model, text, stop_reason, stop_detail, input, output, cache_read, cache_write,
  0.0, request_id, attempts, seconds, at
FROM other.reply WHERE key = ?
"""
UNREAD = "unread"  # the outcome of a batch's reply that no call has validated yet
USABLE = ("ok", "refusal", UNREAD)  # outcomes after which the same question is not asked again


@dataclass(frozen=True, slots=True)
class Found:
    """What the journal has for a key."""

    outcome: str  # of the reply that can be used; "" when there is none
    raw: RawReply
    number: int  # of the reply that can be used
    paid: int  # how many replies were paid for
    unusable: tuple[RawReply, ...] = ()  # those before it that can't be used


class Journal:
    """Open with `with Journal(path) as journal:`. Raises JournalError when the file can't be used as it is."""

    def __init__(self, path: Path, *, other: Path | None = None) -> None:
        """`other` is the journal of another run. Replies that only it has are copied at no cost when they are asked for."""
        self.path, self._other = path, other
        self._waiting = SimpleQueue[tuple[tuple[Any, ...], Future[None]]]()

    def __enter__(self) -> "Journal":
        self._reader, remark = opened(self.path)
        self.remarks = [remark] if remark else []
        self._attach_other()
        self._writer = connected(self.path, check=False)
        self._inode = self.path.stat().st_ino
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown()  # after all that waits is committed
        self._writer.close()
        with closing(self._reader):
            self.restored()

    def _attach_other(self) -> None:
        """Open the other run's journal beside this one, to be read only. Raises JournalError, which names that file."""
        if not self._other:
            return
        if not self._other.exists():
            self.remarks.append(f"{self._other} is not there, so what was asked in that run is asked and paid for again.")
            self._other = None
            return
        try:
            self._reader.execute("ATTACH ? AS other", (f"{self._other.as_uri()}?mode=ro",))
            self._reader.execute("SELECT 1 FROM other.reply LIMIT 1")
        except sqlite3.Error as error:
            raise JournalError(
                f"{self._other} can't be read ({error}). It is the journal of the run that scenarios_from names: put back the file as it "
                "was, or run 01_generate of that run again, which mends a damaged journal."
            ) from None

    def find(self, key: str) -> Found:
        """Return the first reply that can be used, and those before it that can't."""
        rows, unusable = self._execute(FIND, key), list[RawReply]()
        if not rows and self._other:
            self._execute(ADOPT, key)
            rows = self._execute(FIND, key)
        for outcome, number, text, stop_reason, *tokens, model, request_id, stop_detail, attempts, seconds, cost_usd in rows:
            raw = RawReply(text, stop_reason, Usage(*tokens), model, request_id, stop_detail, attempts, seconds, cost_usd=cost_usd)
            if outcome in USABLE:
                return Found(outcome, raw, number, len(rows), tuple(unusable))
            unusable.append(raw)
        return Found("", RawReply("", "", None, ""), 0, len(rows), tuple(unusable))

    async def store(self, asked: Asked, raw: RawReply, *, number: int, outcome: str) -> None:
        """Return once the reply is on disk. Raises JournalError when it can't be written.

        `number` is 1 for the first reply that was paid for this key, 2 for the second. `outcome` is "ok", UNREAD, or the reason why the
        reply is of no use.
        """
        committed, usage = Future[None](), raw.usage or Usage()
        row = (
            asked.key, number, outcome, asked.slot, asked.stage, asked.vote, asked.model, raw.model, raw.text, raw.stop_reason,
            raw.stop_detail, usage.input, usage.output, usage.cache_read, usage.cache_write, raw.cost_usd or 0.0, raw.request_id,
            raw.attempts, raw.seconds, time.time(),
        )  # fmt: skip
        self._waiting.put((row, committed))
        self._thread.submit(self._commit)
        await asyncio.wrap_future(committed)

    def spent_usd(self) -> float:
        """Return what was paid in this run."""
        return float(self._execute("SELECT TOTAL(cost_usd) FROM reply")[0][0])

    def slots_and_stages(self) -> set[tuple[str, str]]:
        """Return each (slot, stage) for which a reply was paid."""
        return set(self._execute("SELECT DISTINCT slot, stage FROM reply"))

    def paid_since(self, key: str, at: float) -> bool:
        return bool(self._execute("SELECT 1 FROM reply WHERE key = ? AND at >= ?", key, at))

    def has_reply(self, key: str, request_id: str, *, since: float) -> bool:
        """Return whether this reply of a batch is in the journal. One without a request id counts as there when any came since then."""
        if not request_id:
            return self.paid_since(key, since)
        return bool(self._execute("SELECT 1 FROM reply WHERE key = ? AND request_id = ?", key, request_id))

    def restored(self) -> bool:
        """Write the file again when it was deleted or replaced since it was opened, and return whether it was."""
        if self.path.exists() and self.path.stat().st_ino == self._inode:
            return False
        write_again(self._reader, self.path)
        self._inode = self.path.stat().st_ino
        return True

    def intend_shard(self, requests: Iterable[Asked], *, provider: str) -> Shard:
        """Record what a batch is to hold, before it is sent."""
        shard = Shard(0, time.time(), tuple(requests), secrets.token_hex(8), provider=provider)
        [(number,)] = self._execute("INSERT INTO shard (at, keys) VALUES (?, ?) RETURNING number", shard.at, shard.text())
        return replace(shard, number=number)

    def name_shard(self, shard: Shard, batch_id: str) -> None:
        self._execute("UPDATE shard SET batch_id = ? WHERE number = ?", batch_id, shard.number)

    def close_shard(self, shard: Shard) -> None:
        """Record that all its results were read, or that there is no such batch."""
        self._execute("UPDATE shard SET open = 0 WHERE number = ?", shard.number)

    def open_shards(self) -> list[Shard]:
        return [shard_of(row) for row in self._execute("SELECT number, at, keys, batch_id FROM shard WHERE open ORDER BY number")]

    def shard_ids(self) -> set[str]:
        return {batch_id for (batch_id,) in self._execute("SELECT batch_id FROM shard")}

    def _execute(self, statement: str, *values: object) -> list[Any]:
        """Execute one statement, commit it, and return its rows."""
        try:
            with self._reader:
                return self._reader.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise error_of(error, self.path, doing="read or written") from None

    def _commit(self) -> None:
        """Commit all rows that wait, in one transaction, and end the calls that wait for them.

        It runs in a thread, so that neither the event loop nor a fast provider waits for the disk reply by reply.
        """
        waiting = [self._waiting.get() for _ in range(self._waiting.qsize())]
        if not waiting:  # an earlier call of this function has committed them
            return
        problem: Exception | None = None
        try:
            with self._writer:
                self._writer.executemany(INSERT_REPLY, [row for row, _ in waiting])
        except sqlite3.Error as error:  # a full disk, say
            problem = error_of(error, self.path, doing="written")
        except Exception as error:  # noqa: BLE001  # a bug, in which every call that waits must end
            problem = error
        for _, committed in waiting:
            if not committed.set_running_or_notify_cancel():  # the call was cancelled
                continue
            if problem:
                committed.set_exception(problem)
            else:
                committed.set_result(None)
