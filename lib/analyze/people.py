"""A sheet that people filled in -> how far they and the judge agree."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from lib.analyze.rates import Pairs, rounded
from lib.analyze.sheet import Label, ReviewError, read_sheet
from lib.analyze.strata import (
    FEWEST_LABELS,
    Estimated,
    Stratum,
    Weighted,
    bounds_when_all_are_labelled,
    labelled_rate,
    labels_to_halve,
    share_passed,
)
from lib.analyze.tables import TOPPED_UP
from lib.errors import counted
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
    strata: tuple[Stratum, ...] = ()  # of the first pass, with the labels of their samples

    @property
    def good(self) -> Estimated | None:
        """The share of the run's samples that people would find good (estimate, low, high), from their labels alone."""
        return labelled_rate(self.strata)

    @property
    def good_of_passed(self) -> Estimated | None:
        """The same of the samples that the judge passes, which is what people train on."""
        return labelled_rate([one for one in self.strata if one.passes])

    @property
    def sensitivity(self) -> Weighted | None:
        """Of the run's samples that people would find good, those that the judge passes. None when no good one is labelled."""
        return share_passed(self.strata)

    @property
    def specificity(self) -> Weighted | None:
        """Of those that people would find bad, the ones that it drops. These are natural failures, unlike planted ones."""
        passed = share_passed(self.strata, of_good=False)
        return passed.turned if passed else None

    @property
    def lines(self) -> list[str]:
        """How far people and the judge agree, in sentences."""
        if not self.criteria.total:
            return ["no row of the sheet is filled in"]
        found = []
        for what, pairs in (("criteria", self.criteria), ("samples", self.samples)):
            kappa = "–" if pairs.kappa is None else f"{pairs.kappa:.2f}"
            found.append(f"people and judge agree on {what}: {pairs.agreed}; Cohen's kappa {kappa}")
        found.append(f"of the samples that people would find good, the judge passes {self.sensitivity or 'an unknown share'}")
        found.append(f"of those that people would find bad, it drops {self.specificity or 'an unknown share'}")
        found.append(self.line)
        return found + ([f"{self.unlabelled:,} rows of the sheet are not filled in"] if self.unlabelled else [])

    @property
    def line(self) -> str:
        """The share of good ones among the samples that pass, and what further labels would tell."""
        labelled = round(sum(one.labelled for one in self.strata))
        if not self.good:
            return f"{counted(labelled, 'sample')} labelled in full: at least {FEWEST_LABELS} are needed to estimate the share of good ones"
        passed = "of the samples that the judge passes, {:.1%} are good by people's labels (95 % interval {:.0%} to {:.0%}); "
        return (passed.format(*self.good_of_passed) if self.good_of_passed else "") + self._more(labelled)

    def _more(self, labelled: int) -> str:
        further, size = labels_to_halve(self.strata), sum(one.size for one in self.strata)
        if further is not None:
            command = f"make review REVIEW_SAMPLES={labelled + further} REVIEW_CSV=<this sheet>"
            return f"labels of {further:,} further samples would halve the interval of all: {command}"
        if labelled >= size:
            return "all samples are labelled, and the interval says how far other samples made in the same way may differ"
        low, high = bounds_when_all_are_labelled(self.strata)
        return f"labels of the other {size - labelled:,} samples would narrow the interval of all to about {low:.0%} to {high:.0%}"

    def as_record(self) -> dict[str, Any]:
        """Return what `filtering_statistics.json` holds under `people`."""

        def agreed(pairs: Pairs) -> dict[str, Any]:
            return pairs.agreed.as_record("agreement", total="labelled", hits="agreed") | {"cohen_kappa": rounded(pairs.kappa)}

        return {
            "criteria": agreed(self.criteria),
            "samples": agreed(self.samples),
            "sensitivity": self.sensitivity.as_record("sensitivity") if self.sensitivity else None,
            "specificity": self.specificity.as_record("specificity") if self.specificity else None,
            "good_rate_of_passed": [rounded(value) for value in self.good_of_passed] if self.good_of_passed else None,
            "good_rate": rounded(self.good[0]) if self.good else None,
            "good_rate_interval": [rounded(bound) for bound in self.good[1:]] if self.good else None,
            "labels_to_halve": labels_to_halve(self.strata) if self.good else None,
            "strata": [
                {"passes": one.passes, "divided": one.is_divided, "samples": one.size, "labelled": one.labelled, "good": one.good}
                for one in self.strata
            ],
            "rows_not_filled_in": self.unlabelled,
        }


def agreement(run: Run, *, samples: "pd.DataFrame", verdicts: "pd.DataFrame") -> Agreement | None:
    """Return how far people and judge agree, or None when no sheet is named. Raises ReviewError when the sheet is of another run."""
    if not run.settings.review_csv:
        return None
    settings = run.settings
    path, threshold = from_root(settings.review_csv), settings.threshold
    labels: dict[str, list[Label]] = {}
    for label in read_sheet(path):
        labels.setdefault(label.sample_id, []).append(label)
    response_ids = dict(zip(samples["id"], samples["response_id"], strict=True))
    criteria, whole, good = Counter[str](), Counter[str](), dict[str, bool]()
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
            bans = _bans(by_sample[name]) if settings.ban_is_veto else set()
            good[name] = _is_good(people, critical, above=threshold, bans=bans)
            whole[CELL_OF[good[name], _is_good(judge, critical, above=threshold, bans=bans)]] += 1
    unlabelled = sum(label.met is None for rows in labels.values() for label in rows)
    return Agreement(Pairs(**criteria), Pairs(**whole), unlabelled, tuple(_strata(samples, good)))


def _strata(samples: "pd.DataFrame", good: dict[str, bool]) -> Iterator[Stratum]:
    """Yield the strata of the judged samples of the first pass. `good` says of the labelled ones whether people would keep them."""
    judged = samples[samples["critical_total"].notna() & ~samples["origin"].isin(TOPPED_UP)]
    for (passes, divided), group in judged.groupby(["kept", "divided"]):
        labels = [good[name] for name in group["id"] if name in good]
        yield Stratum(bool(passes), bool(divided), size=len(group), labelled=len(labels), good=sum(labels))


def _bans(verdicts: "pd.DataFrame") -> set[str]:
    return set(verdicts.loc[verdicts["severity"] == "critical_negative", "rubric_id"])


def _is_good(met: dict[str, bool], critical: Sequence[str], *, above: Fraction, bans: Collection[str]) -> bool:
    """Whether the criteria let the response pass, by the run's own rule. `bans` are those of which one broken is enough to drop it."""
    return all(met[name] for name in bans) and sum(met[name] for name in critical) > above * len(critical)
