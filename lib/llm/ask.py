"""`ask(call) -> reply`: journal, budget, window and transport put around one another, from the outside in."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pydantic import BaseModel

from lib.llm.answers import begins_as_json, reply_or_failure
from lib.llm.batch import SHARD_REQUESTS, BatchTransport
from lib.llm.batch_wire import BatchWire
from lib.llm.books import Books, price_for
from lib.llm.budget import CHARACTERS_PER_TOKEN, Budget, cache_minimum
from lib.llm.call import Asked, Call, CallFailed, ProviderError, RawReply, Reply, Transient
from lib.llm.journal import Entry, Journal
from lib.llm.live import LiveTransport
from lib.llm.loop import Stopping
from lib.llm.models import check_models
from lib.llm.provider import Provider, open_provider
from lib.llm.window import Window
from lib.prompts.rendering import Stage
from lib.settings import Settings

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

A = TypeVar("A", bound=BaseModel)
ATTEMPTS_TO_REACH = 10  # at the provider, for one reply
ANSWERS_TO_PAY = 3  # for one call, when answers are cut off or invalid
ANSWERS_TO_TELL = 8  # of a stage, all of them prose: the endpoint ignores the schema
LONGEST_WAIT_S = 60.0  # however long `retry-after` asks for: a limit that holds longer shows again
PLACE_HELD_S = 1.0  # after a 429
MOST_TOKENS = 21_000  # above 21,333 the SDK wants streaming


class Transport(Protocol):
    """`report(text)` shows the progress of a batch. `remarks` are what a person should know afterwards.

    `holds(key)`: the reply is bought already, and under way.
    """

    report: Callable[[str], None]
    remarks: list[str]

    def holds(self, key: str) -> bool: ...

    async def send(self, call: Call[Any], *, max_tokens: int, asked: Asked) -> RawReply: ...


class Asker:
    """The `ask` function with the state that all calls share: books, window, transport, and whether the stop button was pressed."""

    def __init__(
        self, provider: Provider, *, books: Books, window: Window, transport: Transport, settings: Settings, stopping: Stopping
    ) -> None:
        self.provider, self.books, self.window, self.transport, self.stopping = provider, books, window, transport, stopping
        self.settings = settings
        self.replayed = self.asked = 0
        self._prose: Counter[str] = Counter()
        self._heeding: set[str] = set()  # stages in which the endpoint has answered in JSON
        self._leaders: dict[tuple[str, str, str], asyncio.Event] = {}
        self._replayable: set[tuple[str, str]] | None = None

    @property
    def workers(self) -> int:
        """How many samples to work on at once: more than calls in flight, so that none waits while another reply is written to disk."""
        return self.window.width + self.window.width // 4

    async def __call__(self, call: Call[A]) -> Reply[A]:
        """Return the reply, from the journal when it was paid for before.

        Raises CallFailed when this call can't be had, ProviderError when none can, Stopped when nothing new is to be begun.
        """
        call = replace(call, model=self.provider.model(call.model))
        key = call.key(self.provider.id)
        found = self.books.journal.find(key)
        try:
            if found.outcome:
                outcome = reply_or_failure(call, found.raw, replayed=True)
                if found.outcome != _name(outcome):  # not validated before, or damaged since
                    asked = self.books.asked(call, key=key, max_tokens=call.max_tokens)
                    await self.books.journal.store(Entry(asked, found.number, _name(outcome), found.raw))
                if isinstance(outcome, Reply) or not outcome.may_repeat:
                    self.replayed += 1
                    return _taken(outcome)
            self.stopping.check()
            self.asked += 1
            return await self._until_valid(call, key, found.paid)
        except CallFailed as failed:
            raise failed.at(call.stage) from None

    def require_budget(self, slot: str, stages: Sequence[Stage]) -> None:
        """Raise CallFailed (over_budget) when nothing fits any more and no reply of `slot` could be replayed.

        So a pass whose budget is used up ends without rendering the prompts of all slots that are left.
        """
        if not stages or not self.books.budget.is_used_up:
            return
        if self._replayable is None:
            self._replayable = self.books.journal.slots_and_stages()
        if not any((slot, stage) in self._replayable for stage in stages):
            raise CallFailed("over_budget", "nothing fits into the budget any more", stage=stages[0])

    async def _until_valid(self, call: Call[A], key: str, paid: int) -> Reply[A]:
        max_tokens = call.max_tokens
        for answer in range(1, ANSWERS_TO_PAY + 1):
            asked = self.books.asked(call, key=key, max_tokens=max_tokens)
            raw = await self._until_reached(call, asked, max_tokens)
            outcome = reply_or_failure(call, raw, replayed=False)
            await self.books.journal.store(Entry(asked, paid + answer, _name(outcome), raw))
            self._require_json(call.stage, raw, outcome)
            if isinstance(outcome, Reply) or not outcome.may_repeat or answer == ANSWERS_TO_PAY:
                return _taken(outcome)
            if outcome.reason == "truncated":
                max_tokens = min(MOST_TOKENS, max_tokens * 2)
        raise AssertionError("unreachable: the last answer returns or raises")

    async def _until_reached(self, call: Call[Any], asked: Asked, max_tokens: int) -> RawReply:
        """Return a reply that is paid for and in the ledger. Raises CallFailed when it can't be had."""
        for attempt in range(1, ATTEMPTS_TO_REACH + 1):
            try:
                worst_usd = 0.0 if self.transport.holds(asked.key) else asked.worst_usd
                async with self.books.budget.reserve(worst_usd), self._led(call), self.window.place():
                    self.stopping.check()
                    raw = self.books.paid(asked, await self._attempt(call, asked, max_tokens, attempt))
                self.window.succeeded()
                return replace(raw, attempts=attempt)
            except Transient as problem:
                if attempt >= min(ATTEMPTS_TO_REACH, problem.most_attempts):
                    raise CallFailed("unavailable", f"{attempt} attempts, the last: {problem.detail}") from None
                await self.stopping.pause(_wait_s(attempt, problem.retry_after_s))
        raise AssertionError("unreachable: the last attempt returns or raises")

    @asynccontextmanager
    async def _led(self, call: Call[Any]) -> AsyncIterator[None]:
        """Where the prompt cache will take effect, let one call go ahead: an entry is readable only once its reply has begun."""
        minimum = cache_minimum(call.model)
        if self.settings.mode == "batch" or not minimum or len(call.prompt.system) < minimum * CHARACTERS_PER_TOKEN:
            yield
            return
        prefix = (call.model, call.stage, call.prompt.system)
        if leader := self._leaders.get(prefix):
            await leader.wait()
            yield
            return
        leader = self._leaders[prefix] = asyncio.Event()
        try:
            yield
        finally:
            leader.set()

    async def _attempt(self, call: Call[Any], asked: Asked, max_tokens: int, attempt: int) -> RawReply:
        """Send once. After a 429, keep the place for up to one second, because the next call would be rejected too."""
        try:
            return await self.transport.send(call, max_tokens=max_tokens, asked=asked)
        except Transient as problem:
            if problem.kind == "429":
                self.window.rejected()
                wait_s = _wait_s(attempt, problem.retry_after_s)
                await self.stopping.pause(min(PLACE_HELD_S, wait_s))
                problem.retry_after_s = max(0.0, wait_s - PLACE_HELD_S)
            raise

    def _require_json(self, stage: str, raw: RawReply, outcome: Reply[Any] | CallFailed) -> None:
        """Raise ProviderError when the first finished answers of a stage are all prose: all others would be, and would be paid for."""
        if stage in self._heeding or (isinstance(outcome, CallFailed) and outcome.reason in ("refusal", "truncated")):
            return
        if begins_as_json(raw):
            self._heeding.add(stage)
            return
        self._prose[stage] += 1
        if self._prose[stage] == ANSWERS_TO_TELL:
            raise ProviderError(
                f"{self.provider.host} ignores structured outputs (output_config.format): the first {ANSWERS_TO_TELL} answers of stage "
                f"{stage} are not JSON ({self.provider.plain(raw.flaw or raw.text, longest=80)}). Use an endpoint that honours them."
            )


@asynccontextmanager
async def open_asker(settings: Settings, *, journal: Path, stopping: Stopping) -> AsyncIterator[Asker]:
    """Yield `ask`. Before the first call: the models' prices, the key, the host and the models' lifecycle are checked."""
    with open_provider(settings) as provider, Journal(journal) as book:
        books = Books(book, Budget(settings.budget_usd, spent_usd=book.spent_usd()), settings, is_local=provider.is_local)
        models = [provider.model(name) for name in (settings.model, settings.judge_model)]
        for model in models:
            books.price(model)
        width = provider.width(settings)
        async with provider.client(timeout_s=settings.timeout_s, max_connections=width) as client:
            remarks = await check_models(client, models, provider=provider, timeout_s=settings.timeout_s)
            window = Window(SHARD_REQUESTS, ramp_from=SHARD_REQUESTS) if settings.mode == "batch" else Window(width)
            async with _transport(client, books, window, provider=provider, settings=settings) as transport:
                transport.remarks[:0] = remarks + book.remarks
                yield Asker(provider, books=books, window=window, transport=transport, settings=settings, stopping=stopping)


@asynccontextmanager
async def _transport(
    client: "AsyncAnthropic", books: Books, window: Window, *, provider: Provider, settings: Settings
) -> AsyncIterator[Transport]:
    wire = BatchWire(client, provider, timeout_s=settings.timeout_s)
    if settings.mode == "live":
        live = LiveTransport(client, provider, timeout_s=settings.timeout_s, heed=window.heed)
        if books.journal.open_shards():
            earlier = BatchTransport(wire, books.in_batches(), poll_s=settings.batch_poll_s)
            await earlier.collect()
            live.remarks += earlier.remarks
        yield live
        return
    batches = BatchTransport(wire, books, poll_s=settings.batch_poll_s)
    try:
        await batches.resume()
        yield batches
    finally:
        await batches.close()


def _taken(outcome: Reply[A] | CallFailed) -> Reply[A]:
    if isinstance(outcome, CallFailed):
        raise outcome
    return outcome


def _name(outcome: Reply[Any] | CallFailed) -> str:
    """Return how the journal calls an outcome."""
    return outcome.reason if isinstance(outcome, CallFailed) else "ok"


def _wait_s(attempt: int, retry_after_s: float | None) -> float:
    """Return the provider's own wait where it names one, else 0.5 s doubling, with jitter so that calls don't return together."""
    asked = retry_after_s if retry_after_s is not None else min(30.0, 0.5 * 2 ** (attempt - 1))
    return min(LONGEST_WAIT_S, asked) * random.uniform(1.0, 1.25)


__all__ = ["Asker", "open_asker", "price_for"]
