"""Verdicts, and what the judge made of planted failures -> how many criteria can't tell a good reply from a bad one, with examples."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lib.analyze.rates import Share
from lib.analyze.tables import Tables

if TYPE_CHECKING:
    import pandas as pd

MOST_EXAMPLES = 5  # of each measure, in the statistics
FEWEST_OF_A_SKILL = 20  # criteria of a skill, below which it is no finding that none failed
MEASURES = {
    "never_fails": "met also by a planted failure whose fault is about it",
    "met_by_nothing": "met by a reply that holds nothing for this student",
    "votes_differ": "decided otherwise when the judge is asked again",
    "judges_differ": "decided otherwise by another judge of the panel",
    "compound": "joins two demands",
    "general": "names nothing of its scenario",
}
Example = tuple[str, str, str]  # ids of sample and criterion, and the criterion


@dataclass(frozen=True, slots=True)
class Rubrics:
    """Of the criteria, how many are weak, by each measure. A measure that could not be taken has a share of 0."""

    shares: dict[str, Share]
    examples: dict[str, list[Example]]
    skills: tuple[str, ...]  # of which no criterion failed, not even on a copy

    def __str__(self) -> str:
        if self.skills:
            return f"no criterion on these skills failed, not even on a planted failure: {', '.join(self.skills)}"
        return ""

    def rows(self) -> list[dict[str, Any]]:
        """Return the measures as rows of a table, each with an example. Those that could not be taken are left out."""
        return [
            {
                "criterion": MEASURES[name],
                "criteria": f"{share.hits:,} of {share.total:,}",
                "share": share.short,
                "for example": next((f"{sample}, {rubric}: {text}" for sample, rubric, text in self.examples[name]), "–"),
            }
            for name, share in self.shares.items()
            if share.total
        ]

    def as_record(self) -> dict[str, Any]:
        """Return what `filtering_statistics.json` holds under `rubrics`."""
        found = {
            name: share.as_record("share", total="of", hits="criteria")
            | {"examples": [{"id": sample, "rubric_id": rubric, "criterion": text} for sample, rubric, text in self.examples[name]]}
            for name, share in self.shares.items()
        }
        return found | {"skills_that_never_fail": list(self.skills)}


def rubrics(tables: Tables) -> Rubrics:
    """Return how many criteria are weak. Those of topping up count too, because they are written by the same prompt."""
    verdicts, planted = tables.verdicts, tables.planted
    voted = verdicts.loc[verdicts["flipped"].notna()]
    split = verdicts["by_judge"].map(lambda votes: len(set(votes)) > 1)
    of_panel = verdicts["by_judge"].map(len) > 1
    chosen = {
        "votes_differ": (voted.loc[voted["flipped"].astype(bool)], len(voted)),
        "judges_differ": (verdicts.loc[split], int(of_panel.sum())),
        "compound": (verdicts.loc[verdicts["compound"].astype(bool)], len(verdicts)),
        "general": (verdicts.loc[verdicts["general"].astype(bool)], len(verdicts)),
    }
    on_copies = {"never_fails": ("never_failed", "touched"), "met_by_nothing": ("met_by_nothing", "asked_of_nothing")}
    shares = {name: Share(int(planted[met].map(len).sum()), int(planted[total].sum())) for name, (met, total) in on_copies.items()}
    examples = {name: _first(_of_copies(planted, met)) for name, (met, _) in on_copies.items()}
    shares |= {name: Share(len(rows), total) for name, (rows, total) in chosen.items()}
    examples |= {
        name: _first(rows[["id", "rubric_id", "criteria"]].itertuples(index=False, name=None)) for name, (rows, _) in chosen.items()
    }
    return Rubrics(shares, examples, _skills_that_never_fail(tables))


def _of_copies(planted: "pd.DataFrame", column: str) -> Iterable[Example]:
    for copy, texts in zip(planted["id"], planted[column], strict=True):
        yield from ((copy, rubric, text) for rubric, text in texts.items())


def _first(examples: Iterable[Example]) -> list[Example]:
    return [example for example, _ in zip(examples, range(MOST_EXAMPLES), strict=False)]


def _skills_that_never_fail(tables: Tables) -> tuple[str, ...]:
    """Return the tutoring skills of enough demands of which none failed, neither on a response nor on a planted failure."""
    demands = tables.verdicts[tables.verdicts["severity"] != "critical_negative"]
    failed_on_copies = {name for names in tables.planted["failed_skills"] for name in names}
    groups = demands.groupby("tutoring_skill")["met"]
    return tuple(
        sorted(
            str(skill)
            for skill, met in groups
            if len(met) >= FEWEST_OF_A_SKILL and met.astype(bool).all() and skill not in failed_on_copies
        )
    )
