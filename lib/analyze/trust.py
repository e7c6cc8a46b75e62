"""planted failures, verdicts and people's labels -> how far the judge, and so the keep rate, can be trusted."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lib.analyze.people import Agreement, Counts, agreement
from lib.analyze.rates import Share, corrected_rate
from lib.filter.keep import decisions, drop_reason, planted_failures
from lib.filter.planted import SPOILINGS
from lib.run.folder import run_of
from lib.run.manifest import read_manifest
from lib.schema import Spoiling
from lib.settings import FEWEST_PLANTED, Settings

HIGH_KEEP_RATE, LOW_KEEP_RATE, LOW_CATCH_RATE, HIGH_UNFOUND_RATE = 0.95, 0.50, 0.80, 0.10
FEWEST_TO_WARN = 16  # samples: with fewer, 100 % is no finding
ASSUMED = "Under the assumption that the judge passes every good response (sensitivity 1): review_csv names no people's labels."
EASIER = "Planted failures are easier to catch than natural ones: this is the judge at its best."
TOO_FEW = "too few to tell"
NO_BETTER = "can't be corrected: the judge tells good from bad no better than chance, or what was measured of it contradicts the rate"
LOOKS_THE_SAME = "a judge that lets everything pass looks the same"
SAME_MODEL = (
    "The judge is the same model as the generator: models pass their own failed criteria more often (arXiv 2604.06996). "
    "Set JUDGE_MODEL to another."
)


@dataclass(frozen=True, slots=True)
class Trust:
    """What is known of the judge. `caught`: planted failures that it would have dropped, by kind; of `planted` some may be unjudged.
    `passed`: samples that it would keep.

    `flipped`: verdicts whose votes differ, by whichever of `votes`. `unfound`: quotes that don't stand in the response.
    """

    models: tuple[str, ...]
    own_judge: bool
    notice: str
    kept: Share
    passed: Share
    caught: dict[Spoiling, Share]
    planted: int
    unfound: Share
    flipped: Share
    people: Agreement | None

    @property
    def all_caught(self) -> Share:
        return total(self.caught)

    @property
    def corrected(self) -> tuple[float, float, float] | None:
        """The judge's pass rate corrected for its errors: (estimate, low, high), or None when it can't be or too few were planted."""
        if self.all_caught.total < FEWEST_PLANTED:
            return None
        recognised = self.people.sensitivity if self.people and self.people.sensitivity.total else None
        return corrected_rate(self.passed, caught=self.all_caught, recognised=recognised)

    @property
    def catch_line(self) -> str:
        return catch_line(self.caught)

    @property
    def corrected_line(self) -> str:
        if self.all_caught.total < FEWEST_PLANTED or not self.passed.total:
            return ""
        if self.corrected is None:
            return f"pass rate {self.passed.hits / self.passed.total:.1%} {NO_BETTER}"
        estimate, low, high = self.corrected
        before = self.passed.hits / self.passed.total
        return f"the judge passes {before:.1%}; corrected for its errors {estimate:.1%} (95 % interval {low:.0%} to {high:.0%})"

    @property
    def assumptions(self) -> list[str]:
        """What the corrected rate rests on."""
        measured = self.people is not None and self.people.sensitivity.total > 0
        return [EASIER] if measured else [ASSUMED, EASIER]

    @property
    def warnings(self) -> list[str]:
        """What a reader of the keep rate must know."""
        if self.notice:  # it says that verdicts are chance
            return [self.notice]
        found = [SAME_MODEL] if self.own_judge else []
        caught, low = self.all_caught, self.all_caught.interval[0] if self.all_caught.interval else 0.0
        if self.kept.total >= FEWEST_TO_WARN:
            rate = self.kept.hits / self.kept.total
            if rate > HIGH_KEEP_RATE:
                looks = "natural failures are subtler than the planted ones it catches" if low >= LOW_CATCH_RATE else LOOKS_THE_SAME
                found.append(f"{rate:.1%} are kept, more than {HIGH_KEEP_RATE:.0%}: {looks}. Read a dozen kept samples.")
            if rate < LOW_KEEP_RATE:
                found.append(
                    f"{rate:.1%} are kept, fewer than {LOW_KEEP_RATE:.0%}: prompts, judge or criteria are at fault; see notebook 3."
                )
        high = caught.interval[1] if caught.interval else 1.0
        some_unjudged = caught.total < FEWEST_PLANTED <= self.planted
        if (some_unjudged and high < LOW_CATCH_RATE) or (caught.total >= FEWEST_PLANTED and low < LOW_CATCH_RATE):
            found.append(
                f"The judge caught only {caught.hits} of {caught.total} planted failures; the rate may be as low as {low:.0%}, so "
                "the keep rate can't be trusted. Set JUDGE_MODEL to a stronger one, or raise VOTES."
            )
        if self.unfound.total >= FEWEST_TO_WARN and self.unfound.hits > HIGH_UNFOUND_RATE * self.unfound.total:
            found.append(
                f"{self.unfound.hits:,} of the judge's {self.unfound.total:,} quotes don't stand in the response it judged. "
                "Set JUDGE_MODEL to a stronger one."
            )
        return found

    def as_record(self) -> dict[str, Any]:
        """Return what `filtering_statistics.json` holds under `judge`."""
        estimate, low, high = self.corrected or (None, None, None)
        by_kind = {kind: _share(share, "planted", "caught", "catch_rate") for kind, share in self.caught.items() if share.total}
        return {
            "models": list(self.models),
            "same_model_as_generator": self.own_judge,
            "planted": _share(self.all_caught, "planted", "caught", "catch_rate"),
            "planted_by_kind": by_kind,
            "too_few_to_tell": self.all_caught.total < FEWEST_PLANTED,
            "pass_rate": _share(self.passed, "judged", "passed", "pass_rate"),
            "corrected_pass_rate": _rounded(estimate),
            "corrected_pass_rate_interval": None if estimate is None else [_rounded(low), _rounded(high)],
            "corrected_under": self.assumptions,
            "evidence": {"quoted": self.unfound.total, "not_found": self.unfound.hits},
            "votes": _share(self.flipped, "criteria", "flipped", "flip_rate"),
            "people": _people(self.people) if self.people else None,
        }


def trust(settings: Settings) -> Trust:
    """Read the run's files. Raises ReviewError when review_csv can't be used."""
    manifest = read_manifest(run_of(settings))
    statuses: Counter[str] = Counter()
    judged: Counter[bool] = Counter()
    models, own_judge = dict[str, None](), False
    quoted, votes = Counter[bool](), Counter[bool]()
    for sample, evaluation, decision in decisions(settings):
        statuses[decision.status] += 1
        if evaluation is None:
            continue
        judged[decision.status == "kept"] += 1
        models[evaluation.model] = None
        own_judge |= evaluation.model in sample.metadata.models.values()
        quoted.update(verdict.evidence_found for verdict in evaluation.verdicts if verdict.evidence_found is not None)
        votes.update(len(set(verdict.votes)) > 1 for verdict in evaluation.verdicts if verdict.votes)
    return Trust(
        models=tuple(sorted(models)),
        own_judge=own_judge,
        notice=manifest.get("generation", {}).get("notice", "") or manifest.get("judging", {}).get("notice", ""),
        kept=Share(statuses["kept"], statuses.total()),
        passed=Share(judged[True], judged.total()),
        caught=catches(settings),
        planted=manifest.get("judging", {}).get("planted", {}).get("total", 0),
        unfound=Share(quoted[False], quoted.total()),
        flipped=Share(votes[True], votes.total()),
        people=agreement(settings),
    )


def catches(settings: Settings) -> dict[Spoiling, Share]:
    """Return how many planted failures of each kind were caught: the spoiled copy would not be kept, by the judge's verdicts alone."""
    shares = dict.fromkeys(SPOILINGS, Share(0, 0))
    for copy, original in planted_failures(run_of(settings)):
        caught = drop_reason(original, copy.evaluation, threshold=settings.threshold) is not None
        share = shares[copy.spoiling]
        shares[copy.spoiling] = Share(share.hits + caught, share.total + 1)
    return shares


def total(caught: Mapping[Spoiling, Share]) -> Share:
    return Share(sum(share.hits for share in caught.values()), sum(share.total for share in caught.values()))


def catch_line(caught: Mapping[Spoiling, Share]) -> str:
    """Return what stands beside every keep rate."""
    share = total(caught)
    if not share.total:
        return "planted failures caught: none were planted, so nothing is known of the judge"
    return f"planted failures caught: {share}{'' if share.total >= FEWEST_PLANTED else f'; {TOO_FEW}'}"


def _people(people: Agreement) -> dict[str, Any]:
    def agreed(counts: Counts) -> dict[str, Any]:
        return _share(counts.agreed, "labelled", "agreed", "agreement") | {"cohen_kappa": _rounded(counts.kappa)}

    return {
        "criteria": agreed(people.criteria),
        "samples": agreed(people.samples),
        "sensitivity": _share(people.sensitivity, "good", "passed", "sensitivity"),
        "specificity": _share(people.specificity, "bad", "dropped", "specificity"),
        "rows_not_filled_in": people.unlabelled,
    }


def _share(share: Share, total: str, hits: str, rate: str) -> dict[str, Any]:
    interval = share.interval
    return {
        total: share.total,
        hits: share.hits,
        rate: _rounded(share.rate),
        f"{rate}_interval": None if interval is None else [_rounded(bound) for bound in interval],
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
