"""How far a pass is, on a bar in a terminal and in JupyterLab, and line by line in papermill's log."""

import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

from lib.settings import headless

if TYPE_CHECKING:
    from lib.llm.ask import Asker


class _Lines:
    """Prints each redraw of the bar as a line of its own."""

    def write(self, text: str) -> None:
        if line := text.strip("\r\n "):
            sys.stdout.write(f"{line}\n")

    def flush(self) -> None:
        sys.stdout.flush()


def progress_bar(total: int, *, description: str, unit: str) -> Any:
    """Return a tqdm bar with `.update(1)` and `.set_postfix_str(text, refresh=False)`."""
    from tqdm import tqdm

    lines = "{desc}: {n_fmt}/{total_fmt}{unit} ({percentage:.0f} %), {rate_noinv_fmt}, {elapsed} so far, {remaining} to go{postfix}"
    form = "{l_bar}{bar}| {n_fmt}/{total_fmt}{unit} [{elapsed} so far, {remaining} to go, {rate_noinv_fmt}{postfix}]"
    if headless():
        return tqdm(total=total, desc=description, unit=f" {unit}", bar_format=lines, file=_Lines(), mininterval=10.0, maxinterval=30.0)
    return tqdm(total=total, desc=description, unit=f" {unit}", bar_format=form, file=sys.stdout, mininterval=0.5, dynamic_ncols=True)


class Standing:
    """What stands behind the bar of a pass: its cost, the calls in flight and their limit, and its failures by reason."""

    def __init__(self, bar: Any, ask: "Asker") -> None:
        self._bar, self._ask = bar, ask
        self._failed, self._batch = Counter[str](), ""
        ask.transport.report = self._of_batch

    def done(self, *, failed: str = "") -> None:
        """Count a thing that is done, or that `failed` for this reason."""
        if failed:
            self._failed[failed] += 1
        self._bar.set_postfix_str(str(self), refresh=False)
        self._bar.update(1)

    def _of_batch(self, text: str) -> None:
        self._batch = text
        self._bar.set_postfix_str(str(self))

    def __str__(self) -> str:
        ask, parts = self._ask, list[str]()
        if not ask.provider.is_local:
            parts.append(f"${ask.books.budget.spent_usd:.2f} in all")
            if ask.settings.mode == "live" and ask.window.in_flight:
                parts.append(f"{ask.window.in_flight} of at most {int(ask.window.limit)} calls in flight")
        if self._failed:
            reasons = ", ".join(f"{count:,} {reason}" for reason, count in self._failed.most_common())
            parts.append(f"{self._failed.total():,} failed ({reasons})")
        return ", ".join([*parts, *([self._batch] if self._batch else [])])
