"""What notebooks display. All text from a file or a model is escaped, and nothing is computed here."""

import re
from collections.abc import Iterable, Sequence
from html import escape
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lib.filter.keep import judged_samples, planted_failures
from lib.prompts.rendering import Prompt
from lib.run.records import dropped_scenarios, made_samples, planted_explanations, save_figure
from lib.run.run import Run
from lib.schema import Evaluation, Rubric, Sample
from lib.settings import headless, short_path
from lib.taxonomy import label

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

BOX = "border-left:3px solid #0072B2;padding:2px 12px;margin:6px 0;white-space:pre-wrap;font-family:inherit;background:transparent"
WARN = "border-left:3px solid #D55E00;padding:2px 12px;margin:6px 0"
CELL = "text-align:left;vertical-align:top;max-width:38em;white-space:pre-wrap"
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all control characters but tab and line feed
FOUND = {True: "found", False: "NOT FOUND", None: "none quoted"}


def outcome(found: Any) -> None:
    """Show what a step returned: its text, its remarks as warnings, and its rows as a table. A plain sentence is printed."""
    if found is None:
        return
    print(found)
    table(found.rows() if hasattr(found, "rows") else ())
    for remark in filter(None, (*getattr(found, "remarks", ()), getattr(found, "notice", ""))):
        warning(remark)


def table(rows: "Iterable[dict[str, Any]] | pd.DataFrame") -> None:
    """Show rows as a table, whose columns are the keys of the first row."""
    shown = list(rows) if not hasattr(rows, "to_dict") else rows.to_dict("records")
    if shown:
        head = "".join(f"<th style='{CELL}'>{escape(str(name))}</th>" for name in shown[0])
        body = "".join(f"<tr>{''.join(f'<td style={CELL!r}>{_text(value)}</td>' for value in row.values())}</tr>" for row in shown)
        _html(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")


def warning(text: str) -> None:
    """Show a warning. In a headless run it is printed too, because nobody sees the notebook then."""
    if headless():
        print(f"NOTE: {text}")
    _html(f"<p style='{WARN}'>{_text(text)}</p>")


def prompt(sent: Prompt) -> None:
    """Show the system text, folded, and the user text."""
    for name, text in zip(("System", "User"), sent, strict=True):
        opened = " open" if name == "User" else ""
        _html(f"<details{opened}><summary><b>{name}</b> ({len(text):,} characters)</summary>{_box(text)}</details>")


def samples(run: Run, *, count: int, status: Literal["made", "dropped", "made wrong"] = "made") -> None:
    """Show the first samples as text, with their rubrics.

    Or show the first scenarios that the verifier dropped, or the first explanations that were made wrong on purpose.
    """
    if status != "made":
        (_dropped_scenarios if status == "dropped" else _wrong_explanations)(run, count=count)
        return
    for sample in islice(made_samples(run), count):
        about = sample.metadata
        _heading(f"{sample.id} · {label(about.subject)} · {label(about.misconception_type)}", about.misconception)
        _html(f"{_box(sample.messages[1].content)}<b>Gold response</b>{_box(sample.response)}")
        _rubrics(about.rubrics)


def _dropped_scenarios(run: Run, *, count: int) -> None:
    shown = 0
    for shown, one in enumerate(islice(dropped_scenarios(run), count), start=1):  # noqa: B007  # the count is used below
        _heading(f"{one.id} · {label(one.subject)} · {label(one.misconception_type)}: {label(one.reason).lower()}", one.misconception)
        exchange = (("Question", one.question), ("First explanation", one.explanation), ("Student", one.follow_up))
        _html("".join(f"<b>{name}</b>{_box(text)}" for name, text in (("The verifier", one.detail), *exchange)))
        _rubrics(one.rubrics)
    if not shown:
        print("No scenario was dropped.")


def _wrong_explanations(run: Run, *, count: int) -> None:
    copies = planted_explanations(run)[:count]
    if not copies:
        print("No explanation was made wrong on purpose.")
    for copy in copies:
        _heading(f"{copy.sample_id}, {label(copy.misstating).lower()}: {'caught' if copy.reason else 'NOT CAUGHT'}", copy.fault)
        _html(_box(copy.explanation))


def _rubrics(rubrics: Sequence[Rubric]) -> None:
    table({"weight": rubric.weight, "criterion": rubric.criteria, "skill": rubric.attributes.tutoring_skill} for rubric in rubrics)


def judged(run: Run, *, status: Literal["kept", "dropped"], count: int) -> None:
    """Show the first samples that were kept, or dropped by the judge, with each verdict and its evidence."""
    found = (one for one in judged_samples(run) if one.decision.status == status and one.evaluation)
    shown = 0
    for shown, one in enumerate(islice(found, count), start=1):  # noqa: B007  # the count is used below
        _heading(f"{one.sample.id}: {status}{f', {one.decision.detail}' if one.decision.detail else ''}", one.sample.metadata.misconception)
        _exchange(one.sample, one.sample.response, title="Response")
        if one.evaluation:
            _verdicts(one.sample.metadata.rubrics, one.evaluation)
    if not shown:
        print(f"No judged sample was {status}.")


def planted(run: Run, *, count: int) -> None:
    """Show the first planted failures, with what was done to the response and the judge's verdicts on it."""
    pairs = list(islice(planted_failures(run), count))
    if not pairs:
        print("No failure was planted.")
    for copy, sample in pairs:
        _heading(f"{copy.sample_id}, spoiled: {label(copy.spoiling).lower()}", copy.fault)
        _exchange(sample, copy.response, title="Spoiled response")
        _verdicts(sample.metadata.rubrics, copy.evaluation)


def figure(run: Run, drawn: "Figure", *, name: str) -> None:
    """Save the figure as `figures/<name>.png` and show it. Its title is the alternative text."""
    from IPython import display
    from matplotlib import pyplot

    title = "; ".join(axes.get_title(loc="left") for axes in drawn.axes if axes.get_title(loc="left"))
    path = save_figure(run, drawn, name=name)
    pyplot.close("all")
    display.display(display.Image(filename=str(path), alt=title, width=900))  # type: ignore[no-untyped-call]  # IPython has no types


def entries(found: Iterable[dict[str, Any]]) -> None:
    """Show training examples, message by message."""
    for number, entry in enumerate(found, start=1):
        _html(f"<h4>Example {number}</h4>" + "".join(f"<b>{escape(m['role'])}</b>{_box(str(m['content']))}" for m in entry["messages"]))


def markdown(path: Path) -> None:
    """Show a Markdown file as its readers see it, without the header of metadata."""
    from IPython import display

    display.display(display.Markdown(path.read_text("utf-8").split("---\n", 2)[-1]))  # type: ignore[no-untyped-call]  # IPython has no types


def files(run: Run) -> None:
    """Show the files of the run with their sizes."""
    found = sorted(path for path in run.dir.glob("*.json*") if "_checkpoint_" not in path.name)
    table({"file": short_path(path), "bytes": f"{path.stat().st_size:,}"} for path in found)


def _heading(title: str, about: str) -> None:
    _html(f"<h4>{_text(title)}</h4><i>{_text(about)}</i>")


def _exchange(sample: Sample, response: str, *, title: str) -> None:
    about = sample.metadata
    parts = (("Question", about.question), ("First explanation", about.explanation), ("Student", about.follow_up), (title, response))
    _html("".join(f"<b>{name}</b>{_box(text)}" for name, text in parts))


def _verdicts(rubrics: Sequence[Rubric], evaluation: Evaluation) -> None:
    """Show the verdicts, those that are not met first."""
    strengths, weaknesses = (
        ", ".join(label(name).lower() for name in names) or "none" for names in (evaluation.strengths, evaluation.weaknesses)
    )
    _html(f"<p>Quality {evaluation.quality_score} of 5. Strengths: {escape(strengths)}. Weaknesses: {escape(weaknesses)}.</p>")
    pairs = sorted(zip(rubrics, evaluation.verdicts, strict=True), key=lambda pair: pair[1].met)
    table(
        {
            "id": rubric.id,
            "met": "yes" if verdict.met else "NO",
            "weight": rubric.weight,
            "criterion": rubric.criteria,
            "reasoning": verdict.reasoning,
            "evidence": verdict.evidence,
            "in the response": FOUND[verdict.evidence_found],
        }
        for rubric, verdict in pairs
    )


def _box(text: str) -> str:
    return f"<div style='{BOX}'>{_text(text)}</div>"


def _text(value: object) -> str:
    """Return a value escaped for HTML. A dollar sign stands in an element of its own, or JupyterLab would begin a formula there."""
    return escape(UNPRINTABLE.sub("", str(value))).replace("$", "<span>$</span>")


def _html(markup: str) -> None:
    from IPython import display

    display.display(display.HTML(markup))  # type: ignore[no-untyped-call]  # IPython has no types
