"""A sheet that people filled in -> how far they and the judge agree."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from lib.analyze.rates import Pairs, Share, rounded
from lib.analyze.sheet import Label, ReviewError, read_sheet
from lib.run.run import Run
from lib.settings import from_root

if TYPE_CHECKING:
    import pandas as pd

CELL_OF = {(True, True): "both", (True, False): "only_first", (False, True): "only_second", (False, False): "neither"}


@dataclass(frozen=True, slots=True)
class Agreement:
    """People (first) beside the judge (second), by criterion, and by sample: good enough to keep, at the run's threshold."""

    criteria: Pairs
    samples: Pairs
    unlabelled: int

    @property
    def sensitivity(self) -> Share:
        """Of the samples that people find good, those that the judge passes."""
        return Share(self.samples.both, self.samples.first)

    @property
    def specificity(self) -> Share:
        """Of the samples that people find bad, those that the judge drops. These are natural failures, unlike planted ones."""
        return Share(self.samples.neither, self.samples.neither + self.samples.only_second)

    @property
    def lines(self) -> list[str]:
        """How far people and the judge agree, in sentences."""
        if not self.criteria.total:
            return ["no row of the sheet is filled in"]
        found = []
        for what, pairs in (("criteria", self.criteria), ("samples", self.samples)):
            kappa = "–" if pairs.kappa is None else f"{pairs.kappa:.2f}"
            found.append(f"people and judge agree on {what}: {pairs.agreed}; Cohen's kappa {kappa}")
        found.append(f"of the samples that people find good, the judge passes {self.sensitivity}")
        found.append(f"of those that people find bad, it drops {self.specificity}")
        return found + ([f"{self.unlabelled:,} rows of the sheet are not filled in"] if self.unlabelled else [])

    def as_record(self) -> dict[str, Any]:
        """Return what `filtering_statistics.json` holds under `people`."""

        def agreed(pairs: Pairs) -> dict[str, Any]:
            return pairs.agreed.as_record("agreement", total="labelled", hits="agreed") | {"cohen_kappa": rounded(pairs.kappa)}

        return {
            "criteria": agreed(self.criteria),
            "samples": agreed(self.samples),
            "sensitivity": self.sensitivity.as_record("sensitivity", total="good", hits="passed"),
            "specificity": self.specificity.as_record("specificity", total="bad", hits="dropped"),
            "rows_not_filled_in": self.unlabelled,
        }


def agreement(run: Run, *, samples: "pd.DataFrame", verdicts: "pd.DataFrame") -> Agreement | None:
    """Return how far people and judge agree, or None when no sheet is named. Raises ReviewError when the sheet is of another run."""
    if not run.settings.review_csv:
        return None
    path, threshold = from_root(run.settings.review_csv), run.settings.threshold
    labels: dict[str, list[Label]] = {}
    for label in read_sheet(path):
        labels.setdefault(label.sample_id, []).append(label)
    response_ids = dict(zip(samples["id"], samples["response_id"], strict=True))
    criteria, whole = Counter[str](), Counter[str]()
    by_sample = {str(name): rows for name, rows in verdicts[verdicts["id"].isin(labels)].groupby("id", sort=False)}
    for name, rows in labels.items():
        if name not in by_sample:
            raise ReviewError(f"{path}, row {rows[0].row}: {name} is no judged sample of run {run.settings.run}.")
        judge = {str(rubric): bool(met) for rubric, met in zip(by_sample[name]["rubric_id"], by_sample[name]["met"], strict=True)}
        for label in rows:
            if label.response_id != response_ids[name] or label.rubric_id not in judge:
                raise ReviewError(
                    f"{path}, row {label.row}: {name} has changed since the sheet was written, or the sheet is of another run."
                )
        people = {label.rubric_id: label.met for label in rows if label.met is not None}
        criteria.update(CELL_OF[met, judge[rubric]] for rubric, met in people.items())
        critical = by_sample[name].loc[by_sample[name]["critical"].astype(bool), "rubric_id"].tolist()
        if critical and set(critical) <= people.keys():
            whole[CELL_OF[_is_good(people, critical, above=threshold), _is_good(judge, critical, above=threshold)]] += 1
    unlabelled = sum(label.met is None for rows in labels.values() for label in rows)
    return Agreement(Pairs(**criteria), Pairs(**whole), unlabelled)


def _is_good(met: dict[str, bool], critical: Sequence[str], *, above: Fraction) -> bool:
    return sum(met[name] for name in critical) > above * len(critical)
