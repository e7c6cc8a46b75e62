"""At most N calls in flight, and one brake they share.

The limit starts low and grows by one a success (doubling each round trip) up to N. Once a round trip it looks at the share of 429s:
a lone one costs only the call that got it; a real share cuts the limit to what the provider admitted, and from there it climbs back
fast to just below the cut and then feels its way up.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

RAMP_FROM = 25  # calls in flight at the start
SHARE_THAT_BRAKES = 0.05
REJECTIONS_THAT_BRAKE = 3  # within a round trip; fewer are chance


class Window:
    """`async with window.place():` around each attempt, then `succeeded()` or `rejected()`."""

    def __init__(self, width: int, *, ramp_from: int = RAMP_FROM) -> None:
        self.width = width
        self.limit = float(min(width, ramp_from))
        self.in_flight = 0
        self.most_in_flight = 0
        self.rejections = 0
        self._ceiling = float(width)
        self._resume_at = 0.0
        self._answered = self._rejected = 0
        self._free = asyncio.Condition()

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        async with self._free:
            while self.in_flight >= int(self.limit):
                await self._free.wait()
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
        if (pause := self._resume_at - time.monotonic()) > 0:
            await asyncio.sleep(pause)
        try:
            yield
        finally:
            self.in_flight -= 1
            async with self._free:
                self._free.notify(max(1, int(self.limit) - self.in_flight))

    def succeeded(self) -> None:
        self._answered += 1
        below = self.limit < self._ceiling
        self.limit = min(self.width, self.limit + (1.0 if below else 1.0 / (4 * self.limit)))
        self._end_of_round_trip()

    def rejected(self, *, retry_after_s: float | None) -> None:
        """Note a 429. Only when they are a real share of the answers does it slow the others, and obeys `retry-after` for all."""
        self.rejections += 1
        self._answered += 1
        self._rejected += 1
        if retry_after_s and self._rejected >= REJECTIONS_THAT_BRAKE and self._share() > 0.5:
            self._resume_at = max(self._resume_at, time.monotonic() + retry_after_s)
        self._end_of_round_trip()

    def _share(self) -> float:
        return self._rejected / self._answered if self._answered else 0.0

    def _end_of_round_trip(self) -> None:
        if self._answered < self.limit:
            return
        if self._rejected >= REJECTIONS_THAT_BRAKE and self._share() > SHARE_THAT_BRAKES:
            self.limit = max(1.0, self.limit * (1 - self._share()))
            self._ceiling = self.limit
        elif not self._rejected:
            self._ceiling = min(self.width, self._ceiling * 1.05)
        self._answered = self._rejected = 0
