"""Tables -> matplotlib figures in one style. Every rate has its interval and count, colours are safe for the colour-blind."""

from collections.abc import Sequence
from importlib import import_module
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from lib.analyze.fonts import drawable, families
from lib.analyze.groups import RATES, rates
from lib.analyze.statistics import funnel
from lib.analyze.tables import Tables
from lib.filter.planted import SPOILINGS
from lib.generate.verify import DROP_REASONS
from lib.taxonomy import AREA_OF, CONTROL_KINDS, SUBJECTS, TYPE_BY_ID, label

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#8a8a8a"  # Okabe and Ito 2008
STYLE = {
    "figure.dpi": 110, "savefig.dpi": 150, "font.size": 10, "axes.titlesize": 12, "axes.titleweight": "bold", "axes.titlelocation": "left",
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": "#e6e6e6", "axes.axisbelow": True,
    "figure.constrained_layout.use": True,
}  # fmt: skip
TITLES = {"samples": "Keep rate", "verdicts": "Criteria met", "planted": "Planted failures caught"}
NAMES = {"misconception_type": "kind of misconception", "spoiling": "kind"}


def plot_rates(tables: Tables, by: str) -> "Figure":
    """Draw the rate for each value of a column of the tables, as subject, level, tutoring_skill or spoiling.

    Samples give keep rates, verdicts the share of criteria met with the worst on top, planted failures the share that was caught.
    """
    plt, table = import_module("matplotlib.pyplot"), _ordered(rates(tables, by), by)
    names = [_label(value) for value in table[by]]
    if by == "subject":
        names = [f"{name}  ·  {AREA_OF.get(subject, 'Other')}" for name, subject in zip(names, table[by], strict=True)]
    with plt.rc_context(_style(tables, *names)):
        figure: Figure
        figure, axes = plt.subplots(figsize=(9, 1.6 + 0.32 * max(len(table), 2)))
        _draw_rates(axes, table, names=names, title=_title(tables, table, by=by))
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower right", ncols=3, frameon=False, fontsize=9)
        _note(figure, tables)
    return figure


def plot_cells(tables: Tables) -> "Figure":
    """Draw keep rate and counts of each cell of subject and kind that has samples. The others stay blank."""
    plt, cells = import_module("matplotlib.pyplot"), rates(tables, "subject", "misconception_type")
    subjects, types = cells["subject"].nunique(), cells["misconception_type"].nunique()
    with plt.rc_context(_style(tables)):
        figure: Figure
        figure, axes = plt.subplots(figsize=(3.6 + 0.95 * types, 2.4 + 0.26 * subjects))
        image = _draw_cells(axes, cells, counts=True)
        axes.set_title(f"Kept / made in each cell{_without_controls(tables)}")
        figure.colorbar(image, ax=axes, label="keep rate", shrink=0.8 if subjects > 6 else 1.0)
        _note(figure, tables)
    return figure


def plot_overview(tables: Tables) -> "Figure":
    """Draw a run on one page: the funnel, keep rates by kind and by cell, and the planted failures that the judge caught."""
    plt = import_module("matplotlib.pyplot")
    with plt.rc_context(_style(tables)):
        figure: Figure
        figure, panels = plt.subplot_mosaic(
            [["funnel", "cells"], ["misconception_type", "cells"], ["spoiling", "cells"]], figsize=(13, 8.5)
        )
        _draw_funnel(panels["funnel"], funnel(tables))
        for by in ("misconception_type", "spoiling"):
            table = _ordered(rates(tables, by), by)
            _draw_rates(panels[by], table, names=[_label(value) for value in table[by]], title=_title(tables, table, by=by))
        image = _draw_cells(panels["cells"], rates(tables, "subject", "misconception_type"), counts=False)
        panels["cells"].set_title(f"Keep rate by subject and kind{_without_controls(tables)}")
        figure.colorbar(image, ax=panels["cells"], shrink=0.5)
        _note(figure, tables, more="  ·  grey bars: 95 % Wilson intervals, dashed: all together")
    return figure


def plot_scores(tables: Tables) -> "Figure":
    """Draw the judge's quality scores and how many critical criteria a sample fails, kept and dropped apart."""
    plt, judged = import_module("matplotlib.pyplot"), tables.judged
    with plt.rc_context(_style(tables)):
        figure: Figure
        figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6))
        _stacked(left, judged, column="quality_score", values=[1, 2, 3, 4, 5])
        left.set_title("Quality score (judge, 1 to 5)")
        left.set_xlabel("score")
        failed = judged.assign(failed=(judged["critical_total"] - judged["critical_passed"]).astype(float).clip(upper=4))
        _stacked(right, failed, column="failed", values=[0, 1, 2, 3, 4])
        right.set_title("Critical criteria failed")
        right.set_xlabel("criteria failed in one sample")
        right.set_xticks(range(5), ["none", "1", "2", "3", "4 or more"])
        figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
        _note(figure, tables)
    return figure


def _ordered(table: "pd.DataFrame", by: str) -> "pd.DataFrame":
    """Return the rates in the order of the taxonomy, those of criteria with the lowest first."""
    if "pass_rate" in table:
        return table.sort_values("pass_rate")
    order = list({"subject": SUBJECTS, "spoiling": SPOILINGS}.get(by, ()))
    return table.sort_values(by, key=lambda names: names.map(lambda name: (order.index(name) if name in order else len(order), name)))


def _title(tables: Tables, table: "pd.DataFrame", *, by: str) -> str:
    of = next(name for name, (_, _, rate) in RATES.items() if rate in table)
    if of == "planted":
        return TITLES[of]
    title = f"{TITLES[of]}{',' if of == 'verdicts' else ''} by {NAMES.get(by, label(by).lower())}"
    return f"{title}{_without_controls(tables)}" if of == "samples" else title


def _without_controls(tables: Tables) -> str:
    """Return what a title adds where the run has samples that the plot leaves out."""
    return ", without controls" if tables.samples["misconception_type"].isin(CONTROL_KINDS).any() else ""


def _draw_rates(axes: "Axes", table: "pd.DataFrame", *, names: Sequence[str], title: str) -> None:
    """Draw each rate with its interval and, at the right edge, its counts. A dashed line shows the rate of all of them together."""
    total, hits, rate = next(columns for columns in RATES.values() if columns[2] in table)
    places = range(len(table))
    axes.hlines(places, table["low"], table["high"], color=GREY, linewidth=2, label="95 % interval (Wilson)")
    axes.plot(table[rate], places, "o", color=BLUE, markersize=7, label=_label(rate).lower())
    overall = table[hits].sum() / max(1, table[total].sum())
    axes.axvline(overall, color=ORANGE, linestyle="--", linewidth=1.2, label=f"all: {overall:.1%} of {table[total].sum():,}")
    for place, (done, made) in enumerate(zip(table[hits], table[total], strict=True)):
        axes.text(1.03, place, f"{done:,}/{made:,}", va="center", fontsize=9, transform=axes.get_yaxis_transform())
    axes.set_yticks(places, names)
    axes.set_ylim(len(table) - 0.4, -0.6)
    axes.set_xlim(-0.02, 1.02)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.set_title(title)


def _draw_funnel(axes: "Axes", steps: Sequence[dict[str, Any]]) -> None:
    """Draw what is left after each step that drops anything. The first bar is what was made, or the scenarios where some were dropped."""
    left = [("scenarios" if steps[0]["step"] in DROP_REASONS else "made", steps[0]["samples"])]
    left += [(f"− {_label(step['step']).lower()}", step["left"]) for step in steps if step["dropped"]]
    made = max(1, left[0][1])
    axes.barh(range(len(left)), [count for _, count in left], color=[GREY, *[BLUE] * (len(left) - 1)], height=0.7)
    for place, (_, count) in enumerate(left):
        axes.text(1.03, place, f"{count:,} ({count / made:.1%})", va="center", fontsize=9, transform=axes.get_yaxis_transform())
    axes.set_yticks(range(len(left)), [name for name, _ in left])
    axes.set_ylim(max(len(left), 4) - 0.4, -0.6)
    axes.set_xlim(0, made)
    axes.grid(visible=False, axis="y")
    axes.locator_params(axis="x", integer=True)
    axes.set_title(f"From {left[0][0]} to kept")


def _draw_cells(axes: "Axes", cells: "pd.DataFrame", *, counts: bool) -> Any:
    """Draw the keep rate of each subject and kind. Return the image, which a colour bar needs."""
    subjects = list(dict.fromkeys(_ordered(cells, "subject")["subject"]))
    types = [kind for kind in TYPE_BY_ID if kind in set(cells["misconception_type"])]
    table = cells.pivot(index="subject", columns="misconception_type", values="keep_rate").reindex(index=subjects, columns=types)
    image = axes.imshow(table.to_numpy(dtype=float), vmin=0, vmax=1, cmap="cividis", aspect="auto")
    wrapped = ["\n".join(wrap(_label(kind), 15, break_long_words=False)) for kind in types]
    axes.set_xticks(range(len(types)), wrapped, rotation=0 if counts else 90, fontsize=8)
    axes.set_yticks(range(len(subjects)), [_label(subject) for subject in subjects], fontsize=9 if counts else 7)
    for row in cells.to_dict("records") if counts else ():
        place = (types.index(row["misconception_type"]), subjects.index(row["subject"]))
        colour = "black" if row["keep_rate"] > 0.55 else "white"
        axes.text(*place, f"{row['kept']}/{row['made']}", ha="center", va="center", fontsize=8, color=colour)
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


def _style(tables: Tables, *texts: str) -> dict[str, Any]:
    """Return the style, with further fonts where matplotlib's own lacks a character of the labels or the note."""
    fonts = families((tables.note, *texts, *tables.samples["subject"].unique(), *tables.samples["misconception_type"].unique()))
    return STYLE | {"font.family": fonts} if len(fonts) > 1 else STYLE


def _label(name: str) -> str:
    """Return the name as people read it. A dollar sign would begin a formula."""
    return drawable(label(str(name))).replace("$", r"\$")


def _note(figure: "Figure", tables: Tables, *, more: str = "") -> None:
    figure.suptitle(drawable(tables.note + more), fontsize=8, color=GREY, x=0.01, ha="left", parse_math=False)
