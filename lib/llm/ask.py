"""`ask(call) -> reply`: journal, budget, window and transport put around one another, from the outside in."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from lib.errors import KitError
from lib.llm.batch import SHARD_REQUESTS, BatchTransport
from lib.llm.budget import CHARACTERS_PER_TOKEN, CHARACTERS_PER_TOKEN_AT_WORST, FREE, Budget, Price, cache_minimum, price_of
from lib.llm.call import Call, CallFailed, RawReply, Reply, Usage, wire_schema
from lib.llm.journal import Entry, Journal
from lib.llm.live import LiveTransport, Transient
from lib.llm.provider import Provider, check_models, open_provider
from lib.llm.window import Window
from lib.settings import Settings

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

A = TypeVar("A", bound=BaseModel)
ATTEMPTS_TO_REACH = 10  # at the provider, for one reply
ANSWERS_TO_PAY = 3  # for one call, when answers are cut off or invalid
LONGEST_WAIT_S = 60.0  # however long `retry-after` asks for: a limit that holds longer shows again
PLACE_HELD_S = 1.0  # after a 429
MOST_TOKENS = 21_000  # above 21,333 the SDK wants streaming


class Transport(Protocol):
    """`report` is told how batches stand; the live transport has nothing to say."""

    report: Callable[[str], None]

    async def send(self, call: Call[Any], *, max_tokens: int, key: str) -> RawReply: ...


class Asker:
    """Holds what calls share while a cell's window is open."""

    def __init__(
        self, provider: Provider, *, journal: Journal, budget: Budget, window: Window, transport: Transport, settings: Settings
    ) -> None:
        self.provider, self.journal, self.budget, self.window, self.transport = provider, journal, budget, window, transport
        self.settings = settings
        self.replayed = self.asked = 0
        self.remarks: list[str] = []
        self._prices: dict[str, Price] = {}
        self._leaders: dict[tuple[str, str, str], asyncio.Event] = {}

    @property
    def workers(self) -> int:
        """How many samples to work on at once: more than calls in flight, so that none waits while another reply is written to disk."""
        return self.window.width + self.window.width // 4

    async def __call__(self, call: Call[A]) -> Reply[A]:
        """Return the reply, from the journal when it was paid for before.

        Raises CallFailed when this call can't be had, ProviderError when none can.
        """
        call = replace(call, model=self.provider.model(call.model))
        key = call.key(self.provider.id)
        outcome, raw, paid = self.journal.find(key)
        try:
            if outcome:
                self.replayed += 1
                return _reply(call, raw, replayed=True)
            self.asked += 1
            return await self._until_valid(call, key, paid)
        except CallFailed as failed:
            failed.stage = call.stage
            raise

    async def _until_valid(self, call: Call[A], key: str, paid: int) -> Reply[A]:
        max_tokens, price = call.max_tokens, self._price(call.model)
        for answer in range(1, ANSWERS_TO_PAY + 1):
            async with self.budget.reserve(_worst_usd(call, price, max_tokens)):
                raw = await self._until_reached(call, key, max_tokens)
                cost_usd = price.cost_usd(raw.usage)
                self.budget.pay(cost_usd)
            reply, failed = _reply_or_failure(call, raw)
            await self.journal.store(Entry(key, paid + answer, failed.reason if failed else "ok", call, raw, cost_usd))
            if reply:
                return reply
            if failed and (failed.reason == "refusal" or answer == ANSWERS_TO_PAY):
                raise failed
            if failed and failed.reason == "truncated":
                max_tokens = min(MOST_TOKENS, max_tokens * 2)
        raise AssertionError("unreachable: the last answer returns or raises")

    async def _until_reached(self, call: Call[Any], key: str, max_tokens: int) -> RawReply:
        for attempt in range(1, ATTEMPTS_TO_REACH + 1):
            try:
                async with self._led(call), self.window.place():
                    raw = await self._attempt(call, key, max_tokens, attempt)
                self.window.succeeded()
                return replace(raw, attempts=attempt)
            except Transient as problem:
                if attempt == ATTEMPTS_TO_REACH:
                    raise CallFailed("unavailable", f"{attempt} attempts, the last: {problem.detail}") from None
                await asyncio.sleep(_wait_s(attempt, problem.retry_after_s))
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

    async def _attempt(self, call: Call[Any], key: str, max_tokens: int, attempt: int) -> RawReply:
        """Send once. After a 429 the place is held a moment: handed on at once, it would only collect the next rejection."""
        try:
            return await self.transport.send(call, max_tokens=max_tokens, key=key)
        except Transient as problem:
            if problem.kind == "429":
                self.window.rejected()
                wait_s = _wait_s(attempt, problem.retry_after_s)
                await asyncio.sleep(min(PLACE_HELD_S, wait_s))
                problem.retry_after_s = max(0.0, wait_s - PLACE_HELD_S)
            raise

    def _price(self, model: str) -> Price:
        if model not in self._prices:
            self._prices[model] = price_for(model, self.settings, is_local=self.provider.is_local)
        return self._prices[model]


def price_for(model: str, settings: Settings, *, is_local: bool) -> Price:
    return FREE if is_local else price_of(model, override=settings.price_usd_per_mtok, mode=settings.mode)


@asynccontextmanager
async def open_asker(settings: Settings, *, journal: Path) -> AsyncIterator[Asker]:
    """Yield `ask`. Before the first call: the models' prices, the key, the host and the models' lifecycle are checked."""
    with open_provider(settings) as provider, Journal(journal) as book:
        models = [provider.model(name) for name in (settings.model, settings.judge_model)]
        for model in models:
            price_for(model, settings, is_local=provider.is_local)
        width = provider.width(settings)
        async with provider.client(timeout_s=settings.timeout_s, max_connections=width) as client:
            remarks = await check_models(client, models)
            if book.set_aside:
                remarks.append(f"The journal was corrupt; it is kept as {book.set_aside.name}, and a new one was begun.")
            window = Window(SHARD_REQUESTS, ramp_from=SHARD_REQUESTS) if settings.mode == "batch" else Window(width)
            async with _transport(client, book, window, settings) as transport:
                budget = Budget(settings.budget_usd, spent_usd=book.spent_usd())
                asker = Asker(provider, journal=book, budget=budget, window=window, transport=transport, settings=settings)
                asker.remarks = remarks
                yield asker


@asynccontextmanager
async def _transport(client: "AsyncAnthropic", book: Journal, window: Window, settings: Settings) -> AsyncIterator[Transport]:
    if settings.mode == "live":
        yield LiveTransport(client, heed=window.heed)
        return
    batches = BatchTransport(client, book, poll_s=settings.batch_poll_s)
    try:
        await batches.resume()
        yield batches
    finally:
        await batches.close()


async def for_each(work: Callable[[int, Any], Awaitable[None]], things: Any, *, width: int) -> None:
    """Run `work(index, thing)` over an iterable with `width` at a time; the next starts as soon as any ends.

    The first exception other than a recorded failure cancels the others.
    """
    numbered = enumerate(things)

    async def worker() -> None:
        for index, thing in numbered:
            await work(index, thing)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(width):
                group.create_task(worker())
    except* KitError as several:
        raise several.exceptions[0] from None


def _reply_or_failure(call: Call[A], raw: RawReply) -> tuple[Reply[A] | None, CallFailed | None]:
    try:
        return _reply(call, raw, replayed=False), None
    except CallFailed as failed:
        return None, failed


def _reply(call: Call[A], raw: RawReply, *, replayed: bool) -> Reply[A]:
    if raw.stop_reason == "refusal":
        raise CallFailed("refusal", f"the model declined{f' ({raw.stop_detail})' if raw.stop_detail else ''}")
    if raw.stop_reason == "max_tokens":
        raise CallFailed("truncated", f"the answer was cut off after {raw.usage.output} tokens")
    try:
        answer = call.answer.model_validate_json(raw.text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise CallFailed("invalid_answer", f"{where or call.answer.__name__}: {first['msg']}") from None
    if objection := call.objection(answer):
        raise CallFailed("invalid_answer", objection)
    return Reply(answer, raw.model, raw.usage, raw.request_id, raw.attempts, replayed)


def _worst_usd(call: Call[Any], price: Price, max_tokens: int) -> float:
    characters = len(call.prompt.system) + len(call.prompt.user) + wire_schema(call.answer).characters
    tokens = int(characters / CHARACTERS_PER_TOKEN_AT_WORST)
    return price.cost_usd(Usage(cache_write=tokens, output=max_tokens))


def _wait_s(attempt: int, retry_after_s: float | None) -> float:
    """Return the provider's own wait where it names one, else 0.5 s doubling, with jitter so that calls don't return together."""
    asked = retry_after_s if retry_after_s is not None else min(30.0, 0.5 * 2 ** (attempt - 1))
    return min(LONGEST_WAIT_S, asked) * random.uniform(1.0, 1.25)
