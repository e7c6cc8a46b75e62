"""A limit on the calls in flight, which falls when the provider rejects too many of them and rises again later.

The limit starts low, and each success raises it by one, so it doubles in each round trip. It never exceeds a ceiling, which is the
window's width at first. Only rejections for speed (status 429) lower the ceiling:

- One or two are chance, and change nothing.
- When many answers of a round trip are rejections, the ceiling becomes the number of calls that the provider admitted.
- When rejections are few but steady, the ceiling falls by one.

Then the ceiling rises by 1, 2, 4 … as long as hardly anything is rejected. When rejections come back at a ceiling that was lowered
before, the wait until the next rise doubles. A 529 does not count, because the provider is overloaded at any speed.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

RAMP_FROM = 25  # the limit at the start
LARGE_SHARE = 0.2  # of rejections in a round trip: a larger one cuts the ceiling
SMALL_SHARE = 0.05  # of rejections in a hundred answers: a larger one lowers the ceiling by one
NO_SHARE = 0.01  # of rejections in a hundred answers: up to this one, the ceiling rises
REJECTIONS_THAT_COUNT = 3  # fewer are chance
ANSWERS_THAT_COUNT = 100  # with fewer, a small share is chance
LONGEST_REST = 16  # hundreds of answers
LONGEST_PAUSE_S = 60.0


@dataclass(frozen=True, slots=True)
class RateLimit:
    """Requests that the provider still takes, of how many, and when all of them are free again (seconds since 1970)."""

    remaining: float
    limit: float
    reset_at: float


class Window:
    """Use `async with window.place():` around each attempt, then call `succeeded()` or `rejected()`."""

    def __init__(self, width: int, *, ramp_from: int = RAMP_FROM) -> None:
        self.width = width
        self.limit = float(min(width, ramp_from))
        self.in_flight = 0
        self._ceiling = float(width)
        self._step = 1  # the next rise of the ceiling
        self._rest = 0  # hundreds of answers until the ceiling may rise
        self._patience = 2  # the next `_rest`
        self._resume_at = 0.0  # on the monotonic clock
        self._answered = self._rejected = 0  # since the last change
        self._admitted = width  # the fewest calls in flight when another was rejected, since the last change
        self._free = asyncio.Condition()

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Wait for a place among the calls in flight, and for the end of a pause."""
        async with self._free:
            while self.in_flight >= int(self.limit):
                await self._free.wait()
            self.in_flight += 1
        try:
            if (pause_s := self._resume_at - time.monotonic()) > 0:
                await asyncio.sleep(pause_s)
            yield
        finally:
            self.in_flight -= 1
            async with self._free:
                self._free.notify(max(1, int(self.limit) - self.in_flight))

    def succeeded(self) -> None:
        self._answered += 1
        self.limit = min(self._ceiling, self.limit + 1)
        self._adjust()

    def rejected(self) -> None:
        """Count a 429."""
        self._answered += 1
        self._rejected += 1
        self._admitted = min(self._admitted, self.in_flight)
        self._adjust()

    def heed(self, found: RateLimit | None) -> None:
        """Pause all calls when an answer's headers show that the rate limit is used up, until enough for one round is refilled."""
        if found is None or found.remaining > 0 or found.limit <= 0:
            return
        share = min(1.0, self.limit / found.limit)
        self._resume_at = max(self._resume_at, time.monotonic() + min(LONGEST_PAUSE_S, (found.reset_at - time.time()) * share))

    def _adjust(self) -> None:
        """Act on a large share of rejections once in a round trip, and on a small one once in a hundred answers."""
        share, was_lowered = self._rejected / self._answered, self._ceiling < self.width
        if self._rejected >= REJECTIONS_THAT_COUNT and self._answered >= self.limit and share > LARGE_SHARE:
            self._lower(min(self._admitted, self.limit * 0.9))
        elif self._rejected >= REJECTIONS_THAT_COUNT and was_lowered:
            self._lower(int(self.limit) - 1)
            self._rest, self._patience = self._patience, min(LONGEST_REST, 2 * self._patience)
        elif self._answered >= max(ANSWERS_THAT_COUNT, self.limit):
            self._answered = self._rejected = 0
            if share > SMALL_SHARE:
                self._lower(int(self.limit) - 1)
            elif self._rest:
                self._rest -= 1
            elif share <= NO_SHARE:
                self._ceiling = min(float(self.width), self._ceiling + self._step)
                self._step = min(self.width, 2 * self._step)

    def _lower(self, ceiling: float) -> None:
        self.limit = self._ceiling = max(1.0, ceiling)
        self._step, self._admitted = 1, self.width
        self._answered = self._rejected = 0
