"""How far a pass is, on a bar in a terminal and in JupyterLab, and line by line in papermill's log."""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from lib.errors import counted
from lib.settings import headless

if TYPE_CHECKING:
    from lib.llm.ask import Asker

LINE = "{desc}: {n:,}/{total:,}{unit} ({percentage:.0f} %){standing}"
# A terminal cuts off what does not fit into a line, so what matters least comes last.
BAR = "{desc}: {percentage:3.0f}%|{bar:6}| {n:,}/{total:,}{unit}{standing}"

REDRAWN_S = 60.0
REPEATED_AFTER_S = 300.0  # a line of a log that says of a batch what the line before said


class _Lines:
    """Prints each redraw of the bar as a line of its own."""

    def write(self, text: str) -> None:
        if line := text.strip("\r\n "):
            sys.stdout.write(f"{line}\n")

    def flush(self) -> None:
        sys.stdout.flush()


def progress_bar(total: int, *, description: str, unit: str, note: Callable[[], str] = str, is_steady: bool = True) -> Any:
    """Return a tqdm bar with `.update(1)`. Each time it is drawn, it shows what `note()` returns behind the pace.

    Where many things are done at once after a long wait, as in batches, the pace is not steady, and only the time so far is shown.
    There is no bar where nothing is to be done.
    """
    from tqdm import tqdm

    class Bar(tqdm):  # type: ignore[misc]  # tqdm has no types
        @property
        def format_dict(self) -> dict[str, Any]:
            values: dict[str, Any] = super().format_dict
            done, elapsed_s = values["n"], values["elapsed"]
            mean = done / elapsed_s if elapsed_s else 0.0
            rate = (values["rate"] or mean) if is_steady else 0.0
            parts = [pace(done, total, elapsed_s=elapsed_s, rate=rate), note()]
            return values | {"standing": "".join(f", {part}" for part in parts if part)}

    unit = f" {unit}" if total != 1 else f" {unit.removesuffix('s')}"
    about = {"total": total, "desc": description, "unit": unit, "disable": not total}
    if headless():
        return Bar(**about, bar_format=LINE, file=_Lines(), mininterval=10.0, maxinterval=30.0)
    return Bar(**about, bar_format=BAR, file=sys.stdout, mininterval=0.5, dynamic_ncols=True)


@asynccontextmanager
async def redrawn(bar: Any) -> AsyncIterator[None]:
    """Redraw the bar every so often, so that a slow model is not silence."""

    async def redraw() -> None:
        while True:
            await asyncio.sleep(REDRAWN_S)
            bar.refresh()

    task = asyncio.create_task(redraw())
    try:
        yield
    finally:
        task.cancel()


def pace(done: int, total: int, *, elapsed_s: float, rate: float) -> str:
    """Return the things done in a second and the time that is left at this rate, as "4.2/s, 2:31 to go".

    Without a rate, and at the end, return the time so far.
    """
    if done >= total:
        return f"in {_clock(elapsed_s)}"
    if not rate:
        return f"{_clock(elapsed_s)} so far"
    return f"{f'{rate:.1f}/s' if rate >= 1 else f'{60 * rate:.1f} a minute'}, {_clock((total - done) / rate)} to go"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Standing:
    """What a bar shows of a pass: the run's cost, the failures by reason, and the calls in flight with their limit, or the batches.

    It is written only when the bar is drawn, because a pass may do thousands of things a second.
    """

    def __init__(self, ask: "Asker") -> None:
        self._ask = ask
        self._failed, self._batches, self._shown_at = Counter[str](), "", 0.0

    def failed(self, reason: str) -> None:
        self._failed[reason] += 1

    def follow_batches(self, refresh: Callable[[], object]) -> None:
        """Show from now on what the transport reports of its batches, by calling `refresh`. In a log, the same is repeated rarely."""

        def report(text: str) -> None:
            is_new, now = text != self._batches, time.monotonic()
            self._batches = text
            if is_new or not headless() or now - self._shown_at > REPEATED_AFTER_S:
                self._shown_at = now
                refresh()

        self._ask.follow_batches(report)

    def __str__(self) -> str:
        ask, parts = self._ask, list[str]()
        if not ask.is_free:
            parts.append(f"${ask.budget.spent_usd:,.2f} so far")
        if self._failed:
            reasons = ", ".join(f"{count:,} {reason.replace('_', ' ')}" for reason, count in self._failed.most_common())
            parts.append(f"{self._failed.total():,} failed ({reasons})")
        under_way, limit = ask.in_flight
        if under_way and not ask.is_free:
            parts.append(f"{under_way:,} of {counted(limit, 'call')} in flight")
        return ", ".join([*parts, *([self._batches] if self._batches else [])])
