"""Tables -> `filtering_statistics.json`: counts, rates with their intervals, scores, and how far to trust the judge.

Every rate has its count and a Wilson interval, because at four samples a keep rate of 100 % is compatible with 51 %. The counts and
averages are of all samples, the rates by subject, kind, cell and criterion of the first pass.
"""

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

from lib.analyze.groups import RATES, rate_table, rates, worst_first
from lib.analyze.losses import UNJUDGED, funnel
from lib.analyze.rates import Share
from lib.analyze.rubrics import rubrics
from lib.analyze.tables import Tables
from lib.analyze.trust import trust
from lib.analyze.verifier import verifier
from lib.llm.ledger import ledger
from lib.run.files import write_json
from lib.run.lock import holding
from lib.run.manifest import update_manifest
from lib.run.run import Run, filtered_with
from lib.taxonomy import CONTROL_KINDS, label

if TYPE_CHECKING:
    import pandas as pd


class Statistics(dict[str, Any]):
    """What `filtering_statistics.json` holds, as it is displayed."""

    def __str__(self) -> str:
        made, kept, dropped, unjudged = (self[f"{name}_samples"] for name in ("total", "kept", "removed", "unjudged"))
        lines = [f"{made:,} made = {kept:,} kept + {dropped:,} dropped + {unjudged:,} unjudged"]
        if (first := self["first_pass"])["keep_rate"] is not None:
            averages = (self[name] for name in ("average_quality_score", "average_weighted_score"))
            quality, score = ("–" if average is None else f"{average:.2f}" for average in averages)
            of = " of the first pass" if self["topped_up"] else ""
            lines.append(f"keep rate{of}: {Share(first['kept'], first['made'])}")
            lines += [self["topped_up"]["summary"]] if self["topped_up"] else []
            lines.append(f"average quality {quality} of 5, average weighted score {score}")
        for row in self["controls"]:
            lines.append(f"controls, {label(row['misconception_type']).lower()}: {row['kept']:,} of {row['made']:,} kept")
        return "\n".join([*lines, self["planted_failures"]])

    @property
    def remarks(self) -> list[str]:
        """The warnings without which the keep rate must not be read."""
        labelled = "The data card and report.html show labels only after make validate and make report." if self["judge"]["people"] else ""
        return [*self["warnings"], *filter(None, [labelled])]

    def rows(self) -> list[dict[str, Any]]:
        """Return the steps of the funnel that dropped a sample, as rows of a table."""
        return [step | {"step": label(step["step"]).lower()} for step in self["funnel"] if step["dropped"]]


def statistics(tables: Tables) -> Statistics:
    """Return what follows from the replies alone, without times and costs."""
    samples, judged, judge, kept = tables.samples, tables.judged, trust(tables), tables.kept
    scores = judged["quality_score"].astype(int)
    reasons = samples.loc[samples["reason"] != "", "reason"].value_counts().sort_index()
    return Statistics(
        total_samples=kept.total,
        kept_samples=kept.hits,
        removed_samples=int((samples["status"] == "dropped").sum()),
        unjudged_samples=int((samples["status"] == UNJUDGED).sum()),
        **kept.as_record("keep_rate"),
        first_pass=tables.first_kept.as_record("keep_rate", total="made", hits="kept"),
        topped_up=_topped_up(tables),
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
        rubrics=rubrics(tables).as_record(),
        judge=judge.as_record() | {"flip_rate_by_skill": _records(_flip_rates(tables))},
        warnings=judge.warnings,
    )


def _topped_up(tables: Tables) -> dict[str, Any] | None:
    """Return how many of the further and of the repaired samples are kept, or None when the run was not topped up."""
    if not tables.topped_up:
        return None
    counts = {name: tables.topped_up.get(origin, Share(0, 0)) for name, origin in (("added", "top_up"), ("repaired", "repair"))}
    records = {name: {"made": share.total, "kept": share.hits} for name, share in counts.items()}
    return records | {"summary": tables.topped_up_line}


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
    write_json(run.statistics, found)
    kept, cost_usd = found["kept_samples"], sum(line.cost_usd for line in ledger(run.journal))
    costs = {"cost_usd": round(cost_usd, 6), "cost_usd_a_kept_sample": round(cost_usd / kept, 6) if kept else None}
    if (
        run.settings.review_csv and found["judge"]["people"] and found["judge"]["people"]["criteria"]["labelled"]
    ):  # an empty sheet replaces none
        update_manifest(run, "people", values={"review_csv": run.settings.review_csv})
    update_manifest(run, "filtering", values=filtered_with(run) | {"kept": kept} | costs)
    return found


def _flip_rates(tables: Tables) -> "pd.DataFrame":
    """Return, by tutoring skill, how often the votes on a criterion differ. The table is empty with a single vote."""
    voted = tables.verdicts.loc[tables.verdicts["flipped"].notna(), ["tutoring_skill", "flipped"]]
    return rate_table(voted, ["tutoring_skill"], names=("criteria", "flipped", "flip_rate"))


def _counted(lists: "pd.Series[Any]") -> dict[str, int]:
    counts = Counter(word for words in lists for word in words)
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def _records(table: "pd.DataFrame") -> list[dict[str, Any]]:
    rows = table.to_dict("records")
    return [{str(name): round(value, 4) if isinstance(value, float) else value for name, value in row.items()} for row in rows]


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(float(value), 4)
