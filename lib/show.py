"""What notebooks display: tables and text, everything from a CSV or a model escaped.

Nothing is computed here; see `stats` for the numbers and `figures` for the plots.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib.analyze.compare import Comparison, comparison_table
from lib.analyze.rates import Share
from lib.analyze.statistics import low_keep_rate_advice
from lib.analyze.trust import Trust, catch_line, catches
from lib.filter.gates import Gating
from lib.filter.keep import decisions, planted_failures
from lib.generate.estimate import Estimate
from lib.generate.plan import Cell
from lib.generate.seeds import SeedFile
from lib.llm.work import Tally
from lib.prompts.rendering import Prompt
from lib.publish.splits import Split
from lib.run.files import read_text
from lib.run.folder import made_samples, run_of
from lib.run.manifest import read_manifest
from lib.schema import Evaluation, Sample, Slot
from lib.settings import FEWEST_PLANTED, Settings, headless, short_path
from lib.taxonomy import label

if TYPE_CHECKING:
    import pandas as pd

    from lib.validate.report import Report

BOX = "border-left:3px solid #0072B2;padding:2px 12px;margin:6px 0;white-space:pre-wrap;font-family:inherit;background:transparent"
WARN = "border-left:3px solid #D55E00;padding:2px 12px;margin:6px 0"


def seeds(seed_file: SeedFile) -> None:
    """How the file was read, how many rows can be used, why others can't, and the first three."""
    for remark in seed_file.remarks:
        _warning(remark)
    print(f"{seed_file.path.name}: {len(seed_file.seeds)} usable seeds, {len(seed_file.set_aside)} rows set aside")
    if seed_file.rubrics_deleted:
        print(f"{seed_file.rubrics_deleted} rubrics were marked deleted and left out")
    if seed_file.set_aside:
        first = {row.reason: row for row in reversed(seed_file.set_aside)}
        _table(
            [
                {"reason": why, "rows": count, "first": f"row {first[why].row}: {first[why].detail}"}
                for why, count in seed_file.reasons.items()
            ]
        )
    _table(
        {
            "row": seed.row,
            "subject": seed.subject,
            "prompt": _cut(seed.prompt),
            "follow-up": _cut(seed.follow_up),
            "rubrics": len(seed.rubrics),
        }
        for seed in seed_file.seeds[:3]
    )


def plan(first: Sequence[Slot], cells: Counter[Cell]) -> None:
    """How the plan is balanced over its cells, and its first slots. A long plan is never held in memory as a whole."""
    for place, name in enumerate(("subject", "misconception_type")):
        counts: Counter[str] = Counter()
        for cell, count in cells.items():
            counts[cell[place]] += count
        print(f"{cells.total():,} slots over {len(counts)} × {label(name).lower()}, each {_span(counts.values())}")
    print(f"{len(cells)} cells of subject and kind are visited, each {_span(cells.values())}")
    columns = ("id", "seed_row", "subject", "misconception_type", "topic", "level")
    _table({name: getattr(slot, name) for name in columns} for slot in first)


def prompt(sent: Prompt) -> None:
    """The system and the user text, folded."""
    for name, text in zip(("System", "User"), sent, strict=True):
        opened = " open" if name == "User" else ""
        _html(f"<details{opened}><summary><b>{name}</b> ({len(text):,} characters)</summary>{_box(text)}</details>")


def estimate(expected: Estimate, settings: Settings) -> None:
    """Calls, tokens and US dollars by stage, and whether the budget will do."""
    _table(
        {
            "stage": stage.stage,
            "model": "embedded" if expected.is_local else stage.model,
            "calls": f"{stage.calls:,}",
            "input tokens": f"{stage.input_tokens:,}",
            "output tokens": f"{stage.output_tokens[0]:,} to {stage.output_tokens[1]:,}",
            "US dollars": f"{stage.cost_usd[0]:.2f} to {stage.cost_usd[1]:.2f}",
        }
        for stage in expected.stages
    )
    if expected.cost_usd[1] > settings.budget_usd:
        _warning(f"budget_usd = {settings.budget_usd:g} may not be enough; the run stops there, and can be continued with a larger one.")


def generation(done: Tally) -> None:
    """Remarks, and failures by reason."""
    remarks(done)
    if done.failures:
        counts = Counter((failure.stage, failure.reason) for failure in done.failures)
        _table({"stage": stage, "reason": reason, "samples": count} for (stage, reason), count in counts.most_common())


def remarks(done: Tally) -> None:
    """What the provider or the run had to say."""
    for remark in (*done.remarks, done.notice):
        if remark:
            _warning(remark)


def samples(settings: Settings, *, count: int) -> None:
    """The first samples, as text, with their rubrics."""
    for sample in islice(made_samples(run_of(settings)), count):
        about = sample.metadata
        _html(f"<h4>{escape(sample.id)} · {escape(label(about.subject))} · {escape(label(about.misconception_type))}</h4>")
        _html(f"<i>{escape(about.misconception)}</i>{_box(sample.messages[1].content)}<b>Gold response</b>{_box(sample.response)}")
        _table(
            {"weight": rubric.weight, "criterion": rubric.criteria, "skill": rubric.attributes.tutoring_skill} for rubric in about.rubrics
        )


def gates(done: Gating) -> None:
    """How many samples each gate dropped, in the order in which they meet them."""
    left, rows = done.made, []
    for reason, count in done.dropped.items():
        rows.append({"gate": label(reason).lower(), "samples": left, "dropped": count, "left": left - count})
        left -= count
    _table(rows)
    for remark in done.remarks:
        print(remark)


def planted(settings: Settings, *, count: int) -> None:
    """The first planted failures: what was done to the response, and the judge's verdicts on it."""
    pairs = list(islice(planted_failures(run_of(settings)), count))
    if not pairs:
        print("No failure was planted.")
    for copy, sample in pairs:
        _html(f"<h4>{escape(copy.sample_id)}, spoiled: {escape(label(copy.spoiling).lower())}</h4><i>{escape(copy.fault)}</i>")
        _html(f"<b>Student</b>{_box(sample.metadata.follow_up)}<b>Spoiled response</b>{_box(copy.response)}")
        _verdicts(sample, copy.evaluation)


def trust(found: Trust) -> None:
    """How far the judge can be trusted: planted failures by kind, the corrected pass rate, evidence, votes, people's labels."""
    _table(
        {"planted failure": label(kind).lower(), "planted": share.total, "caught": share.hits, "catch rate": _rate(share)}
        for kind, share in found.caught.items()
        if share.total
    )
    if found.corrected_line:
        print(found.corrected_line, *found.assumptions, sep="\n  ")
    print(f"evidence quoted {found.unfound.total:,} times, not found in the response {found.unfound.hits:,} times")
    if found.flipped.total:
        print(f"criteria on which the votes differ: {found.flipped}")
    if found.people:
        people = found.people
        for what, counts in (("criteria", people.criteria), ("samples", people.samples)):
            kappa = "–" if counts.kappa is None else f"{counts.kappa:.2f}"
            print(f"people and judge agree on {what}: {counts.agreed}; Cohen's kappa {kappa}")
        print(f"of the samples that people find good, the judge passes {people.sensitivity}")
        print(f"of those that people find bad, it drops {people.specificity}")
        if people.unlabelled:
            print(f"{people.unlabelled:,} rows of the sheet are not filled in")
    if found.all_caught.total < FEWEST_PLANTED:
        print(f"too few failures were planted to tell how good the judge is: at least {FEWEST_PLANTED} are needed, and as many samples")


def table(rows: "pd.DataFrame") -> None:
    """Any small table, as it stands."""
    _table({str(name): value for name, value in row.items()} for row in rows.to_dict("records"))


def judged(settings: Settings, *, status: str, count: int) -> None:
    """The first samples that were kept (or dropped), with each verdict and its evidence."""
    found = ((sample, evaluation, why) for sample, evaluation, why in decisions(settings) if why.status == status and evaluation)
    none = True
    for sample, evaluation, why in islice(found, count):
        none = False
        _html(f"<h4>{escape(sample.id)}: {escape(status)} {escape(why.detail)}</h4>")
        _html(f"<b>Student</b>{_box(sample.metadata.follow_up)}<b>Response</b>{_box(sample.response)}")
        if evaluation:
            _verdicts(sample, evaluation)
    if none:
        print(f"No judged sample was {status}.")


def funnel(found: dict[str, Any]) -> None:
    """made = kept + dropped + unjudged, the keep rate beside the catch rate, scores, each step's losses, and the warnings."""
    made, kept, dropped, unjudged = (found[f"{name}_samples"] for name in ("total", "kept", "removed", "unjudged"))
    print(f"{made:,} made = {kept:,} kept + {dropped:,} dropped + {unjudged:,} unjudged")
    if found["keep_rate"] is not None:
        low, high = found["keep_rate_interval"]
        print(
            f"keep rate {found['keep_rate']:.1%} (95 % interval {low:.0%} to {high:.0%}), "
            f"average quality {_shown(found['average_quality_score'])} of 5, weighted score {_shown(found['average_weighted_score'], 2)}"
        )
    print(found["planted_failures"])
    _table(step | {"step": label(step["step"]).lower()} for step in found["funnel"] if step["dropped"])
    for warning in found["warnings"]:
        _warning(warning)


def advice(criteria: "pd.DataFrame", table: "pd.DataFrame") -> None:
    """Below 50 % kept: the likely causes and the settings to change."""
    if lines := low_keep_rate_advice(criteria, table):
        _html(f"<p style='{WARN}'><b>Fewer than half are kept.</b> Likely causes, and what to change:</p>" + _list(lines))


def failing_criteria(criteria: "pd.DataFrame", *, count: int) -> None:
    """Criteria that were not met, critical ones first: the text to read before changing a prompt."""
    failed = criteria[~criteria["met"].astype(bool)] if len(criteria) else criteria
    failed = failed.sort_values("severity", key=lambda names: names == "not_critical", kind="stable").head(count)
    if not len(failed):
        print("Every criterion was met." if len(criteria) else "No criterion was judged.")
    _table({name: row[name] for name in ("id", "severity", "tutoring_skill", "criteria")} for row in failed.to_dict("records"))


def ledger(settings: Settings, *, kept: int) -> None:
    """What was paid, by stage and model, and for each kept sample."""
    manifest = read_manifest(run_of(settings))
    lines = (manifest.get("judging") or manifest.get("generation") or {}).get("ledger", [])
    _table(lines)
    total = sum(line["cost_usd"] for line in lines)
    each = f", ${total / kept:.4f} for each of {kept:,} kept samples" if kept else ""
    print(f"${total:.2f} in all{each}")


def provenance(settings: Settings) -> str:
    """Return the line under every figure: run, models as returned, and the notice where there is one."""
    first = next(decisions(settings), None)
    if first is None:
        return f"run {settings.run}: no samples"
    sample, evaluation, _ = first
    writers = ", ".join(dict.fromkeys(sample.metadata.models.values()))
    judge = f", judged by {evaluation.model}" if evaluation else ""
    made = read_manifest(run_of(settings)).get("generation", {}).get("finished", "")[:10]
    notice = "  ·  EMBEDDED MODEL: proves that the pipeline runs, not training data" if sample.metadata.notice else ""
    return f"run {settings.run}  ·  {made}  ·  written by {writers}{judge}{notice}\n{catch_line(catches(settings))}"


def figure(path: Path, description: str) -> None:
    """Show a saved figure with its alternative text."""
    from IPython import display
    from matplotlib import pyplot

    pyplot.close("all")
    display.display(display.Image(filename=str(path), alt=description, width=900))  # type: ignore[no-untyped-call]  # IPython has no types


def comparison(found: Comparison | None) -> None:
    """Two runs beside one another: what was changed, what came of it."""
    if found is None:
        print("compare_with names no run.")
        return
    print(found)
    if found.unpaired:
        print(f"{found.unpaired:,} samples were made in one of the runs only")
    names = (found.other, found.run)
    _table({"changed": name, **dict(zip(names, values, strict=True))} for name, values in found.changed.items())
    table(comparison_table(found))


def split(found: Split) -> None:
    """How many samples of each subject and kind are on each side."""
    _table(
        {"": label(name), "value": label(value), "train": train, "validation": held, "share": f"{held / (train + held):.0%}"}
        for (name, value), (train, held) in found.counts.items()
    )


def markdown(path: Path) -> None:
    """A Markdown file as a reader of it would see it, without its header of metadata."""
    from IPython import display

    body = read_text(path).split("---\n", 2)[-1]
    display.display(display.Markdown(body))  # type: ignore[no-untyped-call]  # IPython has no types


def files(settings: Settings) -> None:
    """Every file of the run with its size."""
    found = sorted(path for path in run_of(settings).dir.glob("*.json*"))
    _table({"file": short_path(path), "bytes": f"{path.stat().st_size:,}"} for path in found if "_checkpoint_" not in path.name)


def problems(report: "Report") -> None:
    """The first problems, by line."""
    _table(
        {"line": problem.line, "code": problem.code, "severity": problem.severity, "problem": problem.message}
        for problem in report.problems
    )


def entries(report: "Report") -> None:
    """The first two examples of a checked file."""
    if not report.first_entries:
        print("The file holds no examples yet.")
    for number, entry in enumerate(report.first_entries, start=1):
        _html(f"<h4>Example {number}</h4>" + "".join(f"<b>{escape(m['role'])}</b>{_box(str(m['content']))}" for m in entry["messages"]))


def _verdicts(sample: Sample, evaluation: Evaluation) -> None:
    said = f"Quality {evaluation.quality_score} of 5. Strengths: {_joined(evaluation.strengths)}."
    _html(f"<p>{escape(said)} Weaknesses: {escape(_joined(evaluation.weaknesses))}.</p>")
    where = {True: "found", False: "NOT FOUND", None: "none quoted"}
    _table(
        {
            "met": "yes" if verdict.met else "NO",
            "weight": rubric.weight,
            "criterion": rubric.criteria,
            "reasoning": verdict.reasoning,
            "evidence": verdict.evidence,
            "in the response": where[verdict.evidence_found],
        }
        for rubric, verdict in zip(sample.metadata.rubrics, evaluation.verdicts, strict=True)
    )


def _table(rows: Iterable[dict[str, Any]]) -> None:
    shown = list(rows)
    if not shown:
        return
    cell = "text-align:left;vertical-align:top;max-width:38em;white-space:pre-wrap"
    head = "".join(f"<th style='{cell}'>{escape(str(name))}</th>" for name in shown[0])
    body = "".join("<tr>" + "".join(f"<td style='{cell}'>{escape(str(value))}</td>" for value in row.values()) + "</tr>" for row in shown)
    _html(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")


def _html(markup: str) -> None:
    from IPython import display

    display.display(display.HTML(markup))  # type: ignore[no-untyped-call]  # IPython has no types


def _box(text: str) -> str:
    return f"<div style='{BOX}'>{escape(text).replace('$', '&#36;')}</div>"


def _list(lines: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def _warning(text: str) -> None:
    if headless():  # the executed copy is not on the screen
        print(f"NOTE: {text}")
    _html(f"<p style='{WARN}'>{escape(text)}</p>")


def _cut(text: str, *, length: int = 140) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _span(counts: Iterable[int]) -> str:
    low, high = min(values := list(counts)), max(values)
    return f"{low} to {high} times" if low != high else "once" if low == 1 else f"{low} times"


def _joined(names: Sequence[str]) -> str:
    return ", ".join(label(name).lower() for name in names) or "none"


def _shown(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _rate(share: Share) -> str:
    low, high = share.interval or (0.0, 1.0)
    return f"{share.hits / max(1, share.total):.0%} ({low:.0%} to {high:.0%})"
