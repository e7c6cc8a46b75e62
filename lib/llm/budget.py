"""Dated price table -> what a call costs; a hard cap that reserves the worst case before each call.

A reservation that doesn't fit waits for calls in flight to settle at what they really cost; when none is in flight, the budget is
used up. So the cap is not passed at all, as long as the provider bills no more than `max_tokens`.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from lib.errors import KitError
from lib.llm.call import CallFailed, Usage

PRICES = Path(__file__).parent / "prices.json"
CHARACTERS_PER_TOKEN = 3.6  # English with LaTeX; used before the provider has counted
CHARACTERS_PER_TOKEN_AT_WORST = 2.0
DATED = re.compile(r"-\d{8}$")


class PriceError(KitError):
    """A model without a listed price: the kit does not guess."""


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens."""

    input: float
    output: float
    cache_read: float
    cache_write: float
    share: float = 1.0

    def cost_usd(self, usage: Usage) -> float:
        million = self.input * usage.input + self.output * usage.output
        million += self.cache_read * usage.cache_read + self.cache_write * usage.cache_write
        return self.share * million / 1e6


FREE = Price(0, 0, 0, 0)


def price_of(model: str, *, override: str = "", mode: str = "live") -> Price:
    """Return the price of `model`; `override` is "input/output". Raises PriceError for a model that is not in the table."""
    table = price_table()
    share = table["batch_share"] if mode == "batch" else 1.0
    if override:
        given, cache_read = _parsed(override), None
    elif listed := table["models"].get(DATED.sub("", model)):
        given, cache_read = (listed["input"], listed["output"]), listed["cache_read"]
    else:
        raise PriceError(
            f"No price is listed for `{model}` (table of {table['as_of']}). "
            "Pass price_usd_per_mtok='input/output', e.g. '2/10', or '0/0' if free."
        )
    read = given[0] * 0.1 if cache_read is None else cache_read
    return Price(given[0], given[1], read, given[0] * table["cache_write_share"], share)


def cacheable(system: str, model: str) -> bool:
    """Whether `system` may reach the shortest prefix that `model` caches; where that is not known, the shortest of any model."""
    return len(system) / CHARACTERS_PER_TOKEN >= (cache_minimum(model) or price_table()["shortest_cache_prefix"])


def cache_minimum(model: str) -> int:
    """Return the shortest prefix, in tokens, that `model` caches; 0 when the table does not know it."""
    return int(price_table()["models"].get(DATED.sub("", model), {}).get("cache_minimum", 0))


@cache
def price_table() -> dict[str, Any]:
    return json.loads(PRICES.read_text(encoding="utf-8"))  # type: ignore[no-any-return]  # the file is ours


def _parsed(override: str) -> tuple[float, float]:
    try:
        given_in, given_out = (float(part) for part in override.split("/"))
    except ValueError:
        raise PriceError(f"price_usd_per_mtok = {override!r}: write 'input/output', e.g. '2/10'.") from None
    return given_in, given_out


class Budget:
    """`spent_usd` starts with what the journal says was already paid in this run. `is_used_up`: a call did not fit any more."""

    def __init__(self, cap_usd: float, *, spent_usd: float = 0.0) -> None:
        self.cap_usd, self.spent_usd, self.reserved_usd, self.is_used_up = cap_usd, spent_usd, 0.0, False
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def reserve(self, worst_usd: float) -> AsyncIterator[None]:
        """Hold `worst_usd` while a call is under way. Raises CallFailed (over_budget) when it can't fit any more."""
        if worst_usd > 0:
            async with self._changed:
                while self.spent_usd + self.reserved_usd + worst_usd > self.cap_usd:
                    if not self.reserved_usd:
                        self.is_used_up = True
                        raise CallFailed(
                            "over_budget",
                            f"${self.spent_usd:.2f} of ${self.cap_usd:.2f} are spent; the next call may cost ${worst_usd:.3f}",
                        )
                    await self._changed.wait()
                self.hold(worst_usd)
        try:
            yield
        finally:
            if worst_usd > 0:
                await self.release(worst_usd)

    def hold(self, worst_usd: float) -> None:
        """Set aside what a call under way may cost, whether or not it fits."""
        self.reserved_usd += worst_usd

    async def release(self, worst_usd: float) -> None:
        async with self._changed:
            self.reserved_usd = max(0.0, self.reserved_usd - worst_usd)
            if self.reserved_usd < 1e-9:
                self.reserved_usd = 0.0
            self._changed.notify_all()

    def pay(self, cost_usd: float) -> None:
        self.spent_usd += cost_usd
