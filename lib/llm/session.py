"""Settings -> `ask`, with all that it needs opened before the first call and closed after the last."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from lib.llm.addresses import MAKING, SETTINGS_OF, Access, Address, addresses, stages_asked
from lib.llm.ask import Asker
from lib.llm.batch import SHARD_REQUESTS, BatchTransport
from lib.llm.batch_wire import NO_BATCHES
from lib.llm.books import Books
from lib.llm.budget import Budget
from lib.llm.call import ProviderError
from lib.llm.clients import client
from lib.llm.completion_batches import CompletionBatchWire
from lib.llm.endpoint import Endpoint, Model, Transport
from lib.llm.journal import Journal
from lib.llm.live import LiveTransport
from lib.llm.loop import Stopping
from lib.llm.message_batches import MessageBatchWire
from lib.llm.models import check_models
from lib.llm.provider import CREDENTIALS, Provider, open_provider
from lib.llm.window import Window
from lib.prompts.rendering import Stage
from lib.settings import Settings


@asynccontextmanager
async def open_asker(
    settings: Settings, *, journal: Path, stopping: Stopping, stages: Sequence[Stage] = MAKING, other: Path | None = None
) -> AsyncIterator[Asker]:
    """Yield `ask` for these stages, after a check of the models' prices, the keys, the hosts and the models' lifecycle.

    `other` is the journal of another run, whose replies cost nothing here.

    Raises JournalError, PriceError or ProviderError when no call could be made.
    """
    stages = [stage for stage in stages if settings.verify_scenarios or stage != "verify"]
    places = {stage: addresses(settings, stage) for stage in stages}
    writers, judges = places.get("scenario", []), places["judge"]
    has_local = any(writer.access.is_local for writer in writers)
    if has_local and settings.provider == "auto" and not all(judge.access.is_local for judge in judges):
        raise ProviderError(
            "There is a key or an address for the judge, and none for the writer, so the embedded model would write what the judge is paid "
            "for. Set the writer's too (see .env.example), or ask for the embedded model by PROVIDER=local."
        )
    async with AsyncExitStack() as stack:
        book = stack.enter_context(Journal(journal, other=other))
        budget = Budget(settings.budget_usd, spent_usd=book.spent_usd())
        endpoints = dict[Access, Endpoint]()
        for access in dict.fromkeys(found.access for group in places.values() for found in group):
            own = [stage for stage in stages if access in (found.access for found in places[stage])]
            books = Books(book, budget, settings=settings, access=access)
            endpoints[access] = await stack.enter_async_context(_open(settings, books, stages=own))
        next(iter(endpoints.values())).transport.remarks[:0] = [*book.remarks, *_out_of_reach(book, endpoints)]
        models = {stage: [_model(endpoints[found.access], found) for found in group] for stage, group in places.items()}
        yield Asker(models, journal=book, budget=budget, settings=settings, stopping=stopping)


def _model(endpoint: Endpoint, found: Address) -> Model:
    return Model(endpoint, endpoint.provider.model(found.model))


def _out_of_reach(book: Journal, endpoints: Mapping[Access, Endpoint]) -> list[str]:
    """Return a remark about each batch under way at a provider that this run does not ask any more."""
    ids = {endpoint.provider.id for endpoint in endpoints.values()}
    return [
        f"A batch of {len(shard.requests):,} requests is under way at {shard.provider}, which this run does not ask now. It is read when "
        "the run asks there again."
        for shard in book.open_shards()
        if shard.provider and shard.provider not in ids
    ]


@asynccontextmanager
async def _open(settings: Settings, books: Books, *, stages: Sequence[Stage]) -> AsyncIterator[Endpoint]:
    """Yield the endpoint of these stages. Raises PriceError or ProviderError when no call could be made."""
    asked = [stage for stage in stages if stage in (*stages_asked(settings), "answer")]
    names = " or ".join(dict.fromkeys(SETTINGS_OF[stage][0].upper() for stage in asked))
    with open_provider(books.access, model_names=names) as provider:
        found = [place for stage in asked for place in addresses(settings, stage) if place.access == books.access]
        models = [provider.model(place.model) for place in found]
        for model in models:
            books.price(model)
        width = provider.width(settings.max_concurrency)
        async with client(provider, timeout_s=settings.timeout_s, max_connections=width) as open_client:
            remarks = await check_models(open_client, models, provider=provider, timeout_s=settings.timeout_s)
            in_batches = books.access.mode == "batch"
            window = Window(SHARD_REQUESTS, ramp_from=SHARD_REQUESTS) if in_batches else Window(width)
            live = LiveTransport(open_client, provider, timeout_s=settings.timeout_s, heed=window.heed)
            batches = _batches(open_client, provider, books=books, settings=settings, stages=stages)
            async with _transport(live, batches, in_batches=in_batches) as transport:
                transport.remarks[:0] = remarks
                yield Endpoint(provider=provider, books=books, window=window, transport=transport, live=live)


def _batches(open_client: Any, provider: Provider, *, books: Books, settings: Settings, stages: Sequence[Stage]) -> BatchTransport:
    kind = CompletionBatchWire if provider.house == "openai" else MessageBatchWire
    wire = kind(open_client, provider, timeout_s=settings.timeout_s)
    return BatchTransport(wire, books.in_mode("batch"), poll_s=settings.batch_poll_s, stages=stages)


@asynccontextmanager
async def _transport(live: LiveTransport, batches: BatchTransport, *, in_batches: bool) -> AsyncIterator[Transport]:
    """Yield the transport of the mode. Raises ProviderError when the provider has no batches."""
    has_none = live.provider.is_local or live.provider.house in CREDENTIALS
    if not in_batches:
        if not has_none:
            await batches.collect()  # those of an earlier pass
        live.remarks += batches.remarks
        yield live
        return
    if has_none:
        raise ProviderError(NO_BATCHES.format(host=live.provider.house))
    await batches.wire.require_route()
    try:
        await batches.resume()
        yield batches
    finally:
        await batches.close()
