"""Tables -> the figure of a run on one page: its numbers, its funnel, and rates by kind, by area and of planted failures."""

from collections.abc import Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any

from lib.analyze.catches import TOO_FEW
from lib.analyze.chance import FEWEST_FOR_RATES, contrasts
from lib.analyze.costs import costs
from lib.analyze.drawing import (
    BLUE,
    GREY,
    ORANGE,
    SMALL,
    draw_rates,
    name_of,
    names_of,
    new_figure,
    note_text,
    ordered,
    styled,
    without_controls,
)
from lib.analyze.figures import too_few
from lib.analyze.groups import counted_rows, rates
from lib.analyze.losses import UNJUDGED, funnel
from lib.analyze.tables import Tables
from lib.analyze.trust import trust
from lib.errors import counted
from lib.filter.gates import GATES
from lib.generate.verify import DROP_REASONS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LARGE = 19  # points
MOST_STEPS = 8  # of the funnel that drop anything; with more, those of the verifier are one step, and those of the gates another
MOST_SUBJECTS = 9  # that are shown instead of areas
LONGEST = 28  # characters of a name
ABOVE, BELOW = 1.35, 0.45  # inches above and below the panels, for the numbers and for a line
LOST, LEFT = 48, 92  # points at the right of the funnel's bars, where the numbers end
FEWEST_ROWS = 7  # for which a panel has room, so that few rows stand as close as many
CAUGHT = "Planted failures caught"
LIGHT = "#94c0de"  # is seen in the dark theme too, where figures are inverted
Tile = tuple[str, str, str]  # what it is, its value, and a line below
Step = tuple[str, int, int]  # name, lost here, left


def plot_overview(tables: Tables) -> "Figure":
    """Draw a run on one page. With fewer than 30 samples there are only its numbers and its funnel, and a sentence."""
    large = len(counted_rows(tables, "subject")) >= FEWEST_FOR_RATES
    height = 6.5 if large else 3.6
    with styled(tables):
        figure = new_figure(height)
        figure.set_layout_engine("constrained", rect=(0, BELOW / height, 1, 1 - (ABOVE + BELOW) / height))
        panels = figure.subplot_mosaic("fk;as" if large else "f")
        figure.text(0.01, 1 - 0.08 / height, note_text(tables, lines=1), color=GREY, va="top", parse_math=False)
        _draw_numbers(figure, _tiles(tables))
        _draw_funnel(panels["f"], tables)
        if large:
            _draw_breakdowns(panels, tables)
        line = _legend(tables) if large else too_few(tables, "misconception_type")
        figure.text(0.01, 0.06 / height, line, color=GREY, va="bottom")
    return figure


def _legend(tables: Tables) -> str:
    """Return the line at the bottom, which says what is drawn and of which samples."""
    which = without_controls(tables).removeprefix(", ")
    scope = f" Rates by kind and area are of the {which}." if tables.topped_up else f" Rates by kind and area: {which}." if which else ""
    names = [name_of(one.name, longest=LONGEST) for one in sorted(contrasts(tables), key=lambda one: one.p) if one.differs]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    apart = (
        f"\nDifferent from the rest by more than chance (error rate 5 % over all comparisons of notebook 3): {', '.join(names[:3])}{more}."
        if names
        else ""
    )
    return f"Bars: 95 % Wilson intervals. Dashed: all together.{scope}{apart}"


def _tiles(tables: Tables) -> list[Tile]:
    """Return the numbers in the top row. Rates are of the first pass, counts and costs of all samples."""
    judge, first, paid = trust(tables), tables.first_kept, costs(tables)
    of = " of the first pass" if tables.topped_up else ""
    caught, alarms = judge.all_caught, judge.false_alarms.dropped
    pairs, is_enough = judge.catches.pairs, judge.catches.is_enough
    few = f"{caught.hits} of {pairs.total}, {TOO_FEW}" if pairs.total else "none were planted"
    few = "their originals are dropped too" if is_enough else few
    corrected = judge.corrected if judge.passed.hits and not judge.notice else None
    why_not = "see the warning" if judge.notice else "can't be told" if is_enough else "not measured"
    spent = sum(line.cost_usd for line in paid.lines)
    return [
        ("made", f"{tables.kept.total:,}", f"{first.total:,} in the first pass" if of else ""),
        ("kept", f"{tables.kept.hits:,}", f"{first.hits:,} in the first pass" if of else ""),
        (f"keep rate{of}", _percent(first.rate), _interval(first.interval)),
        ("corrected for judge's errors", _percent(corrected and corrected[0]), _interval(corrected and corrected[1:]) or why_not),
        ("planted failures caught", _percent(caught.rate if is_enough else None), _interval(caught.interval if is_enough else None) or few),
        *([("false alarms", _percent(alarms.rate), _interval(alarms.interval))] if judge.false_alarms.held else []),
        ("paid", f"${spent:,.2f}" if spent else "$0", f"${spent / paid.kept:,.4f} a kept sample" if spent and paid.kept else ""),
    ]


def _percent(rate: float | None) -> str:
    return "–" if rate is None else f"{rate:.0%}"


def _interval(bounds: Sequence[float] | None) -> str:
    return f"{bounds[0]:.0%} to {bounds[1]:.0%}" if bounds else ""


def _draw_numbers(figure: "Figure", tiles: Sequence[Tile]) -> None:
    """Write the numbers in a row between the note and the panels."""
    height = figure.get_figheight()
    for place, (name, value, below) in enumerate(tiles):
        left = 0.01 + place / len(tiles)
        for text, inches, colour, size in (
            (fill(name, 132 // len(tiles)), 0.68, GREY, SMALL),
            (value, 1.0, BLUE, LARGE),
            (below, 1.18, GREY, SMALL),
        ):
            weight = "bold" if size == LARGE else "normal"
            figure.text(left, 1 - inches / height, text, va="bottom", color=colour, fontsize=size, fontweight=weight, parse_math=False)


def _draw_breakdowns(panels: "dict[str, Axes]", tables: Tables) -> None:
    """Draw the rates by kind, by area or subject, and of planted failures. Where there are too few, a sentence stands there."""
    apart = {one.name for one in contrasts(tables) if one.differs}
    few_subjects = counted_rows(tables, "subject")["subject"].nunique() <= MOST_SUBJECTS
    second = "subject" if few_subjects else "area"
    drawn = (("k", "misconception_type", "Keep rate by kind"), ("a", second, f"Keep rate by {second}"), ("s", "spoiling", CAUGHT))
    for panel, by, title in drawn:
        axes, table = panels[panel], ordered(rates(tables, by), by)
        sentence = too_few(tables, by)
        if by == "area" and len(table) == 1:
            subjects = counted_rows(tables, "subject")["subject"].nunique()
            sentence = f"The {counted(subjects, 'subject')} belong to no area of the kit. They are shown by subject in notebook 3."
        if sentence:
            axes.set_axis_off()
            axes.set_title(title)
            axes.text(0, 0.94, fill(sentence, 34), va="top", transform=axes.transAxes).set_in_layout(False)
        else:
            draw_rates(axes, table, by=by, names=_names(table[by].tolist(), by=by), apart=apart, title=title)
            axes.set_ylim(max(len(table), FEWEST_ROWS) - 0.4, -0.6)
            axes.set_xticks([0, 0.5, 1])


def _names(values: Sequence[str], *, by: str) -> list[str]:
    """Return the names of a panel, which has no room for the area beside each subject."""
    return names_of(values, by=by if by == "spoiling" else "", longest=LONGEST)


def _draw_funnel(axes: "Axes", tables: Tables) -> None:
    """Draw what is left after each step that drops anything, with what it drops beside it, and what topping up adds."""
    rows = funnel(tables)
    first = ("Scenarios" if rows[0]["step"] in DROP_REASONS else "Made", 0, rows[0]["samples"])
    steps = [first, *_steps(rows), ("Kept", 0, rows[-1]["left"])]
    added = sum(share.hits for share in tables.topped_up.values())
    if tables.topped_up:
        steps = [*steps[:-1], ("Kept in the first pass", 0, steps[-1][2]), ("Topped up", -added, steps[-1][2] + added)]
    most = max(1, *(left + max(0, lost) for _, lost, left in steps))
    for place, (name, lost, left) in enumerate(steps):
        axes.barh(place, left, color=BLUE if name.startswith(("Kept", "Topped")) else LIGHT, height=0.7)
        axes.barh(place, max(0, lost), left=left, color=ORANGE, height=0.7)
        change = f"− {lost:,}" if lost > 0 else f"+ {-lost:,}" if lost < 0 else ""
        _beside(axes, change, place=place, points=LOST, color=ORANGE if lost > 0 else BLUE)
        _beside(axes, f"{left:,}", place=place, points=LEFT)
    _beside(axes, "lost", place=0, points=LOST, color=ORANGE)
    axes.set_yticks(range(len(steps)), [name for name, _, _ in steps])
    axes.set_ylim(max(len(steps), 4) - 0.4, -0.6)
    axes.set_xlim(0, most)
    axes.grid(visible=False)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.set_title(f"From {steps[0][0].lower()} to kept")


def _beside(axes: "Axes", text: str, *, place: float, points: int, color: str = "black") -> None:
    """Write at the right of a bar, so that the text ends this many points behind the axes."""
    at, where = (1, place), axes.get_yaxis_transform()
    axes.annotate(
        text, at, (points, 0), xycoords=where, textcoords="offset points", ha="right", va="center", color=color, annotation_clip=False
    )


def _steps(rows: Sequence[dict[str, Any]]) -> list[Step]:
    """Return the steps that drop anything. Where they are many, those of the verifier are one, and so are those of the gates."""
    dropping = [row for row in rows if row["dropped"]]
    if len(dropping) <= MOST_STEPS:
        return [(name_of(row["step"], longest=LONGEST), row["dropped"], row["left"]) for row in dropping]
    merged: dict[str, Step] = {}
    for row in dropping:
        kind = "The verifier" if row["step"] in DROP_REASONS else "The gates" if row["step"] in GATES else name_of(row["step"])
        before = merged.get(kind, ("", 0, 0))[1]
        merged[kind] = (kind if row["step"] != UNJUDGED else "Unjudged", before + row["dropped"], row["left"])
    return list(merged.values())
