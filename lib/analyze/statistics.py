"""Tables -> the funnel, rates with their intervals, scores, and `filtering_statistics.json`.

Every rate has its count and a Wilson interval, because at four samples a keep rate of 100 % is compatible with 51 %.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from lib.analyze.groups import RATES, rate_table, rates, worst_first
from lib.analyze.tables import Tables
from lib.analyze.trust import LOW_KEEP_RATE, trust
from lib.analyze.verifier import verifier
from lib.filter.gates import GATES
from lib.filter.keep import VERDICT_REASONS
from lib.generate.verify import DROP_REASONS
from lib.llm.ledger import ledger
from lib.run.files import write_json
from lib.run.lock import holding
from lib.run.manifest import update_manifest
from lib.run.run import Run, filtered_with
from lib.taxonomy import CONTROL_KINDS, label

if TYPE_CHECKING:
    import pandas as pd

UNJUDGED = "unjudged"
RULE_OF = {  # the setting that decides a reason
    "ban_broken": "ban_is_veto", "factual_error": "drop_factual_errors", "low_quality": "min_quality_score",
    "length_far_off": "length_tolerance", "formulaic_opening": "max_alike_share", "formulaic_closing": "max_alike_share",
}  # fmt: skip
FUNNEL = (*GATES, UNJUDGED, *VERDICT_REASONS)


class Statistics(dict[str, Any]):
    """What `filtering_statistics.json` holds, as it is displayed. The `advice` is displayed only."""

    advice: Sequence[str] = ()

    def __str__(self) -> str:
        made, kept, dropped, unjudged = (self[f"{name}_samples"] for name in ("total", "kept", "removed", "unjudged"))
        lines = [f"{made:,} made = {kept:,} kept + {dropped:,} dropped + {unjudged:,} unjudged"]
        if self["keep_rate"] is not None:
            low, high = self["keep_rate_interval"]
            averages = (self[name] for name in ("average_quality_score", "average_weighted_score"))
            quality, score = ("–" if average is None else f"{average:.2f}" for average in averages)
            lines.append(f"keep rate {self['keep_rate']:.1%} (95 % interval {low:.0%} to {high:.0%})")
            lines.append(f"average quality {quality} of 5, average weighted score {score}")
        for row in self["controls"]:
            lines.append(f"controls, {label(row['misconception_type']).lower()}: {row['kept']:,} of {row['made']:,} kept")
        return "\n".join([*lines, self["planted_failures"]])

    @property
    def remarks(self) -> list[str]:
        """The warnings without which the keep rate must not be read, and what to change where fewer than half are kept."""
        return [*self["warnings"], *self.advice]

    def rows(self) -> list[dict[str, Any]]:
        """Return the steps of the funnel that dropped a sample, as rows of a table."""
        return [step | {"step": label(step["step"]).lower()} for step in self["funnel"] if step["dropped"]]


def statistics(tables: Tables) -> Statistics:
    """Return what follows from the replies alone, without times and costs."""
    samples, judged, judge, kept = tables.samples, tables.judged, trust(tables), tables.kept
    scores = judged["quality_score"].astype(int)
    reasons = samples[samples["reason"] != ""]["reason"].value_counts().sort_index()
    return Statistics(
        total_samples=kept.total,
        kept_samples=kept.hits,
        removed_samples=int((samples["status"] == "dropped").sum()),
        unjudged_samples=int((samples["status"] == UNJUDGED).sum()),
        **kept.as_record("keep_rate"),
        **judge.passed.as_record("judge_pass_rate"),
        planted_failures=judge.catch_line,
        average_critical_pass_rate=_rounded(judged["critical_pass_rate"].mean()),
        average_weighted_score=_rounded(judged["weighted_score"].astype(float).mean()),
        quality_score_distribution={str(score): int((scores == score).sum()) for score in range(1, 6)},
        average_quality_score=_rounded(scores.mean()),
        filtering_threshold=tables.run.settings.critical_pass_threshold,
        common_strengths=_counted(judged["strengths"]),
        common_weaknesses=_counted(judged["weaknesses"]),
        verifier=verifier(tables).as_record(),
        funnel=funnel(tables),
        by_reason={reason: int(count) for reason, count in reasons.items()},
        by_origin=_records(rates(tables, "origin")),
        controls=_records(controls(tables)),
        by_subject=_records(rates(tables, "subject")),
        by_misconception_type=_records(rates(tables, "misconception_type")),
        by_cell=_records(rates(tables, "subject", "misconception_type")),
        by_criterion={by: _records(worst_first(tables, by)) for by in ("severity", "tutoring_skill", "eval_dimension")},
        judge=judge.as_record() | {"flip_rate_by_skill": _records(_flip_rates(tables))},
        warnings=judge.warnings,
    )


def funnel(tables: Tables) -> list[dict[str, Any]]:
    """Return one row a step, in the order in which samples meet them, with the samples that came, were dropped and are left.

    Where scenarios were dropped, their reasons are the first steps.
    """
    reasons = Counter(tables.samples[tables.samples["status"] == "dropped"]["reason"])
    reasons[UNJUDGED] = int((tables.samples["status"] == UNJUDGED).sum())
    reasons.update(tables.scenarios["reason"])
    left, rows = len(tables.samples) + len(tables.scenarios), []
    for step in (*(reason for reason in DROP_REASONS if reasons[reason]), *FUNNEL):
        rows.append({"step": step, "samples": left, "dropped": reasons[step], "left": left - reasons[step]})
        left -= reasons[step]
    return rows


def controls(tables: Tables) -> "pd.DataFrame":
    """Return the keep rate of the samples in which the student is right, and of those in which they ask an open question."""
    apart = tables.samples[tables.samples["misconception_type"].isin(CONTROL_KINDS)]
    return rate_table(apart, ["misconception_type"], names=RATES["samples"])


def write_statistics(tables: Tables) -> Statistics:
    """Write `filtering_statistics.json` and return its content. The cost of a kept sample is written to the manifest."""
    return _written(tables.run, tables=tables)


@holding
def _written(run: Run, *, tables: Tables) -> Statistics:
    found = statistics(tables)
    found.advice = low_keep_rate_advice(tables)
    write_json(run.statistics, found)
    kept, cost_usd = found["kept_samples"], sum(line.cost_usd for line in ledger(run.journal))
    costs = {"cost_usd": round(cost_usd, 6), "cost_usd_a_kept_sample": round(cost_usd / kept, 6) if kept else None}
    if run.settings.review_csv:
        update_manifest(run, "people", values={"review_csv": run.settings.review_csv})
    update_manifest(run, "filtering", values=filtered_with(run) | {"kept": kept} | costs)
    return found


def low_keep_rate_advice(tables: Tables) -> list[str]:
    """Return the likely causes of a keep rate below one half, and the settings to change. There is no advice for a higher rate."""
    samples = tables.samples
    if not len(samples) or (tables.kept.rate or 0.0) >= LOW_KEEP_RATE or tables.manifest.generation.notice:  # no advice helps there
        return []
    advice = []
    if (share := (samples["status"] == UNJUDGED).mean()) > 0.1:
        advice.append(f"{share:.0%} are unjudged: raise `max_tokens`, or set `judge_model` to one that answers completely.")
    advice.extend(_why_dropped(tables))
    advice.extend(_why_criteria_fail(tables))
    if names := [f"{label(name).lower()} ({count:,})" for name, count in _counted(samples[~samples["kept"]]["weaknesses"]).items()]:
        advice.append(f"What the judge finds most often in dropped responses: {', '.join(names[:3])}.")
    advice.append(
        'Read some dropped samples in 02, and edit lib/prompts/gold_system.md. Or raise `gold_effort` to "high", and compare the runs.'
    )
    return advice


def _why_dropped(tables: Tables) -> Iterator[str]:
    """Yield the most frequent reason of the dropped samples, and what decides it."""
    reasons = tables.samples[tables.samples["status"] == "dropped"]["reason"].value_counts()
    if len(reasons):
        reason, count = str(reasons.index[0]), int(reasons.iloc[0])
        rule = RULE_OF.get(reason, "")
        yield f"Of {reasons.sum():,} dropped samples, {count:,} are dropped as {reason}{f' (`{rule}`)' if rule else ''}."


def _why_criteria_fail(tables: Tables) -> Iterator[str]:
    """Yield which critical criteria fail most, by tutoring skill, with an example and the judge's reason."""
    critical = tables.verdicts[tables.verdicts["critical"].astype(bool)]
    skills = rate_table(critical, ["tutoring_skill"], names=RATES["verdicts"]).sort_values("pass_rate")
    for _, worst in skills[skills["pass_rate"] < 1].head(1).iterrows():
        skill = worst["tutoring_skill"]
        first = critical[(critical["tutoring_skill"] == skill) & ~critical["met"].astype(bool)].iloc[0]
        which = f"Critical criteria on {label(skill).lower()} pass least ({worst['pass_rate']:.0%} of {worst['judged']:,})"
        yield f"{which}. For example {first['id']}: “{first['criteria']}” The judge: “{first['why_not']}”"


def failing_criteria(tables: Tables, *, count: int = 10) -> list[dict[str, Any]]:
    """Return the first criteria that were not met, critical ones first, and the judge's reasons, as rows of a table."""
    failed = tables.verdicts[~tables.verdicts["met"].astype(bool)].sort_values("critical", ascending=False, kind="stable").head(count)
    return failed[["id", "severity", "tutoring_skill", "criteria", "why_not"]].to_dict("records")  # type: ignore[return-value]  # columns have names


def _flip_rates(tables: Tables) -> "pd.DataFrame":
    """Return, by tutoring skill, how often the votes on a criterion differ. The table is empty with a single vote."""
    voted = tables.verdicts[tables.verdicts["flipped"].notna()]
    return rate_table(voted, ["tutoring_skill"], names=("criteria", "flipped", "flip_rate"))


def _counted(lists: "pd.Series[Any]") -> dict[str, int]:
    counts = Counter(word for words in lists for word in words)
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def _records(table: "pd.DataFrame") -> list[dict[str, Any]]:
    rows = table.to_dict("records")
    return [{str(name): round(value, 4) if isinstance(value, float) else value for name, value in row.items()} for row in rows]


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(float(value), 4)
