"""The dated price table -> what a call costs, and the hard cap on what a run may cost."""

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
from lib.settings import Settings

PRICES = Path(__file__).parent / "prices.json"
CHARACTERS_PER_TOKEN = 3.6  # English with LaTeX; used before the provider has counted
CHARACTERS_PER_TOKEN_AT_WORST = 2.0
DATED = re.compile(r"-\d{8}$")


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


def price_of(model: str, *, override: str = "", mode: str = "live") -> Price:
    """Return the price of `model`, from `override` ("input/output") or else from the table. Raises PriceError when neither has it."""
    table = price_table()
    if override:
        listed = _parsed(override)
    elif not (listed := table["models"].get(DATED.sub("", model))):
        raise PriceError(
            f"No price is listed for `{model}` (table of {table['as_of']}). "
            "Pass price_usd_per_mtok='input/output', e.g. '2/10', or '0/0' if free."
        )
    return Price(
        input=listed["input"],
        output=listed["output"],
        cache_read=listed.get("cache_read", 0.1 * listed["input"]),
        cache_write=listed["input"] * table["cache_write_share"],
        share=table["batch_share"] if mode == "batch" else 1.0,
    )


def _parsed(override: str) -> dict[str, float]:
    try:
        input_usd, output_usd = (float(part) for part in override.split("/"))
    except ValueError:
        raise PriceError(f"price_usd_per_mtok = {override!r}: write 'input/output', e.g. '2/10'.") from None
    return {"input": input_usd, "output": output_usd}


def price_for(model: str, settings: Settings, *, is_local: bool) -> Price:
    """Return what `model` costs in a run with these settings. Raises PriceError."""
    return FREE if is_local else price_of(model, override=settings.price_usd_per_mtok, mode=settings.mode)


def cacheable(system: str, model: str) -> bool:
    """Return whether `system` may reach the shortest prefix that `model` caches. An unknown model counts as the one that caches most."""
    table = price_table()
    minimum = table["models"].get(DATED.sub("", model), {}).get("cache_minimum", table["shortest_cache_prefix"])
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
