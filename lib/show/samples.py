"""Samples as a reader sees them, with what the judge, or the verifier, said of them."""

from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import islice
from typing import Literal, get_args

from lib.errors import KitError
from lib.filter.keep import judged_samples, planted_failures
from lib.filter.tried import Answered, Trial
from lib.run.records import dropped_scenarios, made_samples, planted_explanations
from lib.run.run import Run
from lib.schema import Evaluation, Rubric, SampleMetadata
from lib.show.html import escaped, heading, shown, student_text, table_markup
from lib.taxonomy import label

Status = Literal["made", "kept", "dropped", "planted failure", "dropped scenario", "wrong explanation"]
FOUND = {True: "", False: " (NOT FOUND in the response)", None: ""}
SIDES = "display:grid;grid-template-columns:1fr 1fr;gap:16px"


def samples(run: Run, *, status: Status = "made", count: int = 1, ids: Collection[str] = ()) -> None:
    """Show the first `count` samples of a status, or those with these `ids`. Raises KitError for another status.

    The status is made (with their criteria), kept or dropped (with the judge's verdicts), planted failure, dropped scenario, or
    wrong explanation.
    """
    if status not in SHOWN:
        raise KitError(f"There is no status {status!r}. There are: {', '.join(get_args(Status))}.")
    found = list(islice((markup for name, markup in SHOWN[status](run) if not ids or name in ids), len(ids) or count))
    if not found:
        print(
            f"There is no {status} sample{' with these ids' if ids else ''}." if status in ("made", "kept", "dropped") else f"No {status}."
        )
    for markup in found:
        shown(markup)


def _made(run: Run) -> Iterator[tuple[str, str]]:
    for sample in made_samples(run):
        about = sample.metadata
        title = f"{sample.id} · {label(about.subject)} · {label(about.misconception_type)}"
        yield (
            sample.id,
            heading(title, about.misconception) + _exchange(about, ("Gold response", sample.response)) + _rubrics(about.rubrics),
        )


def _with_verdicts(status: str) -> Callable[[Run], Iterator[tuple[str, str]]]:
    def judged(run: Run) -> Iterator[tuple[str, str]]:
        for one in judged_samples(run):
            if one.decision.status == status and one.evaluation:
                about, detail = one.sample.metadata, one.decision.detail
                title = heading(f"{one.sample.id}: {status}{f', {detail}' if detail else ''}", about.misconception)
                exchange = _exchange(about, ("Response", one.sample.response))
                yield one.sample.id, title + exchange + _verdicts(about.rubrics, one.evaluation)

    return judged


def _planted(run: Run) -> Iterator[tuple[str, str]]:
    for copy, sample in planted_failures(run):
        title, about = heading(f"{copy.sample_id}, spoiled: {label(copy.spoiling).lower()}", copy.fault), sample.metadata
        verdicts = _verdicts(about.rubrics, copy.evaluation)
        yield copy.sample_id, title + _exchange(about, ("Spoiled response", copy.response)) + verdicts


def _dropped_scenarios(run: Run) -> Iterator[tuple[str, str]]:
    for one in dropped_scenarios(run):
        title = f"{one.id} · {label(one.subject)} · {label(one.misconception_type)}: {label(one.reason).lower()}"
        parts = (
            ("The verifier", one.detail),
            ("Question", one.question),
            ("First explanation", one.explanation),
            ("Student", one.follow_up),
        )
        yield one.id, heading(title, one.misconception) + _parts(parts) + _rubrics(one.rubrics)


def _wrong_explanations(run: Run) -> Iterator[tuple[str, str]]:
    for copy in planted_explanations(run):
        title = f"{copy.sample_id}, {label(copy.misstating).lower()}: {'caught' if copy.reason else 'NOT CAUGHT'}"
        yield copy.sample_id, heading(title, copy.fault) + student_text(copy.explanation)


SHOWN: dict[str, Callable[[Run], Iterator[tuple[str, str]]]] = {
    "made": _made,
    "kept": _with_verdicts("kept"),
    "dropped": _with_verdicts("dropped"),
    "planted failure": _planted,
    "dropped scenario": _dropped_scenarios,
    "wrong explanation": _wrong_explanations,
}


def trial(found: Trial) -> None:
    """Show each sample of a trial, with the response and the verdicts before the edit on the left and those after it on the right."""
    for one in found.tried:
        about = one.sample.metadata
        shown(heading(f"{one.sample.id} · {label(about.subject)}", about.misconception) + _exchange(about))
        sides = (("before", one.before), ("after", one.after))
        shown(f"<div style='{SIDES}'>{''.join(_side(about, answered, when=when) for when, answered in sides)}</div>")


def _side(about: SampleMetadata, answered: Answered, *, when: str) -> str:
    kept = "would be kept" if answered.is_kept else "would be dropped"
    head = f"<b>{when.capitalize()} the edit: {kept}</b>"
    return f"<div>{head}{student_text(answered.response)}{_verdicts(about.rubrics, answered.evaluation)}</div>"


def _exchange(about: SampleMetadata, *more: tuple[str, str]) -> str:
    return _parts((("Question", about.question), ("First explanation", about.explanation), ("Student", about.follow_up), *more))


def _parts(parts: Sequence[tuple[str, str]]) -> str:
    return "".join(f"<b>{name}</b>{student_text(text)}" for name, text in parts)


def _rubrics(rubrics: Sequence[Rubric]) -> str:
    return table_markup(
        [
            {"importance": rubric.importance, "criterion": rubric.criteria, "skill": label(rubric.attributes.tutoring_skill)}
            for rubric in rubrics
        ]
    )


def _verdicts(rubrics: Sequence[Rubric], evaluation: Evaluation) -> str:
    """Return the verdicts as tables. Those on criteria that are met are folded."""
    strengths, weaknesses = (
        ", ".join(label(name).lower() for name in names) or "none" for names in (evaluation.strengths, evaluation.weaknesses)
    )
    line = f"<p>Quality {evaluation.quality_score} of 5. Strengths: {escaped(strengths)}. Weaknesses: {escaped(weaknesses)}.</p>"
    rows: dict[bool, list[dict[str, str]]] = {True: [], False: []}
    for rubric, verdict in zip(rubrics, evaluation.verdicts, strict=True):
        quote = f"\n“{verdict.evidence}”{FOUND[verdict.evidence_found]}" if verdict.evidence else ""
        mark = "✓ met" if verdict.met else "✗ NOT MET"
        rows[verdict.met].append(
            {
                "verdict": mark,
                "id": rubric.id,
                "importance": rubric.importance,
                "criterion": rubric.criteria,
                "the judge": verdict.reasoning + quote,
            }
        )
    met = f"<details><summary>{len(rows[True])} of {len(rubrics)} criteria are met</summary>{table_markup(rows[True])}</details>"
    return line + table_markup(rows[False]) + met
