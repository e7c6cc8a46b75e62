"""Calls gathered into Message Batches at half the price, under the same `ask`.

A shard is sent when it is full, or when no coroutine has anything more to add. What was intended is journalled before the batch is
created and its id after, so that a crash in between finds the batch again instead of buying it twice. Every result is journalled as it is
read, whether or not a call waits for it, and a shard is closed once each of its requests has an answer. Interrupting leaves the batch
running, and the next run picks it up. Source of the limits: Anthropic, Message Batches (100,000 requests or 256 MB a batch).
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from lib.llm.batch_wire import ODD, BatchGone, BatchWire
from lib.llm.books import Books
from lib.llm.call import Asked, Call, CallFailed, ProviderError, RawReply, Transient
from lib.llm.journal import Shard
from lib.llm.live import request
from lib.llm.wire import WireBatch, unreadable_reply

SHARD_REQUESTS, SHARD_BYTES = 10_000, 64_000_000
QUIET_S = 1.0  # no request for so long: every open coroutine waits
CLOCK_SLACK_S = 600.0  # between our clock and the provider's
TRIES_TO_READ = 3  # the results, when fewer come than there should be
TRIES_OF_A_REQUEST = 2  # in batches one after another, when it expired or its batch is gone


class BatchTransport:
    """`report(text)` shows the progress of a batch. `remarks` say what a person should know afterwards."""

    def __init__(self, wire: BatchWire, books: Books, *, poll_s: float) -> None:
        self.wire, self.books, self.journal, self.poll_s = wire, books, books.journal, poll_s
        self.report: Callable[[str], None] = lambda _: None
        self.remarks: list[str] = []
        self._pending: dict[str, tuple[Asked, dict[str, Any]]] = {}
        self._bytes = 0
        self._waiters: dict[str, asyncio.Future[RawReply]] = {}
        self._bought: dict[str, Asked] = {}  # under way in a batch of an earlier pass
        self._read: set[str] = set()  # journalled before a call asked for it
        self._early: dict[str, Exception] = {}  # what became of a request before a call asked for it, when it brought no reply
        self._quiet: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def holds(self, key: str) -> bool:
        """Whether the reply was bought before and is under way, so that asking for it costs nothing more."""
        return key in self._bought or (key in self._read and bool(self.journal.find(key).outcome))

    async def send(self, call: Call[Any], *, max_tokens: int, asked: Asked) -> RawReply:
        """Return the reply when its batch has ended. Raises as the live transport does; Transient for what expired."""
        key = asked.key
        if key in self._early:
            raise self._early.pop(key)
        if key in self._read:
            self._read.discard(key)
            if (found := self.journal.find(key)).outcome:  # else it was of no use, and is asked for anew
                return found.raw
        waiter: asyncio.Future[RawReply] = asyncio.get_running_loop().create_future()
        self._waiters[key] = waiter
        if key not in self._bought:
            self._gather(asked, request(call, max_tokens=max_tokens))
        return await waiter

    async def resume(self) -> None:
        """Take up the shards that an earlier run has bought, or may have bought, and not yet read."""
        for shard in self.journal.open_shards():
            try:
                batch_id = await self._id_of(shard)
            except (Transient, CallFailed) as problem:
                raise ProviderError(
                    f"A batch of {len(shard.requests):,} requests may be under way, and can't be looked for ({problem.detail}). "
                    "Run again later."
                ) from None
            if not batch_id:
                self.journal.close_shard(shard)
                continue
            for asked in self._without_reply(shard):
                self._bought[asked.key] = asked
                self.books.budget.hold(asked.worst_usd)
            self._start(self._follow(shard, batch_id))

    async def collect(self) -> None:
        """Read the shards whose batch has ended, for a live run; of the others say that they are under way."""
        for shard in self.journal.open_shards():
            if not (batch_id := shard.batch_id):  # to look for it could mean to wait for others' batches
                self.remarks.append(
                    f"An earlier pass in MODE=batch was stopped while it sent {len(shard.requests):,} requests, which may be under way. "
                    "Live calls ask for the same again; MODE=batch looks for the batch."
                )
                continue
            try:
                if (await self.wire.retrieved(batch_id)).processing_status == "ended":
                    await self._read_all(shard, batch_id)
                    continue
                why = f"is still under way with {len(self._without_reply(shard)):,} requests"
            except BatchGone:
                self.journal.close_shard(shard)
                continue
            except (Transient, CallFailed) as problem:
                why = f"can't be read just now ({problem.detail})"
            self.remarks.append(
                f"Batch {batch_id} of an earlier pass in MODE=batch {why}. Live calls ask for the same again; MODE=batch waits for it."
            )

    async def close(self) -> None:
        """Stop watching. Batches go on at the provider."""
        if self._quiet:
            self._quiet.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # ── what is sent ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _gather(self, asked: Asked, parameters: dict[str, Any]) -> None:
        size = len(json.dumps(parameters))
        if self._pending and (len(self._pending) >= SHARD_REQUESTS or self._bytes + size > SHARD_BYTES):
            self._dispatch()
        self._pending[asked.key] = asked, parameters
        self._bytes += size
        if self._quiet:
            self._quiet.cancel()
        self._quiet = asyncio.get_running_loop().call_later(min(QUIET_S, self.poll_s), self._dispatch)

    def _dispatch(self) -> None:
        if self._pending:
            requests, self._pending, self._bytes = self._pending, {}, 0
            self._start(self._buy(requests))

    def _start(self, coroutine: Any) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _buy(self, requests: dict[str, tuple[Asked, dict[str, Any]]]) -> None:
        try:
            shard = self.journal.intend_shard(asked for asked, _ in requests.values())
            listed = [{"custom_id": shard.custom_id(key), "params": parameters} for key, (_, parameters) in requests.items()]
            batch_id = await self.wire.created(listed, found=lambda: self._id_of(shard), pause_s=self.poll_s)
            self.journal.name_shard(shard, batch_id)
        except Exception as error:  # noqa: BLE001  # whatever it is, every waiting call must end in it
            for key in requests:  # the intent stays open: whether it was bought is looked up by the next run
                await self._deliver(key, error)
            return
        await self._follow(shard, batch_id)

    async def _id_of(self, shard: Shard) -> str:
        """Return the id of the batch that `shard` became, or "" when it became none."""
        if shard.batch_id:
            return shard.batch_id
        known, size = self.journal.shard_ids(), len(shard.requests)
        for batch in await self.wire.listed():
            age_s = _age_s(batch, shard)
            fits = batch.request_counts.processing + batch.request_counts.answered == size and abs(age_s) <= CLOCK_SLACK_S
            if fits and batch.id not in known and await self._is_of(shard, batch.id):
                self.journal.name_shard(shard, batch.id)
                return batch.id
        return ""

    async def _is_of(self, shard: Shard, batch_id: str) -> bool:
        """Whether the batch answers this shard's requests: its custom ids tell, once it has ended."""
        ours = shard.by_custom_id
        try:
            await self._ended(batch_id, len(ours))
            async for custom_id, _ in self.wire.results(batch_id):
                if not custom_id.startswith(ODD):
                    return custom_id in ours
        except BatchGone:
            pass
        return False

    # ── what comes back ──────────────────────────────────────────────────────────────────────────────────────────────

    async def _follow(self, shard: Shard, batch_id: str) -> None:
        try:
            await self._ended(batch_id, len(shard.requests))
            await self._read_all(shard, batch_id)
        except BatchGone as gone:
            self.journal.close_shard(shard)
            self.remarks.append(f"Batch {batch_id} is gone at the provider ({gone}): what it had not answered yet is asked anew.")
            await self._deliver_rest(shard, Transient("expired", f"{batch_id} is gone ({gone})", most_attempts=TRIES_OF_A_REQUEST))
        except Exception as error:  # noqa: BLE001  # whatever it is, every waiting call must end in it
            await self._deliver_rest(shard, error)

    async def _ended(self, batch_id: str, size: int) -> None:
        async for batch in self.wire.polled(batch_id, every_s=self.poll_s):
            self.report(
                f"{batch_id}: {size - batch.request_counts.processing:,} of {size:,} answered" if batch else f"{batch_id}: no answer"
            )

    async def _read_all(self, shard: Shard, batch_id: str) -> None:
        """Journal every result, close the shard when each of its requests has one, and then say what brought no reply."""
        left, without, seen = shard.by_custom_id, dict[str, Exception](), set[str]()
        for attempt in range(TRIES_TO_READ):
            if attempt:
                await asyncio.sleep(self.poll_s)
            async for custom_id, result in self.wire.results(batch_id):
                seen.add(custom_id)
                if asked := left.pop(custom_id, None):
                    await self._receive(shard, asked, self.wire.outcome(result, batch_id, most_attempts=TRIES_OF_A_REQUEST), without)
            if not left or len(seen) >= len(shard.requests):
                break
        if left and len(seen) < (await self.wire.retrieved(batch_id)).request_counts.answered:
            raise CallFailed("unavailable", f"only {len(seen):,} results of {batch_id} came. Run again later to read the rest.")
        are_odd = any(custom_id.startswith(ODD) for custom_id in seen)  # then the lines that could not be read were of those left
        for asked in left.values():
            lost = f"not among the results of {batch_id}"
            outcome = unreadable_reply(lost, secrets=()) if are_odd else Transient("expired", lost, most_attempts=TRIES_OF_A_REQUEST)
            await self._receive(shard, asked, outcome, without)
        self.journal.close_shard(shard)
        for key, problem in without.items():
            await self._deliver(key, problem)

    async def _receive(self, shard: Shard, asked: Asked, outcome: RawReply | Exception, without: dict[str, Exception]) -> None:
        """Journal a reply unless an earlier pass did, and hand it on; put what is no reply into `without`."""
        if isinstance(outcome, Exception):
            without[asked.key] = outcome
        elif not self.journal.has_reply(asked.key, outcome.request_id, since=shard.at):
            await self._deliver(asked.key, await self.books.receive(asked, outcome))

    def _without_reply(self, shard: Shard) -> list[Asked]:
        return [asked for asked in shard.requests if not self.journal.paid_since(asked.key, shard.at)]

    async def _deliver_rest(self, shard: Shard, error: Exception) -> None:
        for asked in shard.requests:
            if asked.key in self._waiters or asked.key in self._bought:
                await self._deliver(asked.key, error)

    async def _deliver(self, key: str, outcome: RawReply | Exception) -> None:
        if bought := self._bought.pop(key, None):
            await self.books.budget.release(bought.worst_usd)
        waiter = self._waiters.pop(key, None)
        if waiter is None and isinstance(outcome, Exception):
            self._early[key] = outcome
        elif waiter is None:
            self._read.add(key)
        elif not waiter.done():
            if isinstance(outcome, Exception):
                waiter.set_exception(outcome)
            else:
                waiter.set_result(outcome)


def _age_s(batch: WireBatch, shard: Shard) -> float:
    """Return how much later the batch was created than the shard was intended; 0 where the provider names no moment that could be."""
    try:
        created_at = batch.created_at.timestamp() if batch.created_at else 0.0
        return created_at - shard.at if created_at > 0 else 0.0
    except (ValueError, OverflowError):  # the year 1
        return 0.0
