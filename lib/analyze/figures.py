"""Tables -> matplotlib figures of rates, cells and scores. Where there are too few of a thing, a sentence stands for the figure."""

from collections.abc import Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from lib.analyze.chance import COMPARED, ERROR_RATE, FEWEST_FOR_RATES, Contrast, contrasts
from lib.analyze.drawing import (
    BLUE,
    GREY,
    ORANGE,
    SMALL,
    draw_rates,
    name_of,
    names_of,
    new_figure,
    note,
    ordered,
    styled,
    without_controls,
)
from lib.analyze.groups import RATES, counted_rows, rates, rates_of
from lib.analyze.rates import are
from lib.analyze.tables import Tables
from lib.errors import counted
from lib.settings import FEWEST_PLANTED
from lib.taxonomy import TYPE_BY_ID, label

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLES = {"samples": "Keep rate by", "verdicts": "Criteria met, by", "planted": "Planted failures caught, by"}
NAMES = {"misconception_type": "kind of misconception", "spoiling": "kind of failure", "eval_dimension": "dimension"}
NONE = {
    "samples": "No sample was made.",
    "verdicts": "Nothing was judged.",
    "planted": "No failure was planted whose original the judge passes, so nothing can be said of its catches.",
}
PLURALS = {"tutoring_skill": "skills", "spoiling": "kinds", "severity": "severities", "misconception_type": "kinds"}
THINGS = {"samples": ("sample", "kept"), "verdicts": ("verdict", "met"), "planted": ("planted failure", "caught")}


def plot_rates(tables: Tables, *columns: str) -> "Figure | str":
    """Draw the rate for each value of a column of the tables, as subject, level, tutoring_skill or spoiling.

    With two columns, the keep rate and the counts of each of their cells are drawn.
    Samples give keep rates, verdicts the share of criteria met with the worst on top, planted failures the share that was caught. With
    fewer than 30 samples or verdicts, or two a value, or with fewer than 16 planted failures, a sentence is returned.
    """
    if sentence := too_few(tables, *columns):
        return sentence
    if len(columns) > 1:
        return _plot_cells(tables)
    by = columns[0]
    table, of = ordered(rates(tables, by), by), rates_of(by)
    names = names_of(table[by].tolist(), by=by)
    compared = contrasts(tables)
    apart = {one.name for one in compared if one.by == by and one.differs}
    title = f"{TITLES[of]} {NAMES.get(by, label(by).lower())}{without_controls(tables) if of == 'samples' else ''}"
    with styled(tables, *names):
        figure = new_figure(1.9 + 0.27 * max(len(table), 2))
        axes = figure.subplots()
        draw_rates(axes, table, by=by, names=names, apart=apart, title=title)
        figure.supxlabel(_legend(table, of=of, compared=compared, apart=apart), fontsize=SMALL, color=GREY, x=0.99, ha="right")
        note(figure, tables, more=tables.topped_up_line if of == "samples" else "")
    return figure


def _plot_cells(tables: Tables) -> "Figure":
    """Draw keep rate and counts of each cell of subject and kind that has samples."""
    cells = rates(tables, "subject", "misconception_type")
    with styled(tables):
        figure = new_figure(2.9 + 0.26 * max(cells["subject"].nunique(), 4))
        axes = figure.subplots()
        image = _draw_cells(axes, cells)
        axes.set_title(f"Kept / made in each cell{without_controls(tables)}")
        bar = figure.colorbar(image, ax=axes, label="keep rate", shrink=0.6, aspect=30)
        bar.ax.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        note(figure, tables)
    return figure


def plot_scores(tables: Tables) -> "Figure":
    """Draw the judge's quality scores and how many critical criteria a sample fails, kept and dropped apart."""
    judged = tables.judged
    with styled(tables):
        figure = new_figure(3.6)
        left, right = figure.subplots(1, 2)
        _stacked(left, judged, column="quality_score", values=[1, 2, 3, 4, 5])
        left.set_title("Quality score (judge, 1 to 5)")
        left.set_xlabel("score")
        failed = judged.assign(failed=(judged["critical_total"] - judged["critical_passed"]).astype(float).clip(upper=4))
        _stacked(right, failed, column="failed", values=[0, 1, 2, 3, 4])
        right.set_title("Critical criteria failed")
        right.set_xlabel("criteria failed in one sample")
        right.set_xticks(range(5), ["none", "1", "2", "3", "4 or more"])
        figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
        note(figure, tables)
    return figure


def too_few(tables: Tables, *by: str) -> str:
    """Return a sentence that stands for the figure when there are too few things to break down by these columns, else ""."""
    of, rows = rates_of(*by), counted_rows(tables, *by)
    thing, done = THINGS[of]
    if not len(rows):
        return NONE[of]
    groups = len(rates(tables, *by))
    enough = FEWEST_PLANTED if of == "planted" else max(FEWEST_FOR_RATES, 2 * groups)  # groups of one show nothing but the samples
    if len(rows) >= enough:
        return ""
    over = counted(groups, "cell") if len(by) > 1 else counted(groups, _singular(by[0]), plural=PLURALS.get(by[0], ""))
    hits = int(rows[RATES[of][1]].astype(bool).sum())
    few = f"{counted(len(rows), thing)} over {over} {are(len(rows))} too few for rates by {_words(by)}"
    return f"{few}: {hits:,} of {len(rows):,} {are(hits)} {done}."


def _words(by: Sequence[str]) -> str:
    return " and ".join(NAMES.get(name, label(name).lower()) for name in by)


def _singular(by: str) -> str:
    return {"tutoring_skill": "skill", "spoiling": "kind", "misconception_type": "kind"}.get(by, NAMES.get(by, label(by).lower()))


def _legend(table: "pd.DataFrame", *, of: str, compared: Sequence[Contrast], apart: set[str]) -> str:
    """Return the line below the rates, which says what is drawn and what is chance."""
    total, hits, _ = RATES[of]
    done, made = int(table[hits].sum()), int(table[total].sum())
    line = f"Bars: 95 % Wilson intervals. Dashed: all together, {done:,} of {made:,} ({done / max(1, made):.0%})."
    if not any(one.by in table for one in compared):
        return line
    sets = [f"{_singular(by)}s" for by in COMPARED if any(one.by == by for one in compared)]
    what = f"(error rate {ERROR_RATE:.0%} over all {len(compared)} comparisons of {' and '.join(sets)})"
    differ = f"Orange: differs from the rest {what}." if apart else f"None differs from the rest by more than chance {what}."
    return f"{line}\n{differ}"


def _draw_cells(axes: "Axes", cells: "pd.DataFrame") -> Any:
    """Draw the keep rate of each subject and kind. Return the image, which a colour bar needs."""
    subjects = list(dict.fromkeys(ordered(cells, "subject")["subject"]))
    types = [kind for kind in TYPE_BY_ID if kind in set(cells["misconception_type"])]
    table = cells.pivot(index="subject", columns="misconception_type", values="keep_rate").reindex(index=subjects, columns=types)
    image = axes.imshow(table.to_numpy(dtype=float), vmin=0, vmax=1, cmap="cividis", aspect="auto")
    wrapped = ["\n".join(wrap(name_of(kind), 16, break_long_words=False)) for kind in types]
    axes.set_xticks(range(len(types)), wrapped, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(subjects)), [name_of(subject) for subject in subjects])
    for row in cells.to_dict("records"):
        place = (types.index(row["misconception_type"]), subjects.index(row["subject"]))
        colour = "black" if row["keep_rate"] > 0.55 else "white"
        axes.text(*place, f"{row['kept']}/{row['made']}", ha="center", va="center", color=colour)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    return image


def _stacked(axes: "Axes", table: "pd.DataFrame", *, column: str, values: Sequence[int]) -> None:
    bottom = [0] * len(values)
    for status, colour, hatch in (("kept", BLUE, ""), ("dropped", ORANGE, "///")):
        counts = [int(((table[column] == value) & (table["status"] == status)).sum()) for value in values]
        axes.bar(range(len(values)), counts, bottom=bottom, color=colour, hatch=hatch, edgecolor="white", label=status)
        bottom = [low + count for low, count in zip(bottom, counts, strict=True)]
    axes.set_xticks(range(len(values)), [str(value) for value in values])
    axes.locator_params(axis="y", integer=True)
    axes.margins(y=0.08)
    axes.set_ylabel("samples")
