"""Tables -> where samples are lost: the funnel, the criteria that fail most, and samples to read."""

from collections import Counter
from typing import TYPE_CHECKING, Any

from lib.analyze.groups import RATES, by_part, counted_rows, rate_table
from lib.analyze.tables import TOPPED_UP, Tables
from lib.filter.gates import GATES
from lib.filter.keep import VERDICT_REASONS
from lib.generate.verify import DROP_REASONS
from lib.taxonomy import label

if TYPE_CHECKING:
    import pandas as pd

UNJUDGED = "unjudged"
FUNNEL = (*GATES, UNJUDGED, *VERDICT_REASONS)


def funnel(tables: Tables) -> list[dict[str, Any]]:
    """Return one row a step of the first pass, in the order in which samples meet them.

    A row holds how many samples came, were dropped and are left. Where scenarios were dropped, their reasons are the first steps.
    """
    samples, scenarios = tables.first_pass, first_scenarios(tables)
    reasons = Counter(samples[samples["status"] == "dropped"]["reason"])
    reasons[UNJUDGED] = int((samples["status"] == UNJUDGED).sum())
    reasons.update(scenarios["reason"])
    left, rows = len(samples) + len(scenarios), []
    for step in (*(reason for reason in DROP_REASONS if reasons[reason]), *FUNNEL):
        rows.append({"step": step, "samples": left, "dropped": reasons[step], "left": left - reasons[step]})
        left -= reasons[step]
    return rows


def first_scenarios(tables: Tables) -> "pd.DataFrame":
    """Return the scenarios of the first pass that the verifier dropped."""
    return tables.scenarios[~tables.scenarios["origin"].isin(TOPPED_UP)]


def skills_by_failures(verdicts: "pd.DataFrame") -> "pd.DataFrame":
    """Return for each tutoring skill how many of its criteria were judged and failed, those that fail most often first."""
    skills = rate_table(by_part(verdicts[["tutoring_skill", "met"]], "tutoring_skill"), ["tutoring_skill"], names=RATES["verdicts"])
    skills = skills.assign(failed=skills["judged"] - skills["met"])
    return skills[skills["failed"] > 0].sort_values(["failed", "tutoring_skill"], ascending=[False, True])


def skill_name(skill: str) -> str:
    return "no particular skill" if skill == "not_applicable" else label(skill).lower()


def failing_criteria(tables: Tables, *, count: int = 8) -> list[dict[str, Any]]:
    """Return the skills whose criteria fail most often, each with an example and the judge's reason, as rows of a table."""
    verdicts = counted_rows(tables, "tutoring_skill")
    failed = by_part(verdicts[~verdicts["met"].astype(bool)], "tutoring_skill").sort_values("critical", ascending=False, kind="stable")
    rows = []
    for skill in skills_by_failures(verdicts).head(count).to_dict("records"):
        first = failed[failed["tutoring_skill"] == skill["tutoring_skill"]].iloc[0]
        rows.append(
            {
                "criteria on": skill_name(skill["tutoring_skill"]),
                "not met": f"{skill['failed']:,} of {skill['judged']:,}",
                "for example": first["id"],
                "criterion": first["criteria"],
                "the judge": first["why_not"],
            }
        )
    return rows


def to_read(tables: Tables, step: str, *, skill: str = "", count: int = 3) -> list[str]:
    """Return ids of samples, or of scenarios, that were lost at this step, first of all those in which a criterion on the skill fails."""
    if step in DROP_REASONS:
        scenarios = first_scenarios(tables)
        return scenarios[scenarios["reason"] == step]["id"].head(count).tolist()
    samples, verdicts = tables.first_pass, tables.verdicts
    lost = samples[(samples["status"] == UNJUDGED) if step == UNJUDGED else (samples["reason"] == step)]
    failed = by_part(verdicts.loc[~verdicts["met"].astype(bool), ["id", "tutoring_skill"]], "tutoring_skill")
    failing = set(failed[failed["tutoring_skill"] == skill]["id"])
    return sorted(lost["id"], key=lambda name: name not in failing)[:count]
