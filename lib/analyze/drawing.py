"""What all figures share: one style, names as people read them, and the drawing of rates. Colours are safe for the colour-blind.

Figures are shown 900 pixels wide and are 9 inches wide, so that 9 points, the smallest size used, are 12 pixels on the screen.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from textwrap import fill
from typing import TYPE_CHECKING, Any

from lib.analyze.fonts import drawable, families
from lib.analyze.groups import RATES
from lib.analyze.tables import Tables
from lib.generate.dealing import SPOILINGS, SUBTLE
from lib.taxonomy import AREA_OF, CONTROL_KINDS, SUBJECTS, SUBJECTS_BY_AREA, TYPE_BY_ID, label

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#6e6e6e"  # Okabe and Ito 2008
SMALL = 9  # points
WIDTH = 9  # inches
STYLE: dict[str, Any] = {
    "figure.dpi": 150, "font.size": SMALL, "axes.titlesize": 11, "axes.titleweight": "bold",
    "axes.titlelocation": "left", "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": "#e6e6e6",
    "axes.axisbelow": True, "figure.constrained_layout.use": True,
}  # fmt: skip
ORDERS = {"subject": SUBJECTS, "area": tuple(SUBJECTS_BY_AREA), "misconception_type": tuple(TYPE_BY_ID), "spoiling": SPOILINGS}
LONGEST_NAME, LINE = 40, 130  # characters of a name, and of a line above a figure


def ordered(table: "pd.DataFrame", by: str) -> "pd.DataFrame":
    """Return the rates in the order of the taxonomy, those of criteria with the lowest first."""
    if "pass_rate" in table:
        return table.sort_values("pass_rate")
    order = list(ORDERS.get(by, ()))
    return table.sort_values(by, key=lambda names: names.map(lambda name: (order.index(name) if name in order else len(order), name)))


def draw_rates(
    axes: "Axes", table: "pd.DataFrame", *, by: str, names: Sequence[str] = (), apart: Collection[str] = (), title: str = ""
) -> None:
    """Draw each rate with its interval and, at the right edge, its counts. Those in `apart` differ from the rest and are orange.

    A dashed line shows the rate of all of them together. Without `names`, the values themselves are the names.
    """
    total, hits, rate = next(columns for columns in RATES.values() if columns[2] in table)
    places = range(len(table))
    colours = [ORANGE if value in apart else BLUE for value in table[by]]
    axes.hlines(places, table["low"], table["high"], color=[ORANGE if value in apart else GREY for value in table[by]], linewidth=2)
    axes.scatter(table[rate], places, color=colours, s=42, zorder=3, clip_on=False)
    axes.axvline(table[hits].sum() / max(1, table[total].sum()), color=GREY, linestyle="--", linewidth=1.2)
    for place, (done, made) in enumerate(zip(table[hits], table[total], strict=True)):
        axes.text(1.03, place, f"{done:,}/{made:,}", va="center", fontsize=SMALL, transform=axes.get_yaxis_transform())
    axes.set_yticks(places, names or [name_of(value) for value in table[by]])
    axes.set_ylim(max(len(table), 2) - 0.4, -0.6)
    axes.set_xlim(-0.02, 1.02)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.set_title(title)


@contextmanager
def styled(tables: Tables, *texts: str) -> Iterator[None]:
    """Draw in the one style, with further fonts where matplotlib's own lacks a character of the labels or the note."""
    with styled_for(tables.note, *texts, *tables.samples["subject"].unique(), *tables.samples["misconception_type"].unique()):
        yield


@contextmanager
def styled_for(*texts: str) -> Iterator[None]:
    """Draw in the one style, with fonts that have the characters of these texts."""
    from matplotlib import rc_context

    fonts = families(texts)
    changes: dict[Any, Any] = STYLE | {"font.family": fonts} if len(fonts) > 1 else STYLE
    with rc_context(changes):
        yield


def new_figure(height: float) -> "Figure":
    """Return an empty figure of this height in inches. Pyplot does not know it, so nobody has to close it."""
    from matplotlib.figure import Figure

    return Figure(figsize=(WIDTH, height))


def name_of(value: str, *, longest: int = LONGEST_NAME) -> str:
    """Return a value as people read it, cut where it is long."""
    return as_written(label(str(value)), longest=longest)


def as_written(value: str, *, longest: int = LONGEST_NAME) -> str:
    """Return a text for a figure, cut where it is long. A dollar sign would begin a formula."""
    text = drawable(value)
    return (text if len(text) <= longest else f"{text[: longest - 1].rstrip()}…").replace("$", r"\$")


def names_of(values: Sequence[str], *, by: str, longest: int = LONGEST_NAME) -> list[str]:
    """Return the values of a column as a figure names them: subjects with their area, and subtle faults marked as such."""
    apart: dict[str, str] = AREA_OF if by == "subject" else dict.fromkeys(map(str, SUBTLE), "subtle") if by == "spoiling" else {}
    names = {value: name_of(value, longest=longest) for value in values}
    return [f"{names[value]}  ·  {apart[value]}" if value in apart else names[value] for value in values]


def without_controls(tables: Tables) -> str:
    """Return what a title adds where the run has samples that the plot leaves out."""
    parts = ["first pass"] if tables.topped_up else []
    parts += ["without controls"] if tables.samples["misconception_type"].isin(CONTROL_KINDS).any() else []
    return "".join(f", {part}" for part in parts)


def note(figure: "Figure", tables: Tables, *, more: str = "") -> None:
    """Write above the figure which run it is of and how many planted failures were caught, and `more` on a line of its own."""
    text = "\n".join(filter(None, [note_text(tables), more]))
    figure.suptitle(text, fontsize=SMALL, color=GREY, x=0.01, ha="left", parse_math=False)


def note_text(tables: Tables, *, lines: int = 2) -> str:
    """Return the first lines of what stands above a figure, broken where they are too long for its width."""
    return "\n".join(fill(drawable(line), LINE) for line in tables.note.split("\n")[:lines])
