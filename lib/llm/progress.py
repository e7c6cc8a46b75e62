"""A progress bar for a terminal and for JupyterLab, and line by line for papermill's log."""

import sys
from typing import Any

from lib.settings import headless


class _Lines:
    """Prints each redraw of the bar as a line of its own."""

    def write(self, text: str) -> None:
        if line := text.strip("\r\n "):
            sys.stdout.write(f"{line}\n")

    def flush(self) -> None:
        sys.stdout.flush()


def progress_bar(total: int, *, description: str, unit: str) -> Any:
    """Return a tqdm bar with `.update(1)` and, for counts such as failures, `.set_postfix(failed=3, refresh=False)`."""
    from tqdm import tqdm

    form = "{desc}: {n_fmt}/{total_fmt} {unit} ({percentage:.0f} %), {elapsed} so far, {remaining} to go{postfix}"
    if headless():
        return tqdm(total=total, desc=description, unit=unit, bar_format=form, file=_Lines(), mininterval=10.0, maxinterval=30.0)
    return tqdm(total=total, desc=description, unit=unit, file=sys.stdout, mininterval=0.5, dynamic_ncols=True)
