"""At most N calls in flight, and one brake they share.

The limit starts low and grows by one a success (doubling each round trip) up to a ceiling, at first N. A lone 429 costs only the call
that got it. A large share of them within a round trip cuts the ceiling to what the provider admitted; a small but steady share lowers
it by one. After that it rises again by 1, 2, 4 … as long as nothing is rejected, and rests longer each time it met the same limit.
A 529 (the provider is overloaded, not we too fast) does not brake.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime

RAMP_FROM = 25  # calls in flight at the start
LARGE_SHARE, SHARE_BY_CHANCE = 0.2, 0.05  # of 429s: cuts at once; lowers by one where no limit is known
NO_SHARE = 0.01  # lets it rise again
REJECTIONS_THAT_CUT = 3  # fewer are chance
ANSWERS_TO_TELL = 100  # before a small share means anything
LONGEST_REST = 16  # times ANSWERS_TO_TELL, before a limit is tried again
LONGEST_PAUSE_S = 60.0


class Window:
    """`async with window.place():` around each attempt, then `succeeded()` or `rejected()`."""

    def __init__(self, width: int, *, ramp_from: int = RAMP_FROM) -> None:
        self.width = width
        self.limit = float(min(width, ramp_from))
        self.in_flight = self.most_in_flight = self.rejections = 0
        self._ceiling = float(width)
        self._step, self._rest, self._patience = 1, 0, 2
        self._resume_at = 0.0
        self._answered = self._rejected = 0
        self._admitted = width  # the fewest calls that were being answered when another was rejected
        self._free = asyncio.Condition()

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        async with self._free:
            while self.in_flight >= int(self.limit):
                await self._free.wait()
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
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
        self._look()

    def rejected(self) -> None:
        """Note a 429."""
        self.rejections += 1
        self._answered += 1
        self._rejected += 1
        self._admitted = min(self._admitted, self.in_flight)
        self._look()

    def heed(self, headers: Mapping[str, str]) -> None:
        """Pause all calls when the headers say that the rate limit is used up, until enough of it for one round has refilled."""
        if headers.get("anthropic-ratelimit-requests-remaining") != "0":
            return
        try:
            full_in_s = datetime.fromisoformat(headers["anthropic-ratelimit-requests-reset"]).timestamp() - time.time()
            share = min(1.0, self.limit / float(headers["anthropic-ratelimit-requests-limit"]))
        except (KeyError, ValueError, ZeroDivisionError):
            return
        self._resume_at = max(self._resume_at, time.monotonic() + min(LONGEST_PAUSE_S, full_in_s * share))

    def _look(self) -> None:
        """Look for a large share of rejections once a round trip, and for a small one every hundred answers."""
        share, limit_is_known = self._rejected / self._answered, self._ceiling < self.width
        if self._rejected >= REJECTIONS_THAT_CUT and self._answered >= self.limit and share > LARGE_SHARE:
            self._lower(min(self._admitted, self.limit * 0.9))
        elif limit_is_known and self._rejected >= REJECTIONS_THAT_CUT:
            self._lower(int(self.limit) - 1)
            self._rest, self._patience = self._patience, min(LONGEST_REST, 2 * self._patience)
        elif self._answered >= max(ANSWERS_TO_TELL, self.limit):
            self._after_a_hundred(share)

    def _after_a_hundred(self, share: float) -> None:
        self._answered = self._rejected = 0
        if share > SHARE_BY_CHANCE:
            self._lower(int(self.limit) - 1)
        elif self._rest:
            self._rest -= 1
        elif share <= NO_SHARE:
            self._ceiling = min(float(self.width), self._ceiling + self._step)
            self._step = min(self.width, 2 * self._step)

    def _lower(self, ceiling: float) -> None:
        """Set the ceiling, and begin to count anew."""
        self.limit = self._ceiling = max(1.0, ceiling)
        self._step, self._admitted = 1, self.width
        self._answered = self._rejected = 0
