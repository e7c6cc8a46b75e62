"""Settings -> `ask`, with all that it needs opened before the first call and closed after the last."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lib.llm.ask import Asker, Transport
from lib.llm.batch import SHARD_REQUESTS, BatchTransport
from lib.llm.batch_wire import BatchWire
from lib.llm.books import Books
from lib.llm.budget import Budget
from lib.llm.journal import Journal
from lib.llm.live import LiveTransport
from lib.llm.loop import Stopping
from lib.llm.models import check_models
from lib.llm.provider import Provider, open_provider
from lib.llm.window import Window
from lib.settings import Settings

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic


@asynccontextmanager
async def open_asker(settings: Settings, *, journal: Path, stopping: Stopping, other: Path | None = None) -> AsyncIterator[Asker]:
    """Yield `ask`, after a check of the models' prices, the key, the host and the models' lifecycle.

    `other` is the journal of another run, whose replies cost nothing here.

    Raises JournalError, PriceError or ProviderError when no call could be made.
    """
    with open_provider(settings) as provider, Journal(journal, other=other) as book:
        books = Books(book, Budget(settings.budget_usd, spent_usd=book.spent_usd()), settings=settings, is_local=provider.is_local)
        models = [provider.model(name) for name in settings.models]
        for model in models:
            books.price(model)
        width = provider.width(settings)
        async with provider.client(timeout_s=settings.timeout_s, max_connections=width) as client:
            remarks = await check_models(client, models, provider=provider, timeout_s=settings.timeout_s)
            window = Window(SHARD_REQUESTS, ramp_from=SHARD_REQUESTS) if settings.mode == "batch" else Window(width)
            async with _transport(client, provider, books=books, window=window, settings=settings) as transport:
                transport.remarks[:0] = remarks + book.remarks
                yield Asker(provider, books=books, window=window, transport=transport, settings=settings, stopping=stopping)


@asynccontextmanager
async def _transport(
    client: "AsyncAnthropic", provider: Provider, *, books: Books, window: Window, settings: Settings
) -> AsyncIterator[Transport]:
    wire = BatchWire(client, provider, timeout_s=settings.timeout_s)
    batches = BatchTransport(wire, books.in_batches(), poll_s=settings.batch_poll_s)
    if settings.mode == "live":
        await batches.collect()  # those of an earlier pass
        live = LiveTransport(client, provider, timeout_s=settings.timeout_s, heed=window.heed)
        live.remarks += batches.remarks
        yield live
        return
    try:
        await batches.resume()
        yield batches
    finally:
        await batches.close()
