"""The judge's pass rate, corrected for its errors, which planted failures and labels tell; and two estimates of one share -> one."""

import math
from dataclasses import dataclass
from typing import Any, Protocol

from lib.analyze.rates import Share, Z, rounded
from lib.analyze.strata import Estimated

SAYS_NOTHING = 0.95  # width of an interval from which a rate could be anything
ASSUMED = "Under the assumption that the judge passes every good response (sensitivity 1): review_csv names no people's labels."
FROM_HARMLESS = (
    "The share of good responses that the judge drops is taken from harmless copies of those that it passes. It shows how firm a verdict "
    "is against form, and not whether the judge is too strict: only people's labels (review_csv) show that."
)
EASIER = "Planted failures are easier to catch than natural ones: this is the judge at its best."
FROM_PLANTED = "from how it errs on planted failures and on labelled good samples, {:.1%} (95 % interval {:.0%} to {:.0%})"
DISAGREE = "labels and planted failures disagree, so natural failures are not caught as planted ones are: report what the labels say"
FROM_BOTH = "from both together, if natural failures are caught as often as planted ones, {:.1%} (95 % interval {:.0%} to {:.0%})"
RECOGNISED_BY_PEOPLE = ""  # the sensitivity was measured
LABELS_ALONE = "It rests on people's labels, weighed by how likely each sample was to be drawn. Report this number."
SHARED = 0.25  # correlation of the two estimates that is allowed for, because labels and pass rate have a part in both


class Counts(Protocol):
    """Hits of a total. They may be effective counts, which are no whole numbers."""

    @property
    def hits(self) -> float: ...
    @property
    def total(self) -> float: ...


@dataclass(frozen=True, slots=True)
class GoodRate:
    """The share of samples that is truly good, from people's labels and from how the judge errs. None where too little is known."""

    from_labels: Estimated | None
    from_planted: Estimated | None  # from the pass rate, and from how the judge errs on planted failures and on good responses
    assumption: str  # about good responses, under which `from_planted` holds; "" when none is needed

    @property
    def best(self) -> Estimated | None:
        """The one from labels alone where there are enough, because planted failures are easier to catch than natural ones."""
        found = self.from_labels or self.from_planted
        return found if found and found[2] - found[1] < SAYS_NOTHING else None

    @property
    def from_both(self) -> Estimated | None:
        """The one from both together, which holds as far as planted failures are like natural ones. None where the two disagree."""
        return together(self.from_labels, self.from_planted) if self.from_labels and self.from_planted and not self.disagree else None

    @property
    def disagree(self) -> bool:
        """Whether the two intervals have nothing in common, so that planted failures are not like natural ones."""
        if not self.from_labels or not self.from_planted:
            return False
        return self.from_planted[1] > self.from_labels[2] or self.from_labels[1] > self.from_planted[2]

    @property
    def assumptions(self) -> list[str]:
        """What the best one rests on."""
        return [LABELS_ALONE] if self.from_labels else [*filter(None, [self.assumption]), EASIER]

    @property
    def lines(self) -> list[str]:
        """The other two, in sentences, where there are labels."""
        if not self.from_planted or not self.from_labels:
            return []
        second = FROM_BOTH.format(*self.from_both) if self.from_both else DISAGREE
        return [FROM_PLANTED.format(*self.from_planted), second]

    def as_record(self) -> dict[str, Any]:
        """Return what `filtering_statistics.json` holds of it."""
        best = self.best
        others = {"labels": self.from_labels, "planted": self.from_planted, "both": self.from_both}
        return {
            "corrected_pass_rate": rounded(best[0]) if best else None,
            "corrected_pass_rate_interval": [rounded(bound) for bound in best[1:]] if best else None,
            "corrected_from": {name: [rounded(value) for value in found] if found else None for name, found in others.items()},
            "corrected_under": self.assumptions,
        }


def corrected_rate(passed: Share, *, caught: Share, recognised: Counts | None = None) -> Estimated | None:
    """Return (estimate, low, high) of the share of samples that are truly good, from the share that the judge passes.

    theta = (p + q0 - 1) / (q0 + q1 - 1). Here q0, the specificity, is the share of bad responses that the judge catches. The sensitivity
    q1 is the share of good ones that it `recognised`, and 1 when that is None. The interval takes in how uncertain all three are, by the
    delta method on counts with z²/2 (p) or one (q0, q1) added to each side, so that 16 caught of 16 is no certainty.
    Returns None when nothing was judged or planted, when the judge tells good from bad no better than chance (q0 + q1 <= 1), or when the
    three rates contradict one another (the whole interval lies outside 0..1). Source: arXiv 2511.21140.
    """
    if not passed.total or not caught.total or (recognised is not None and not recognised.total):
        return None
    q1_measured = recognised.hits / recognised.total if recognised else 1.0
    estimate = _theta(passed.hits / passed.total, q0=caught.hits / caught.total, q1=q1_measured)
    p, p_variance = _adjusted(passed, Z * Z / 2)
    q0, q0_variance = _adjusted(caught, 1)
    q1, q1_variance = _adjusted(recognised, 1) if recognised else (1.0, 0.0)
    theta = _theta(p, q0=q0, q1=q1)
    if estimate is None or theta is None:
        return None
    half = Z * math.sqrt(p_variance + (1 - theta) ** 2 * q0_variance + theta**2 * q1_variance) / (q0 + q1 - 1)
    if theta + half < 0 or theta - half > 1:
        return None
    low, high = max(0.0, theta - half), min(1.0, theta + half)
    estimate = min(1.0, max(0.0, estimate))
    return estimate, min(low, estimate), max(high, estimate)


def together(one: Estimated, other: Estimated) -> Estimated:
    """Return one estimate from two of the same share, each weighed by the inverse of its squared width."""
    weights = [1 / max(1e-9, high - low) ** 2 for _, low, high in (one, other)]
    first, second = (weight / sum(weights) for weight in weights)
    estimate = first * one[0] + second * other[0]
    below = _combined(first * (one[0] - one[1]), second * (other[0] - other[1]))
    above = _combined(first * (one[2] - one[0]), second * (other[2] - other[0]))
    return estimate, max(0.0, estimate - below), min(1.0, estimate + above)


def _combined(one: float, other: float) -> float:
    return math.sqrt(one * one + other * other + 2 * SHARED * one * other)


def _theta(p: float, *, q0: float, q1: float) -> float | None:
    return (p + q0 - 1) / (q0 + q1 - 1) if q0 + q1 > 1 else None


def _adjusted(share: Counts, added: float) -> tuple[float, float]:
    """Return the share with `added` hits and as many misses, and its variance."""
    total = share.total + 2 * added
    rate = (share.hits + added) / total
    return rate, rate * (1 - rate) / total
