"""What a step returned, a prompt, a figure, training examples, a card and the files of a run, as notebooks display them."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from lib.filter.tried import Trial
from lib.prompts.rendering import Prompt
from lib.publish.page import Page
from lib.run.records import remove, save_figure
from lib.run.run import Run
from lib.settings import PROJECT_ROOT, headless, short_path
from lib.show.html import DARK, boxed, escaped, shown, table, warning
from lib.show.samples import trial

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def outcome(found: Any) -> None:
    """Show what a step returned: its text, its rows as a table, further tables, a page, and its remarks as warnings.

    A prompt, a Markdown file, plain rows and a prompt that was tried are shown as what they are.
    """
    if found is None:
        return
    if isinstance(found, Prompt):
        return _prompt(found)
    if isinstance(found, Path):
        return _markdown(found)
    if isinstance(found, list | Iterator) or hasattr(found, "to_dict"):  # or a DataFrame, without importing pandas
        return table(found)
    if text := str(found):
        print(text)
    table(found.rows() if hasattr(found, "rows") else ())
    for rows in getattr(found, "further_tables", ()):
        table(rows)
    if isinstance(found, Page):
        _frame(found.path)
    if isinstance(found, Trial):
        trial(found)
    for remark in filter(None, (*getattr(found, "remarks", ()), getattr(found, "notice", ""))):
        warning(remark)


def _frame(page: Path) -> None:
    """Show a page inside the notebook. The address is relative, so that the executed copy in the run's folder shows it too."""
    from IPython import display

    folder = page.parent / "notebooks" if headless() else Path.cwd()
    if headless() or page.is_relative_to(PROJECT_ROOT):  # JupyterLab serves no other files
        frame = display.IFrame(quote(os.path.relpath(page, folder)), width="100%", height=640, extras=['sandbox="allow-scripts"'])
        display.display(frame)  # type: ignore[no-untyped-call]  # IPython has no types


def _prompt(sent: Prompt) -> None:
    """Show the system text, folded, and the user text."""
    for name, text in zip(("System", "User"), sent, strict=True):
        opened = " open" if name == "User" else ""
        shown(f"<details{opened}><summary><b>{name}</b> ({len(text):,} characters)</summary>{boxed(text)}</details>")


def figure(run: Run, drawn: "Figure | str", *, name: str) -> None:
    """Save and show `figures/<name>.png`, dark in a dark JupyterLab. Print the sentence that stands for a figure, and remove the file."""
    from IPython import display
    from matplotlib import pyplot

    if isinstance(drawn, str):
        remove(run.figures / f"{name}.png")
        print(drawn)
        return
    path, titles = save_figure(run, drawn, name=name), filter(None, (axes.get_title(loc="left") for axes in drawn.axes))
    pyplot.close("all")
    shown(DARK)
    display.display(display.Image(filename=str(path), alt="; ".join(titles), width=900))  # type: ignore[no-untyped-call]  # IPython has no types


def entries(found: Iterable[dict[str, Any]]) -> None:
    """Show training examples, message by message."""
    for number, entry in enumerate(found, start=1):
        messages = "".join(f"<b>{escaped(one['role'])}</b>{boxed(str(one['content']))}" for one in entry["messages"])
        shown(f"<h4>Example {number}</h4>{messages}")


def _markdown(path: Path) -> None:
    """Show a Markdown file as its readers see it, without the header of metadata."""
    from IPython import display

    display.display(display.Markdown(path.read_text("utf-8").split("---\n", 2)[-1]))  # type: ignore[no-untyped-call]  # IPython has no types


def files(run: Run) -> None:
    """Show the files of the run with their sizes."""
    found = sorted(path for path in run.dir.glob("*.json*") if "_checkpoint_" not in path.name)
    table({"file": short_path(path), "bytes": f"{path.stat().st_size:,}"} for path in found)
