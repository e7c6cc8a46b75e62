"""Scores -> figures of the candidates, of their paired differences by subject, and of reply length beside score."""

from collections.abc import Collection, Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Literal

from lib.analyze.drawing import BLUE, GREY, LINE, ORANGE, SMALL, as_written, name_of, new_figure, styled_for
from lib.evaluate.bootstrap import Mean
from lib.evaluate.scores import Scores

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FEWEST_FOR_SUBJECTS = 30  # rows
MOST_CANDIDATES = 6  # that a scatter tells apart
COLOURS = (GREY, BLUE, ORANGE, "#009E73", "#CC79A7", "#E69F00")


def plot_evaluation(scores: Scores, what: Literal["scores", "differences", "length"]) -> "Figure | str":
    """Draw the scores of all candidates, their differences to the baseline by subject, or the length of their replies beside the score.

    Where there is nothing to draw, a sentence is returned.
    """
    if not len(scores.answers):
        return "Nothing was answered and judged."
    with styled_for(*scores.candidates, *scores.answers["subject"].unique()):
        return {"scores": _scores, "differences": _differences, "length": _length}[what](scores)


def _scores(scores: Scores) -> "Figure":
    found = [(candidate, mean) for candidate in scores.candidates if (mean := scores.score(candidate))]
    figure = new_figure(1.9 + 0.36 * max(2, len(found)))
    axes = figure.subplots()
    _draw(axes, found, marked=scores.baseline, names=scores.candidates)
    axes.set_title("Score by candidate (TutorBench's, 100% is the best)")
    _note(figure, scores, legend="Bars: 95 % intervals over questions. The baseline is orange.")
    return figure


def _differences(scores: Scores) -> "Figure | str":
    if len(scores.candidates) < 2:
        return "With one candidate there is no difference to draw."
    if len(scores.rows_asked) < FEWEST_FOR_SUBJECTS:
        return f"{len(scores.rows_asked)} rows are too few for differences by subject: at least {FEWEST_FOR_SUBJECTS} are needed."
    subjects = sorted(name for name in scores.answers["subject"].unique() if name)
    panels = scores.candidates[1 : MOST_CANDIDATES + 1]
    figure = new_figure(2.1 + 0.27 * (len(subjects) + 1))
    all_axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, candidate in zip(all_axes, panels, strict=True):
        by_subject = ((subject, scores.difference(candidate, subject=subject)) for subject in subjects)
        rows = [("all rows", scores.difference(candidate)), *by_subject]
        _draw(axes, [(name, mean) for name, mean in rows if mean], marked="all rows")
        axes.axvline(0, color=GREY, linestyle="--", linewidth=1.2)
        axes.set_title(f"{as_written(candidate)} minus {as_written(scores.baseline)}")
    _note(
        figure, scores, legend="Points of the score on the same rows. Bars: 95 % intervals over questions, of which some miss 0 by chance."
    )
    return figure


def _length(scores: Scores) -> "Figure":
    figure = new_figure(4.2)
    axes = figure.subplots()
    for candidate, colour in zip(scores.candidates[:MOST_CANDIDATES], COLOURS, strict=False):
        own = scores.of(candidate)
        size = 36 if len(own) < 100 else 12
        axes.scatter(own["words"], 100 * own["score"], s=size, color=colour, alpha=0.55, linewidths=0, label=as_written(candidate))
    axes.set_xlabel("words of the reply")
    axes.set_ylabel("score, %")
    axes.set_title("Length of the reply beside its score")
    axes.legend(frameon=False, loc="best")
    _note(figure, scores, legend="A judge that likes long replies would make this cloud rise to the right.")
    return figure


def _draw(axes: "Axes", rows: Sequence[tuple[str, Mean]], *, marked: str, names: Collection[str] = ()) -> None:
    """Draw each mean with its interval and, at the right edge, its rows. The `names` are those of models, which stay as they are."""
    for place, (name, mean) in enumerate(rows):
        colour = ORANGE if name == marked else BLUE
        if mean.low is not None and mean.high is not None:
            axes.hlines(place, 100 * mean.low, 100 * mean.high, color=colour, linewidth=2)
        axes.scatter([100 * mean.value], [place], color=colour, s=42, zorder=3, clip_on=False)
        axes.text(1.02, place, f"{mean.rows:,}", va="center", fontsize=SMALL, transform=axes.get_yaxis_transform())
    axes.text(1.02, -0.75, "rows", va="center", fontsize=SMALL, color=GREY, transform=axes.get_yaxis_transform())
    axes.set_yticks(range(len(rows)), [as_written(name) if name in names else name_of(name) for name, _ in rows])
    axes.set_ylim(max(len(rows), 2) - 0.4, -1.1)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}%")


def _note(figure: "Figure", scores: Scores, *, legend: str) -> None:
    """Write the claim and the judge above the figure, and what is drawn below it."""
    above = "\n".join(fill(line, LINE) for line in (scores.rows_asked.claim, f"judge: {scores.catch_line}"))
    figure.suptitle(above, fontsize=SMALL, color=GREY, x=0.01, ha="left", parse_math=False)
    figure.supxlabel(legend, fontsize=SMALL, color=GREY, x=0.99, ha="right")
