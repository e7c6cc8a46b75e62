"""tables -> matplotlib figures, one style: every rate with its interval and count, colour-blind safe, readable in grey."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib.analyze.fonts import drawable, families
from lib.analyze.rates import Share
from lib.analyze.statistics import keep_rates
from lib.run.files import whole_file
from lib.run.folder import Run, held
from lib.schema import Spoiling
from lib.taxonomy import AREA_OF, SUBJECTS, TYPE_BY_ID, label

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


def keep_rate_by_subject(rates: "pd.DataFrame", *, note: str) -> "Figure":
    """Draw the keep rate of each subject, grouped by area in the taxonomy's order."""
    order = {subject: place for place, subject in enumerate(SUBJECTS)}
    rates = rates.sort_values("subject", key=lambda names: names.map(lambda name: (order.get(name, len(order)), name)))
    names = [f"{_label(subject)}  ·  {AREA_OF.get(subject, 'Other')}" for subject in rates["subject"]]
    return _rate_bars(rates, names, rate="keep_rate", total="made", passed="kept", title="Keep rate by subject", note=note)


def keep_rate_by_type(rates: "pd.DataFrame", *, note: str) -> "Figure":
    """Draw the keep rate of each kind of misconception."""
    names = [_label(kind) for kind in rates["misconception_type"]]
    return _rate_bars(rates, names, rate="keep_rate", total="made", passed="kept", title="Keep rate by kind of misconception", note=note)


def criteria_pass_rates(rates: "pd.DataFrame", *, by: str, note: str) -> "Figure":
    """Draw which criteria fail most, by tutoring skill or evaluation dimension; the worst on top."""
    names = [_label(name) for name in rates[by]]
    title = f"Criteria met, by {_label(by).lower()}"
    return _rate_bars(rates, names, rate="pass_rate", total="judged", passed="met", title=title, note=note)


def catch_rate_by_kind(caught: Mapping[Spoiling, Share], *, note: str) -> "Figure":
    """Draw how many planted failures of each kind the judge caught; kinds that were not planted are left out."""
    rates = _catch_rates(caught)
    names = [_label(kind) for kind in rates["kind"]]
    return _rate_bars(rates, names, rate="catch_rate", total="planted", passed="caught", title="Planted failures caught", note=note)


def keep_rate_heatmap(cells: "pd.DataFrame", *, note: str) -> "Figure":
    """Draw keep rate and counts of each subject x type cell that has samples; cells without stay blank."""
    plt = _pyplot()
    subjects, types = cells["subject"].nunique(), cells["misconception_type"].nunique()
    with plt.rc_context(_style(note, *cells["subject"], *cells["misconception_type"])):
        figure: Figure
        figure, axes = plt.subplots(figsize=(3.6 + 0.95 * types, 2.4 + 0.26 * subjects))
        image = _draw_cells(axes, cells, counts=True)
        axes.set_title("Kept / made in each cell")
        figure.colorbar(image, ax=axes, label="keep rate", shrink=0.8 if subjects > 6 else 1.0)
        _note(figure, note)
    return figure


def overview(table: "pd.DataFrame", statistics: Mapping[str, Any], caught: Mapping[Spoiling, Share], *, note: str) -> "Figure":
    """Draw a run on one page: the funnel, keep rates by kind and by cell, and how many planted failures the judge caught."""
    plt = _pyplot()
    kinds, cells = keep_rates(table, ["misconception_type"]), keep_rates(table, ["subject", "misconception_type"])
    catch_rates = _catch_rates(caught)
    with plt.rc_context(_style(note, *cells["subject"], *cells["misconception_type"])):
        figure: Figure
        figure, panels = plt.subplot_mosaic([["funnel", "cells"], ["kinds", "cells"], ["caught", "cells"]], figsize=(13, 8.5))
        _draw_funnel(panels["funnel"], statistics["funnel"])
        names = [_label(kind) for kind in kinds["misconception_type"]]
        _draw_rates(panels["kinds"], kinds, names, columns=("keep_rate", "made", "kept"), title="Keep rate by kind of misconception")
        names = [_label(kind) for kind in catch_rates["kind"]]
        _draw_rates(panels["caught"], catch_rates, names, columns=("catch_rate", "planted", "caught"), title="Planted failures caught")
        image = _draw_cells(panels["cells"], cells, counts=False)
        panels["cells"].set_title("Keep rate by subject and kind")
        figure.colorbar(image, ax=panels["cells"], shrink=0.5)
        _note(figure, f"{note}  ·  grey bars: 95 % Wilson intervals, dashed: all together")
    return figure


def scores(table: "pd.DataFrame", *, note: str) -> "Figure":
    """Draw the judge's quality scores and how many critical criteria a sample fails, kept and dropped apart."""
    plt = _pyplot()
    judged = table[table["critical_total"].notna()]
    with plt.rc_context(_style(note)):
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
        _note(figure, note)
    return figure


def save(figure: "Figure", run: Run, name: str) -> Path:
    """Save as `figures/<name>.png` and return the path."""
    path = run.figures / f"{name}.png"
    with held(run), whole_file(path, binary=True) as file:
        figure.savefig(file, format="png", bbox_inches="tight")
    return path


def _rate_bars(rates: "pd.DataFrame", names: Sequence[str], *, rate: str, total: str, passed: str, title: str, note: str) -> "Figure":
    plt = _pyplot()
    with plt.rc_context(_style(note, *names)):
        figure: Figure
        figure, axes = plt.subplots(figsize=(9, 1.6 + 0.32 * max(len(rates), 2)))
        _draw_rates(axes, rates, names, columns=(rate, total, passed), title=title)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower right", ncols=3, frameon=False, fontsize=9)
        _note(figure, note)
    return figure


def _draw_rates(axes: "Axes", rates: "pd.DataFrame", names: Sequence[str], *, columns: tuple[str, str, str], title: str) -> None:
    """Draw each rate with its interval and, at the right edge, its counts; a dashed line for all of them together."""
    rate, total, passed = columns
    places = range(len(rates))
    axes.hlines(places, rates["low"], rates["high"], color=GREY, linewidth=2, label="95 % interval (Wilson)")
    axes.plot(rates[rate], places, "o", color=BLUE, markersize=7, label=_label(rate).lower())
    overall = rates[passed].sum() / max(1, rates[total].sum())
    axes.axvline(overall, color=ORANGE, linestyle="--", linewidth=1.2, label=f"all: {overall:.1%} of {rates[total].sum():,}")
    for place, (done, made) in enumerate(zip(rates[passed], rates[total], strict=True)):
        axes.text(1.03, place, f"{done:,}/{made:,}", va="center", fontsize=9, transform=axes.get_yaxis_transform())
    axes.set_yticks(places, names)
    axes.set_ylim(len(rates) - 0.4, -0.6)
    axes.set_xlim(-0.02, 1.02)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.set_title(title)


def _draw_funnel(axes: "Axes", steps: Sequence[Mapping[str, Any]]) -> None:
    """Draw what is left after each step that drops anything; the first bar is what was made."""
    left = [("made", steps[0]["samples"])] + [(f"− {_label(step['step']).lower()}", step["left"]) for step in steps if step["dropped"]]
    made = max(1, left[0][1])
    axes.barh(range(len(left)), [count for _, count in left], color=[GREY, *[BLUE] * (len(left) - 1)], height=0.7)
    for place, (_, count) in enumerate(left):
        axes.text(1.03, place, f"{count:,} ({count / made:.1%})", va="center", fontsize=9, transform=axes.get_yaxis_transform())
    axes.set_yticks(range(len(left)), [name for name, _ in left])
    axes.set_ylim(max(len(left), 4) - 0.4, -0.6)
    axes.set_xlim(0, made)
    axes.grid(visible=False, axis="y")
    axes.locator_params(axis="x", integer=True)
    axes.set_title("From made to kept")


def _draw_cells(axes: "Axes", cells: "pd.DataFrame", *, counts: bool) -> Any:
    """Draw the keep rate of each subject and kind; return the image, which a colour bar needs."""
    known = [subject for subject in SUBJECTS if subject in set(cells["subject"])]
    subjects = known + sorted(set(cells["subject"]) - set(known))
    types = [kind for kind in TYPE_BY_ID if kind in set(cells["misconception_type"])]
    table = cells.pivot(index="subject", columns="misconception_type", values="keep_rate").reindex(index=subjects, columns=types)
    image = axes.imshow(table.to_numpy(dtype=float), vmin=0, vmax=1, cmap="cividis", aspect="auto")
    axes.set_xticks(range(len(types)), [_wrapped(_label(kind)) for kind in types], rotation=0 if counts else 90, fontsize=8)
    axes.set_yticks(range(len(subjects)), [_label(subject) for subject in subjects], fontsize=9 if counts else 7)
    for row in cells.to_dict("records") if counts else ():
        place = (types.index(row["misconception_type"]), subjects.index(row["subject"]))
        colour = "black" if row["keep_rate"] > 0.55 else "white"
        axes.text(*place, f"{row['kept']}/{row['made']}", ha="center", va="center", fontsize=8, color=colour)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    return image


def _catch_rates(caught: Mapping[Spoiling, Share]) -> "pd.DataFrame":
    import pandas as pd

    rows = [(kind, share.total, share.hits, share.rate, *share.interval) for kind, share in caught.items() if share.interval]
    return pd.DataFrame(rows, columns=["kind", "planted", "caught", "catch_rate", "low", "high"])


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


def _style(*texts: str) -> dict[str, Any]:
    """Return the style of a figure that shows these texts: with further fonts where matplotlib's own lacks a character."""
    fonts = families(texts)
    return STYLE | {"font.family": fonts} if len(fonts) > 1 else STYLE


def _label(name: str) -> str:
    """Return the name as people read it; a dollar sign would begin a formula."""
    return drawable(label(name)).replace("$", r"\$")


def _wrapped(name: str) -> str:
    from textwrap import wrap

    return "\n".join(wrap(name, 15, break_long_words=False))


def _note(figure: "Figure", note: str) -> None:
    figure.suptitle(drawable(note), fontsize=8, color=GREY, x=0.01, ha="left", parse_math=False)


def _pyplot() -> Any:
    import matplotlib.pyplot as plt

    return plt
