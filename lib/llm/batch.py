"""Calls that are collected into Message Batches, at half the price of live calls.

A shard is the list of calls that becomes one batch. It is sent when it is full, or when no call has joined it for a moment. The journal
stores the shard before its batch is created, and the batch's id after that. So the next run finds the batch of a run that was stopped in
between, and nothing is paid twice. Each reply is stored as soon as it is read, even when no call waits for it. A shard is closed when
each of its requests has an answer. Source of the limits: Anthropic, Message Batches (100,000 requests or 256 MB a batch).
"""

import asyncio
import json
from collections.abc import Callable, Collection, Coroutine
from typing import Any

from lib.llm.batch_wire import BatchFailed, BatchGone, BatchWire, expired
from lib.llm.books import Books
from lib.llm.call import Asked, Call, CallFailed, ProviderError, RawReply, Transient
from lib.llm.lost_batches import found_batch
from lib.llm.shards import Shard
from lib.llm.wire import WireBatch

SHARD_REQUESTS, SHARD_BYTES = 10_000, 64_000_000
QUIET_S = 1.0  # without a new call, after which a shard is sent
Request = tuple[Asked, dict[str, Any]]  # with the parameters of `messages.create`


class BatchTransport:
    """`report(text)` shows the progress of a batch. `remarks` are what a person should know afterwards.

    Of the journal's shards, those are its own that were sent to this provider for one of these `stages`.
    """

    def __init__(self, wire: BatchWire, books: Books, *, poll_s: float, stages: Collection[str]) -> None:
        self.wire, self.books, self.journal, self.poll_s, self.stages = wire, books, books.journal, poll_s, stages
        self.report: Callable[[str], None] = lambda _: None
        self.remarks: list[str] = []
        self._pending: dict[str, Request] = {}  # the shard that is being collected
        self._bytes = 0  # of the pending requests
        self._waiters: dict[str, asyncio.Future[RawReply | Exception]] = {}  # the calls that wait for a batch
        self._under_way: dict[str, Asked] = {}  # requests in a batch of an earlier pass
        self._early: dict[str, Exception] = {}  # errors of requests in a batch of an earlier pass, for the calls that come later
        self._quiet: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def holds(self, key: str) -> bool:
        """Whether the reply was paid for by an earlier pass, so that asking for it costs nothing."""
        return key in self._under_way or bool(self.journal.find(key).outcome)

    async def send(self, call: Call[Any], asked: Asked) -> RawReply:
        """Return the reply when its batch has ended. Raises as the live transport does, and Transient for a request that expired."""
        key = asked.key
        if key in self._early:
            raise self._early.pop(key)
        if (found := self.journal.find(key)).outcome:  # read from an earlier batch since the call was begun
            return found.raw
        waiter: asyncio.Future[RawReply | Exception] = asyncio.get_running_loop().create_future()
        self._waiters[key] = waiter
        if key not in self._under_way:
            self._collect(asked, self.wire.dialect.parameters(call))
        outcome = await waiter
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def resume(self) -> None:
        """Wait, in the background, for the batches of earlier runs that are still to be read."""
        for shard in self._own_shards():
            try:
                batch_id = await self._id_of(shard)
            except (Transient, CallFailed) as problem:
                raise ProviderError(
                    f"A batch of {len(shard.requests):,} may be under way, and can't be looked for ({problem.detail}). Run again later."
                ) from None
            if not batch_id:
                self.journal.close_shard(shard)
                continue
            for asked in shard.requests:
                if not self.journal.paid_since(asked.key, shard.at):
                    self._under_way[asked.key] = asked
                    self.books.budget.hold(asked.worst_usd)
            self._start(self._follow(shard, batch_id))

    async def collect(self) -> None:
        """Read the batches that have ended, and add a remark about each other one. A live run does not wait for them."""
        for shard in self._own_shards():
            if state := await self._state_unless_read(shard):
                self.remarks.append(f"{state}. Live calls ask for the same again; MODE=batch waits for it.")

    def _own_shards(self) -> list[Shard]:
        return [shard for shard in self.journal.open_shards() if shard.is_of(self.wire.provider.id, self.stages)]

    async def _state_unless_read(self, shard: Shard) -> str:
        """Read the shard's batch if it has ended, and return "". Otherwise return what is known about it."""
        size, batch_id = f"{len(shard.requests):,} requests", shard.batch_id
        if not batch_id:  # looking for it could mean waiting for other runs' batches
            return f"An earlier pass in MODE=batch was stopped while it sent a batch of {size}, which may be under way"
        try:
            batch = await self.wire.retrieved(batch_id)
            if batch.processing_status != "ended":
                return f"Batch {batch_id} of an earlier pass in MODE=batch is still under way with {size}"
            await self._read_all(shard, batch_id, answered=batch.answered)
        except (BatchGone, BatchFailed):
            self.journal.close_shard(shard)
        except (Transient, CallFailed) as problem:
            return f"Batch {batch_id} of an earlier pass in MODE=batch can't be read just now ({problem.detail})"
        return ""

    async def close(self) -> None:
        """Stop waiting for batches, which go on at the provider, and send no other."""
        self._pending.clear()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _collect(self, asked: Asked, parameters: dict[str, Any]) -> None:
        """Add a request to the shard. A shard that would become too large is sent first."""
        size = len(json.dumps(parameters))
        if len(self._pending) >= SHARD_REQUESTS or self._bytes + size > SHARD_BYTES:
            self._dispatch()
        self._pending[asked.key] = asked, parameters
        self._bytes += size
        if self._quiet:
            self._quiet.cancel()
        self._quiet = asyncio.get_running_loop().call_later(min(QUIET_S, self.poll_s), self._dispatch)

    def _dispatch(self) -> None:
        if self._pending:
            requests, self._pending, self._bytes = self._pending, {}, 0
            self._start(self._create(requests))

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _create(self, requests: dict[str, Request]) -> None:
        try:
            shard = self.journal.intend_shard((asked for asked, _ in requests.values()), provider=self.wire.provider.id)
            named = {shard.custom_id(key): parameters for key, (_, parameters) in requests.items()}
            batch_id = await self.wire.created(named, mark=shard.mark, found=lambda: self._id_of(shard), pause_s=self.poll_s)
            self.journal.name_shard(shard, batch_id)
        except Exception as error:  # noqa: BLE001  # whatever it is, every waiting call must end in it
            for key in requests:  # the shard stays open, so that the next run looks for its batch
                await self._deliver(key, error)
        else:
            await self._follow(shard, batch_id)

    async def _id_of(self, shard: Shard) -> str:
        """Return the id of the shard's batch, or "" when there is none."""
        if not shard.batch_id and (batch_id := await found_batch(shard, self.wire, known=self.journal.shard_ids(), poll_s=self.poll_s)):
            self.journal.name_shard(shard, batch_id)
            return batch_id
        return shard.batch_id

    async def _follow(self, shard: Shard, batch_id: str) -> None:
        """Wait for the batch and read it. An error is passed to each call that still waits for it."""
        try:
            batch = await self._ended(batch_id)
            await self._read_all(shard, batch_id, answered=batch.answered)
            return
        except BatchFailed as failed:
            self.journal.close_shard(shard)
            error: Exception = ProviderError(f"{failed}. What it had answered is kept. Run again to ask for the rest in a new batch.")
        except BatchGone as gone:
            error = expired(f"{batch_id} is gone ({gone})")
            self.journal.close_shard(shard)
            self.remarks.append(f"Batch {batch_id} is gone at the provider ({gone}): what it had not answered yet is asked anew.")
        except Exception as caught:  # noqa: BLE001  # whatever it is, every waiting call must end in it
            error = caught
        for asked in shard.requests:
            await self._deliver(asked.key, error)

    async def _ended(self, batch_id: str) -> WireBatch:
        return await self.wire.ended(batch_id, every_s=self.poll_s, report=lambda text: self.report(text))

    async def _read_all(self, shard: Shard, batch_id: str, *, answered: int) -> None:
        """Store every reply, close the shard, and only then pass on the errors. Raises CallFailed when results are missing."""
        requests, errors = shard.by_custom_id, dict[str, Exception]()
        async for custom_id, outcome in self.wire.outcomes(batch_id, custom_ids=list(requests), answered=answered):
            asked = requests[custom_id]
            if isinstance(outcome, Exception):
                errors[asked.key] = outcome
            elif not self.journal.has_reply(asked.key, outcome.request_id, since=shard.at):  # unless an earlier pass has stored it
                await self._deliver(asked.key, await self.books.receive(asked, outcome))
        self.journal.close_shard(shard)
        for key, error in errors.items():
            await self._deliver(key, error)

    async def _deliver(self, key: str, outcome: RawReply | Exception) -> None:
        """Pass the outcome to the call that waits for it. When none does yet, keep an error. A reply is in the journal."""
        if earlier := self._under_way.pop(key, None):
            await self.books.budget.release(earlier.worst_usd)
        if waiter := self._waiters.pop(key, None):
            if not waiter.done():
                waiter.set_result(outcome)
        elif earlier and isinstance(outcome, Exception):
            self._early[key] = outcome
