"""People's labels of samples that were drawn with known probabilities -> the share of samples that is truly good.

The judge's verdicts on all samples divide them into strata. Within a stratum each sample is as likely as any other to be drawn, so its
labels stand for the others (prediction-powered inference, arXiv 2601.05420). Nothing is assumed of planted failures.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lib.analyze.rates import Z, mid_p_interval, rounded, wilson_interval

Estimated = tuple[float, float, float]  # estimate, low, high, all in 0..1
FEWEST_IN_STRATUM = 3  # labels, below which a stratum is counted together with the other one of the same verdict
FEWEST_LABELS = 8  # in all, below which nothing is estimated
MOST_UNKNOWN = 0.05  # of the samples, those of a verdict of which nobody labelled any; with more nothing is estimated
MOST_TIMES = 64  # as many labels as there are, of which it is looked up whether they would halve the interval


@dataclass(frozen=True, slots=True)
class Weighted:
    """A share that was estimated from labels of unequal weight, with its interval."""

    rate: float
    interval: tuple[float, float]
    total: float  # how many labels of equal weight would tell as much. Source: Kish 1965, Survey Sampling

    @property
    def hits(self) -> float:
        return self.rate * self.total

    @property
    def turned(self) -> "Weighted":
        """The share of the others."""
        low, high = self.interval
        return Weighted(1 - self.rate, (1 - high, 1 - low), self.total)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.rate:.0%} (95 % interval {low:.0%} to {high:.0%})"

    def as_record(self, name: str) -> dict[str, Any]:
        return {name: rounded(self.rate), f"{name}_interval": [rounded(bound) for bound in self.interval]}


@dataclass(frozen=True, slots=True)
class Stratum:
    """Samples on which the judge decides alike and is divided alike. Those with labels are a random part of them."""

    passes: bool
    is_divided: bool
    size: int
    labelled: float = 0
    good: float = 0  # of the labelled ones, those that people find good enough to keep

    @property
    def rate(self) -> float:
        """The share of good ones among the labelled ones. Where none is labelled it may be anything, so it is a half."""
        return self.good / self.labelled if self.labelled else 0.5

    def with_other(self, other: "Stratum") -> "Stratum":
        size, labelled, good = self.size + other.size, self.labelled + other.labelled, self.good + other.good
        return replace(self, size=size, labelled=labelled, good=good)


def labelled_rate(strata: Sequence[Stratum]) -> Estimated | None:
    """Return (estimate, low, high) of the share of samples that are truly good, from people's labels. None for fewer than eight labels.

    The estimate is the sum of size ÷ all × good ÷ labelled over the strata, which weighs each label by the inverse of its probability of
    being drawn. Its interval is put together from those of the strata (MOVER, Zou & Donner 2008, Statistics in Medicine 27:1693), and
    takes in that the samples themselves are some of those that could have been made.
    """
    return _stratified(strata, interval=lambda good, labelled: mid_p_interval(round(good), round(labelled)))


def _stratified(strata: Sequence[Stratum], *, interval: Callable[[float, float], tuple[float, float]]) -> Estimated | None:
    groups, size = _large_enough(strata), sum(one.size for one in strata)
    if sum(one.labelled for one in groups) < FEWEST_LABELS or sum(one.size for one in groups if not one.labelled) > MOST_UNKNOWN * size:
        return None
    shares, rates = [one.size / size for one in groups], [one.rate for one in groups]
    estimate = sum(share * rate for share, rate in zip(shares, rates, strict=True))
    variance = sum(share * (rate - estimate) ** 2 for share, rate in zip(shares, rates, strict=True)) / size
    below = above = Z * Z * variance
    for one, share, rate in zip(groups, shares, rates, strict=True):
        low, high = interval(one.good, one.labelled) if one.labelled else (0.0, 1.0)
        below, above = below + (share * (rate - low)) ** 2, above + (share * (high - rate)) ** 2
    return estimate, max(0.0, estimate - math.sqrt(below)), min(1.0, estimate + math.sqrt(above))


def _large_enough(strata: Sequence[Stratum]) -> list[Stratum]:
    """Return the strata, those of one verdict taken together where one of them has few labels."""
    found = list[Stratum]()
    for passes in (True, False):
        own = [one for one in strata if one.passes is passes and one.size]
        if len(own) == 2 and min(one.labelled for one in own) < FEWEST_IN_STRATUM:
            own = [own[0].with_other(own[1])]
        found += own
    return found


def share_passed(strata: Sequence[Stratum], *, of_good: bool = True) -> Weighted | None:
    """Return the share that the judge passes of the samples that people would find good, or of those that they would find bad.

    The interval takes in that a stratum in which no such sample was labelled may hold some. Its ends are those at which passed and
    dropped samples of this sort are fewest and most, so it is a little wide. None when no such sample is labelled.
    """
    if not any(one.good if of_good else one.labelled - one.good for one in strata):
        return None
    ends = [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]  # dropped and passed ones: estimate, low, high
    for passes in (False, True):
        groups = [one for one in _large_enough(strata) if one.passes is passes]
        below = above = 0.0
        for one in groups:
            rate = one.rate if of_good else 1 - one.rate
            low, high = mid_p_interval(round(rate * one.labelled), round(one.labelled)) if one.labelled else (0.0, 1.0)
            ends[passes][0] += one.size * rate if one.labelled else 0.0
            below, above = below + (one.size * (rate - low)) ** 2, above + (one.size * (high - rate)) ** 2
        ends[passes][1] = max(0.0, ends[passes][0] - math.sqrt(below))
        ends[passes][2] = ends[passes][0] + math.sqrt(above)
    (dropped, fewest_dropped, most_dropped), (passed, fewest_passed, most_passed) = ends
    low = fewest_passed / max(1e-9, fewest_passed + most_dropped)
    weights = [(one.good if of_good else one.labelled - one.good, one.size / one.labelled) for one in strata if one.labelled]
    total = sum(count * weight for count, weight in weights) ** 2 / sum(count * weight**2 for count, weight in weights)
    return Weighted(passed / max(1e-9, passed + dropped), (low, most_passed / max(1e-9, most_passed + fewest_dropped)), total)


def labels_to_halve(strata: Sequence[Stratum]) -> int | None:
    """Return how many further labels would halve the interval of `labelled_rate`, if the rates stay. None when labels alone can't."""

    def width(times: float) -> float:
        more = [_times(one, times) for one in strata]
        found = _stratified(more, interval=wilson_interval)
        return found[2] - found[1] if found else 1.0

    wanted, few, many = width(1) / 2, 1.0, float(MOST_TIMES)
    if width(many) > wanted:
        return None
    while many - few > 0.01:
        middle = (few + many) / 2
        few, many = (few, middle) if width(middle) <= wanted else (middle, many)
    return math.ceil(sum(_times(one, many).labelled - one.labelled for one in strata))


def bounds_when_all_are_labelled(strata: Sequence[Stratum]) -> tuple[float, float]:
    """Return the interval that labels of all samples would have, if the rates stay."""
    everyone = [_times(one, one.size) if one.labelled else one for one in strata]
    _, low, high = _stratified(everyone, interval=wilson_interval) or (0.0, 0.0, 1.0)
    return low, high


def _times(one: Stratum, times: float) -> Stratum:
    """Return the stratum with so many times as many labels, as far as it has samples."""
    labelled = min(float(one.size), one.labelled * times)
    return replace(one, labelled=labelled, good=one.rate * labelled)
