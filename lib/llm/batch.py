"""Calls gathered into Message Batches at half the price, under the same `ask`.

A shard is sent when it is full, or when no coroutine has anything more to add. What was intended is journalled before the batch is
created and its id after, so that a crash in between finds the batch again instead of buying it twice. Results come unordered and are
matched by custom id, which is the reply's key. Interrupting leaves the batch running; the next run picks it up.
Source of the limits: Anthropic, Message Batches (100,000 requests or 256 MB a batch; ours stay far below).
"""

import asyncio
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lib.llm.call import Call, CallFailed, ProviderError, RawReply
from lib.llm.journal import Journal, Shard
from lib.llm.live import Transient, problem_of, raw_reply, request
from lib.llm.provider import fatal_error, unreachable

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

SHARD_REQUESTS, SHARD_BYTES = 10_000, 64_000_000
QUIET_S = 1.0  # no request for so long: every open coroutine waits
CLOCK_SLACK_S = 600.0  # between our clock and the provider's
TRIES_TO_CREATE = 6


class BatchTransport:
    """`report` is told, in a few words, how the batches stand."""

    def __init__(self, client: "AsyncAnthropic", journal: Journal, *, poll_s: float) -> None:
        self.client, self.journal, self.poll_s = client, journal, poll_s
        self.report: Callable[[str], None] = lambda _: None
        self._pending: dict[str, dict[str, Any]] = {}
        self._bytes = 0
        self._waiters: dict[str, asyncio.Future[RawReply]] = {}
        self._bought: dict[str, Shard] = {}  # key -> the shard of an earlier run that holds it
        self._early: dict[str, RawReply | Exception] = {}
        self._quiet: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def send(self, call: Call[Any], *, max_tokens: int, key: str) -> RawReply:
        """Return the reply when its batch has ended. Raises as the live transport does; Transient for what expired."""
        if key in self._early:
            return _taken(self._early.pop(key))
        waiter: asyncio.Future[RawReply] = asyncio.get_running_loop().create_future()
        self._waiters[key] = waiter
        if key not in self._bought:
            self._gather(key, request(call, max_tokens=max_tokens))
        return await waiter

    async def resume(self) -> None:
        """Take up the shards that an earlier run has bought, or may have bought, and not yet read."""
        for shard in self.journal.open_shards():
            batch_id = shard.batch_id or await self._find(shard)
            wanted = [key for key in shard.keys if not self.journal.paid_since(key, shard.at)]
            if not batch_id or not wanted:
                self.journal.close_shard(shard)
                continue
            self._bought |= dict.fromkeys(wanted, shard)
            self._start(self._follow(shard, batch_id, wanted))

    async def close(self) -> None:
        """Stop watching. Batches go on at the provider."""
        if self._quiet:
            self._quiet.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _gather(self, key: str, parameters: dict[str, Any]) -> None:
        size = len(json.dumps(parameters))
        if self._pending and (len(self._pending) >= SHARD_REQUESTS or self._bytes + size > SHARD_BYTES):
            self._dispatch()
        self._pending[key] = parameters
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

    async def _buy(self, requests: dict[str, dict[str, Any]]) -> None:
        shard = self.journal.intend_shard(list(requests))
        try:
            batch_id = await self._created(shard, requests)
            self.journal.name_shard(shard, batch_id)
        except Exception as error:  # noqa: BLE001  # whatever it is, every waiting call must hear of it
            for key in requests:  # the intent stays open: whether it was bought is looked up by the next run
                self._deliver(key, error)
            return
        await self._follow(shard, batch_id, list(requests))

    async def _created(self, shard: Shard, requests: dict[str, dict[str, Any]]) -> str:
        """Create the batch once. After an error that leaves it open whether it was created, look before trying again."""
        import anthropic

        listed = [{"custom_id": key, "params": parameters} for key, parameters in requests.items()]
        for attempt in range(1, TRIES_TO_CREATE + 1):
            try:
                return (await self.client.messages.batches.create(requests=listed)).id  # type: ignore[arg-type]  # plain dicts are taken
            except anthropic.APIConnectionError as error:
                problem: Exception = unreachable(self.client, error)
            except anthropic.APIStatusError as error:
                problem = problem_of(error)
                if not isinstance(problem, Transient):
                    raise problem from None
            await asyncio.sleep(min(30.0, self.poll_s * attempt))
            if found := await self._find(shard):
                return found
        raise problem

    async def _find(self, shard: Shard) -> str:
        """Return the id of the batch that `shard` became, if it did: of its size, nearest to its time, and not yet ours."""
        ours, nearest = self.journal.shard_ids(), (CLOCK_SLACK_S, "")
        async for batch in self.client.messages.batches.list(limit=100):
            age_s = batch.created_at.timestamp() - shard.at
            if age_s < -CLOCK_SLACK_S:
                break
            counts = batch.request_counts
            size = counts.processing + counts.succeeded + counts.errored + counts.canceled + counts.expired
            if batch.id not in ours and size == len(shard.keys):
                nearest = min(nearest, (abs(age_s), batch.id))
        if nearest[1]:
            self.journal.name_shard(shard, nearest[1])
        return nearest[1]

    async def _follow(self, shard: Shard, batch_id: str, keys: list[str]) -> None:
        missing = set(keys)
        try:
            await self._ended(batch_id, len(keys))
            async for line in await self.client.messages.batches.results(batch_id):
                if line.custom_id in missing:
                    missing.discard(line.custom_id)
                    self._deliver(line.custom_id, _result(line.result))
        except Exception as error:  # noqa: BLE001  # whatever it is, every waiting call must hear of it
            for key in missing:
                self._deliver(key, error)
            return
        for key in missing:
            self._deliver(key, Transient("expired", f"not among the results of {batch_id}"))
        self.journal.close_shard(shard)

    async def _ended(self, batch_id: str, size: int) -> None:
        import anthropic

        while True:
            try:
                batch = await self.client.messages.batches.retrieve(batch_id)
                self.report(f"{batch_id}: {size - batch.request_counts.processing:,} of {size:,} answered")
                if batch.processing_status == "ended":
                    return
            except anthropic.APIStatusError as error:
                if fatal := fatal_error(error):
                    raise fatal from None
            except anthropic.APIConnectionError:
                self.report(f"{batch_id}: can't be reached just now")
            await asyncio.sleep(self.poll_s)

    def _deliver(self, key: str, outcome: RawReply | Exception) -> None:
        self._bought.pop(key, None)
        waiter = self._waiters.pop(key, None)
        if waiter is None:
            self._early[key] = outcome
        elif not waiter.done():
            if isinstance(outcome, Exception):
                waiter.set_exception(outcome)
            else:
                waiter.set_result(outcome)


def _taken(outcome: RawReply | Exception) -> RawReply:
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def _result(result: Any) -> RawReply | Exception:
    if result.type == "succeeded":
        return raw_reply(result.message.to_dict())
    if result.type == "errored":
        error = result.error.error
        if error.type == "invalid_request_error":
            return CallFailed("rejected", f"in a batch: {error.message[:300]}")
        if error.type in ("authentication_error", "billing_error", "permission_error", "not_found_error"):
            return ProviderError(f"In a batch: {error.message}. What is done is kept; mend it and run again.")
        return Transient("5xx", f"in a batch: {error.message[:200]}")
    return Transient("expired", f"the request was {result.type} in its batch")
