"""samples, evaluations and decisions -> tables: the funnel, keep rates with intervals, failing criteria, scores, costs.

Every rate carries its count and a Wilson interval: at four samples a keep rate of 100 % is compatible with 51 %.
"""

import math
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from lib.analyze.rates import wilson_interval
from lib.analyze.trust import LOW_KEEP_RATE, trust
from lib.filter.keep import decisions
from lib.filter.scores import critical_score, weighted_score
from lib.llm.journal import ledger
from lib.run.files import write_json
from lib.run.folder import holding, run_of
from lib.run.manifest import filtered_from, update_manifest
from lib.schema import Decision, DropReason, Evaluation, Sample
from lib.settings import Settings
from lib.taxonomy import AREA_OF

if TYPE_CHECKING:
    import pandas as pd


def sample_table(settings: Settings) -> "pd.DataFrame":
    """Return one row a made sample: what it is about, its decision, its scores (NaN while unjudged)."""
    import pandas as pd

    rows = [_row(sample, evaluation, decision) for sample, evaluation, decision in decisions(settings)]
    return pd.DataFrame(rows, columns=_COLUMNS)


def criterion_table(settings: Settings) -> "pd.DataFrame":
    """Return one row a verdict: the criterion's attributes, whether it was met, whether its evidence was found."""
    import pandas as pd

    rows = [
        {
            "id": sample.id,
            "rubric_id": rubric.id,
            "criteria": rubric.criteria,
            "severity": rubric.attributes.severity,
            "tutoring_skill": rubric.attributes.tutoring_skill,
            "eval_dimension": rubric.attributes.eval_dimension,
            "met": verdict.met,
            "evidence_found": verdict.evidence_found,
            "flipped": len(set(verdict.votes)) > 1 if verdict.votes else None,
        }
        for sample, evaluation, _ in decisions(settings)
        if evaluation
        for rubric, verdict in zip(sample.metadata.rubrics, evaluation.verdicts, strict=True)
    ]
    columns = ["id", "rubric_id", "criteria", "severity", "tutoring_skill", "eval_dimension", "met", "evidence_found", "flipped"]
    return pd.DataFrame(rows, columns=columns)


def keep_rates(table: "pd.DataFrame", by: list[str]) -> "pd.DataFrame":
    """Return made, kept, keep_rate, low, high for each group; groups in the order of `by`'s values."""
    return _rates(table.assign(passed=table["status"] == "kept"), by, names=("made", "kept", "keep_rate"))


def pass_rates(criteria: "pd.DataFrame", by: str) -> "pd.DataFrame":
    """Return judged, met, pass_rate, low, high for each value of `by`; a comma-joined cell counts for each of its parts."""
    parts = criteria.assign(**{by: criteria[by].str.split(r",\s*")}).explode(by) if len(criteria) else criteria
    return _rates(parts.assign(passed=parts["met"].astype(bool)), [by], names=("judged", "met", "pass_rate")).sort_values("pass_rate")


def statistics(settings: Settings) -> dict[str, Any]:
    """Return what `filtering_statistics.json` holds. Only what follows from the replies: no times, no costs."""
    table, criteria, judge = sample_table(settings), criterion_table(settings), trust(settings)
    judged = table[table["critical_total"].notna()]
    kept = int((table["status"] == "kept").sum())
    scores = judged["quality_score"].astype(int)
    return {
        "total_samples": len(table),
        "kept_samples": kept,
        "removed_samples": int((table["status"] == "dropped").sum()),
        "unjudged_samples": int((table["status"] == "unjudged").sum()),
        **_rate_with_interval("keep_rate", kept, len(table)),
        **_rate_with_interval("judge_pass_rate", kept, len(judged)),
        "planted_failures": judge.catch_line,
        "average_critical_pass_rate": _rounded(judged["critical_pass_rate"].mean()),
        "average_weighted_score": _rounded(judged["weighted_score"].astype(float).mean()),
        "quality_score_distribution": {str(score): int((scores == score).sum()) for score in range(1, 6)},
        "average_quality_score": _rounded(scores.mean()),
        "filtering_threshold": settings.critical_pass_threshold,
        "common_strengths": _counted(settings, "strengths"),
        "common_weaknesses": _counted(settings, "weaknesses"),
        "funnel": funnel(table),
        "by_reason": {reason: int(count) for reason, count in table[table["reason"] != ""]["reason"].value_counts().sort_index().items()},
        "by_origin": _records(keep_rates(table, ["origin"])),
        "by_subject": _records(keep_rates(table, ["subject"])),
        "by_misconception_type": _records(keep_rates(table, ["misconception_type"])),
        "by_cell": _records(keep_rates(table, ["subject", "misconception_type"])),
        "by_criterion": {by: _records(pass_rates(criteria, by)) for by in ("severity", "tutoring_skill", "eval_dimension")},
        "judge": judge.as_record() | {"flip_rate_by_skill": _flip_rates(criteria)},
        "warnings": judge.warnings,
    }


def funnel(table: "pd.DataFrame") -> list[dict[str, Any]]:
    """Return one step a gate, in the order in which samples meet them: how many came in, were dropped, are left."""
    dropped = table[table["status"] == "dropped"]["reason"].value_counts()
    unjudged = int((table["status"] == "unjudged").sum())
    steps = [(str(reason), int(dropped.get(reason, 0))) for reason in DropReason]
    steps.insert(-1, ("unjudged", unjudged))
    left, rows = len(table), []
    for step, count in steps:
        rows.append({"step": step, "samples": left, "dropped": count, "left": left - count})
        left -= count
    return rows


@holding
def write_statistics(settings: Settings) -> dict[str, Any]:
    """Write `filtering_statistics.json` and return what it holds; what a kept sample cost goes to the manifest."""
    run, found = run_of(settings), statistics(settings)
    write_json(run.statistics, found)
    kept, cost_usd = found["kept_samples"], sum(line.cost_usd for line in ledger(run.journal))
    costs = {"cost_usd": round(cost_usd, 6), "cost_usd_a_kept_sample": round(cost_usd / kept, 6) if kept else None}
    if settings.review_csv:
        update_manifest(run, "people", {"review_csv": settings.review_csv})
    update_manifest(run, "filtering", {"threshold": settings.critical_pass_threshold, "kept": kept, "of": filtered_from(run), **costs})
    return found


def low_keep_rate_advice(criteria: "pd.DataFrame", table: "pd.DataFrame") -> list[str]:
    """Return the likely causes of a keep rate below one half, and the setting to change; empty when it is not below."""
    if not len(table) or (table["status"] == "kept").mean() >= LOW_KEEP_RATE:
        return []
    advice = []
    if (share := (table["status"] == "unjudged").mean()) > 0.1:
        advice.append(f"{share:.0%} are unjudged: raise `max_tokens`, or set `judge_model` to one that answers completely.")
    if len(criteria):
        skills = pass_rates(criteria[criteria["severity"] != "not_critical"], "tutoring_skill")
        if len(skills):
            worst = skills.iloc[0]
            which = f"Critical criteria on `{worst['tutoring_skill']}` pass least ({worst['pass_rate']:.0%})"
            advice.append(f"{which}: read some in 02, then edit lib/prompts/gold_system.md.")
    advice.append("Up to 5 critical criteria must all pass above 0.80: `critical_pass_threshold = 0.7` lets one of four fail.")
    advice.append('Raise `gold_effort` to "high", or set `model` to a stronger one, and compare the two runs.')
    return advice


_COLUMNS = [
    "id", "subject", "area", "topic", "misconception_type", "status", "reason",
    "critical_passed", "critical_total", "critical_pass_rate", "weighted_score", "quality_score", "response_words", "origin",
]  # fmt: skip


def _row(sample: Sample, evaluation: Evaluation | None, decision: Decision) -> dict[str, Any]:
    about = sample.metadata
    score = critical_score(sample, evaluation) if evaluation else None
    weighted = weighted_score(about.rubrics, evaluation.verdicts) if evaluation else None
    return {
        "id": sample.id,
        "subject": about.subject,
        "area": AREA_OF.get(about.subject, "Other"),
        "topic": about.topic,
        "misconception_type": about.misconception_type,
        "status": decision.status,
        "reason": decision.reason,
        "critical_passed": score.passed if score else None,
        "critical_total": score.total if score else None,
        "critical_pass_rate": score.passed / score.total if score and score.total else None,
        "weighted_score": None if weighted is None else float(weighted),
        "quality_score": evaluation.quality_score if evaluation else None,
        "response_words": len(sample.response.split()),
        "origin": about.origin,
    }


def _rates(table: "pd.DataFrame", by: list[str], *, names: tuple[str, str, str]) -> "pd.DataFrame":
    import pandas as pd

    total_name, passed_name, rate_name = names
    rows = []
    for key, group in table.groupby(by, sort=True):
        passed, total = int(group["passed"].sum()), len(group)
        low, high = wilson_interval(passed, total)
        rows.append((*key, total, passed, passed / total, low, high))
    return pd.DataFrame(rows, columns=[*by, total_name, passed_name, rate_name, "low", "high"])


def _rate_with_interval(name: str, passed: int, total: int) -> dict[str, Any]:
    if not total:
        return {name: None, f"{name}_interval": None}
    low, high = wilson_interval(passed, total)
    return {name: round(passed / total, 4), f"{name}_interval": [round(low, 4), round(high, 4)]}


def _counted(settings: Settings, name: str) -> dict[str, int]:
    given: Iterable[str] = (word for _, evaluation, _ in decisions(settings) if evaluation for word in getattr(evaluation, name))
    return dict(sorted(Counter(given).items(), key=lambda pair: (-pair[1], pair[0])))


def _flip_rates(criteria: "pd.DataFrame") -> list[dict[str, Any]]:
    """Return, by tutoring skill, how often the votes on a criterion differ; empty with a single vote."""
    voted = criteria[criteria["flipped"].notna()]
    return _records(
        _rates(voted.assign(passed=voted["flipped"].astype(bool)), ["tutoring_skill"], names=("criteria", "flipped", "flip_rate"))
    )


def _records(table: "pd.DataFrame") -> list[dict[str, Any]]:
    rows = table.to_dict("records")
    return [{str(name): round(value, 4) if isinstance(value, float) else value for name, value in row.items()} for row in rows]


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(float(value), 4)
