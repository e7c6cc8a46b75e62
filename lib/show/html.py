"""Text from a file or a model -> HTML that JupyterLab shows and does not run. Nothing is computed here."""

import re
from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING, Any

from lib.publish.markdown import rendered
from lib.settings import headless

if TYPE_CHECKING:
    import pandas as pd

BOX = "border-left:3px solid #0072B2;padding:2px 12px;margin:6px 0;background:transparent"
PLAIN = "white-space:pre-wrap;font-family:inherit"
WARN = "border-left:3px solid #D55E00;padding:2px 12px;margin:6px 0"
DARK = "<style>body[data-jp-theme-light='false'] .jp-RenderedImage img {filter: invert(1) hue-rotate(180deg)}</style>"
CELL = "text-align:left;vertical-align:top;max-width:38em;white-space:pre-wrap"
TEX = re.compile(r'<span class="tex( display)?">(.*?)</span>', re.DOTALL)
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all control characters but tab and line feed


def shown(markup: str) -> None:
    """Show markup whose texts have been escaped."""
    from IPython import display

    display.display(display.HTML(markup))  # type: ignore[no-untyped-call]  # IPython has no types


def escaped(value: object) -> str:
    """Return a value escaped for HTML. A dollar sign stands in an element of its own, or JupyterLab would begin a formula there."""
    return escape(UNPRINTABLE.sub("", str(value))).replace("$", "<span>$</span>")


def boxed(text: str) -> str:
    """Return a text in a box, exactly as it is written."""
    return f"<div style='{BOX};{PLAIN}'>{escaped(text)}</div>"


def student_text(text: str) -> str:
    """Return a model's text in a box, rendered as a student would see it."""
    markup = rendered(text).replace("$", "<span>$</span>")
    return f"<div style='{BOX}'>{TEX.sub(_typeset, markup)}</div>"


def _typeset(found: re.Match[str]) -> str:
    """Return a formula as JupyterLab's MathJax reads it."""
    opened, closed = (r"\[", r"\]") if found[1] else (r"\(", r"\)")
    return f"<span>{opened}{found[2].replace('<span>$</span>', '$')}{closed}</span>"


def heading(title: str, about: str) -> str:
    return f"<h4>{escaped(title)}</h4><p><i>{escaped(about)}</i></p>"


def table(rows: "Iterable[dict[str, Any]] | pd.DataFrame") -> None:
    """Show rows as a table, whose columns are the keys of the first row."""
    if markup := table_markup(list(rows) if not hasattr(rows, "to_dict") else rows.to_dict("records")):
        shown(markup)


def table_markup(rows: list[dict[Any, Any]]) -> str:
    """Return rows as a table, or "" when there are none."""
    if not rows:
        return ""
    head = "".join(f"<th style='{CELL}'>{escaped(name)}</th>" for name in rows[0])
    body = "".join(f"<tr>{''.join(f'<td style={CELL!r}>{escaped(value)}</td>' for value in row.values())}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def warning(text: str) -> None:
    """Show a warning. In a headless run it is printed too, because nobody sees the notebook then."""
    if headless():
        print(f"NOTE: {text}")
    shown(f"<p style='{WARN}'>{escaped(text)}</p>")
