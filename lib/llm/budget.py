"""The dated price table -> what a call costs, and the hard cap on what a run may cost."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from lib.errors import KitError
from lib.llm.addresses import Address
from lib.llm.call import CallFailed, Usage
from lib.llm.names import family, plain_id
from lib.settings import Settings, prices

PRICES = Path(__file__).parent / "prices.json"
CHARACTERS_PER_TOKEN = 3.6  # English with LaTeX; used before the provider has counted
CHARACTERS_PER_TOKEN_AT_WORST = 2.0


class PriceError(KitError):
    """A model has no listed price, and the kit does not guess one."""


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens."""

    input: float
    output: float
    cache_read: float
    cache_write: float
    share: float = 1.0  # of these prices that is paid: Message Batches cost half

    def cost_usd(self, usage: Usage) -> float:
        million = self.input * usage.input + self.output * usage.output
        million += self.cache_read * usage.cache_read + self.cache_write * usage.cache_write
        return self.share * million / 1e6


FREE = Price(0, 0, 0, 0)


def price_of(model: str, *, named: str = "", mode: str = "live") -> Price:
    """Return the price of `model`. Raises PriceError when neither `named` nor the table has one.

    `named` is the setting `price_usd_per_mtok`. A price under the model's own name comes before the table, and one without a name after it.
    """
    table = price_table()
    own, listed = {plain_id(name): pair for name, pair in prices(named).items()}, table["models"].get(plain_id(model), {})
    if not (pair := own.get(plain_id(model)) or (own.get("") if not listed else None)) and not listed:
        raise PriceError(
            f"No price is listed for `{model}` (table of {table['as_of']}). Set PRICE_USD_PER_MTOK to its input/output price in US dollars "
            f"per million tokens, e.g. '2/10' or '{model}=2/10', or '0/0' if it is free."
        )
    if pair:
        listed = {"input": pair[0], "output": pair[1]}
    is_claude = family(model) == "anthropic"
    return Price(
        input=listed["input"],
        output=listed["output"],
        cache_read=listed.get("cache_read", listed["input"] * (0.1 if is_claude else 1.0)),  # other houses' discounts differ
        cache_write=listed["input"] * (table["cache_write_share"] if is_claude else 1.0),
        share=table["batch_share"] if mode == "batch" else 1.0,
    )


def price_at(address: Address, settings: Settings) -> Price:
    """Return what the model costs there. Raises PriceError."""
    access = address.access
    return FREE if access.is_local else price_of(address.model, named=settings.price_usd_per_mtok, mode=access.mode)


def cacheable(system: str, model: str) -> bool:
    """Return whether `system` may reach the shortest prefix that `model` caches. An unknown model counts as the one that caches most."""
    table = price_table()
    minimum = table["models"].get(plain_id(model), {}).get("cache_minimum", table["shortest_cache_prefix"])
    return len(system) / CHARACTERS_PER_TOKEN >= int(minimum)


@cache
def price_table() -> dict[str, Any]:
    return json.loads(PRICES.read_text(encoding="utf-8"))  # type: ignore[no-any-return]  # the file is ours


class Budget:
    """A hard cap on what a run costs. Each call reserves the most that it can cost before it is sent.

    A reservation that does not fit waits until calls in flight have settled at what they really cost. When none is in flight, the
    budget is used up. So the cap is never passed, as long as the provider bills no more than `max_tokens`.
    """

    def __init__(self, cap_usd: float, *, spent_usd: float = 0.0) -> None:
        self.cap_usd = cap_usd
        self.spent_usd = spent_usd  # starts with what the journal says was paid in this run before
        self.reserved_usd = 0.0
        self.is_used_up = False  # true once a call did not fit any more
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def reserve(self, worst_usd: float) -> AsyncIterator[None]:
        """Hold `worst_usd` while a call is under way. Raises CallFailed (over_budget) when it can't fit any more."""
        async with self._changed:
            while worst_usd and self.spent_usd + self.reserved_usd + worst_usd > self.cap_usd:
                if not self.reserved_usd:
                    self.is_used_up = True
                    raise CallFailed(
                        "over_budget", f"${self.spent_usd:.2f} of ${self.cap_usd:.2f} are spent; the next call may cost ${worst_usd:.3f}"
                    )
                await self._changed.wait()
            self.hold(worst_usd)
        try:
            yield
        finally:
            await self.release(worst_usd)

    def hold(self, worst_usd: float) -> None:
        """Reserve what a call under way may cost, even when it does not fit."""
        self.reserved_usd += worst_usd

    async def release(self, worst_usd: float) -> None:
        async with self._changed:
            left_usd = self.reserved_usd - worst_usd
            self.reserved_usd = left_usd if left_usd > 1e-9 else 0.0  # floats leave a remainder
            self._changed.notify_all()

    def pay(self, cost_usd: float) -> None:
        self.spent_usd += cost_usd
