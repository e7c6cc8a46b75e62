"""counts -> rates with their intervals: a share, a pass rate corrected for the judge's errors, agreement between two raters."""

import math
from dataclasses import dataclass

Z = 1.96  # 95 %


def wilson_interval(kept: int, total: int, *, z: float = Z) -> tuple[float, float]:
    """Return the score interval (low, high), both in 0..1, of the share kept/total.

    Source: Wilson 1927, JASA 22:209. Raises ValueError unless 0 <= kept <= total and total > 0.
    """
    if not 0 <= kept <= total or total <= 0:
        raise ValueError(f"{kept} of {total} is no share")
    share, square = kept / total, z * z
    centre = (share + square / (2 * total)) / (1 + square / total)
    half = z * math.sqrt(share * (1 - share) / total + square / (4 * total * total)) / (1 + square / total)
    return max(0.0, centre - half), min(1.0, centre + half)


@dataclass(frozen=True, slots=True)
class Share:
    """`hits` of `total`; total may be 0, then nothing is known."""

    hits: int
    total: int

    @property
    def rate(self) -> float | None:
        return self.hits / self.total if self.total else None

    @property
    def interval(self) -> tuple[float, float] | None:
        return wilson_interval(self.hits, self.total) if self.total else None

    def __str__(self) -> str:
        if not self.interval:
            return "none of 0"
        low, high = self.interval
        return f"{self.hits:,} of {self.total:,}, {self.hits / self.total:.0%} (95 % interval {low:.0%} to {high:.0%})"


def corrected_rate(passed: Share, *, caught: Share, recognised: Share | None = None) -> tuple[float, float, float] | None:
    """Return (estimate, low, high) of the share of samples that are truly good, from the share that the judge passes.

    theta = (p + q0 - 1) / (q0 + q1 - 1): q0, the specificity, is the share of bad responses that the judge catches; q1, the sensitivity,
    the share of good ones that it `recognised` (None: assumed to be 1). The interval takes in how uncertain all of them are: the delta
    method on counts with z²/2 (p) or one (q0, q1) added to each side, so that 16 caught of 16 is no certainty.
    None when nothing was judged or planted, when the judge tells good from bad no better than chance (q0 + q1 <= 1), or when the three
    rates contradict one another (the whole interval lies outside 0..1).
    Source: arXiv 2511.21140.
    """
    if not passed.total or not caught.total or (recognised is not None and not recognised.total):
        return None
    estimate = _theta(passed.hits / passed.total, caught.hits / caught.total, recognised.hits / recognised.total if recognised else 1.0)
    square = Z * Z
    p, p_variance = _adjusted(passed, square / 2)
    q0, q0_variance = _adjusted(caught, 1)
    q1, q1_variance = _adjusted(recognised, 1) if recognised else (1.0, 0.0)
    theta = _theta(p, q0, q1)
    if estimate is None or theta is None:
        return None
    half = Z * math.sqrt(p_variance + (1 - theta) ** 2 * q0_variance + theta**2 * q1_variance) / (q0 + q1 - 1)
    if theta + half < 0 or theta - half > 1:
        return None
    low, high = max(0.0, theta - half), min(1.0, theta + half)
    estimate = min(1.0, max(0.0, estimate))
    return estimate, min(low, estimate), max(high, estimate)


def cohen_kappa(both: int, only_first: int, only_second: int, neither: int) -> float | None:
    """Return (agreement - chance) / (1 - chance) of two raters' yes and no; None where chance alone agrees always.

    Near a base rate of 0 or 1 it is misleading: 96 % agreement can come to -0.015. Show raw agreement beside it.
    Source: Cohen 1960, Educational and Psychological Measurement 20:37.
    """
    total = both + only_first + only_second + neither
    if not total:
        return None
    first, second = (both + only_first) / total, (both + only_second) / total
    chance = first * second + (1 - first) * (1 - second)
    return None if chance == 1 else ((both + neither) / total - chance) / (1 - chance)


def paired_difference(both: int, only_first: int, only_second: int, neither: int) -> tuple[float, float, float]:
    """Return (difference, low, high) of two rates of the same things: the first's minus the second's.

    Source: Newcombe 1998, Statistics in Medicine 17:2635, method 10. Raises ValueError when there is nothing to compare.
    """
    total = both + only_first + only_second + neither
    if total <= 0:
        raise ValueError("no pairs")
    first, second = (both + only_first) / total, (both + only_second) / total
    (low_1, high_1), (low_2, high_2) = wilson_interval(both + only_first, total), wilson_interval(both + only_second, total)
    product = (both + only_first) * (only_second + neither) * (both + only_second) * (only_first + neither)
    surplus = both * neither - only_first * only_second
    corrected = max(0.0, surplus - total / 2) if surplus > 0 else float(surplus)
    phi = corrected / math.sqrt(product) if product else 0.0

    def half(one: float, other: float) -> float:
        return math.sqrt(max(0.0, one * one - 2 * phi * one * other + other * other))

    difference = first - second
    return difference, difference - half(first - low_1, high_2 - second), difference + half(high_1 - first, second - low_2)


def mcnemar_p(only_first: int, only_second: int) -> float:
    """Return the exact two-sided p of the hypothesis that neither rate is higher: a fair coin for each pair that differs.

    Source: McNemar 1947, Psychometrika 12:153, in its exact (binomial) form.
    """
    differing, fewer = only_first + only_second, min(only_first, only_second)
    tail = sum(math.comb(differing, count) for count in range(fewer + 1))
    return min(1.0, tail / 2 ** (differing - 1)) if differing else 1.0


def _theta(p: float, q0: float, q1: float) -> float | None:
    return (p + q0 - 1) / (q0 + q1 - 1) if q0 + q1 > 1 else None


def _adjusted(share: Share, added: float) -> tuple[float, float]:
    """Return the share with `added` hits and as many misses, and its variance."""
    total = share.total + 2 * added
    rate = (share.hits + added) / total
    return rate, rate * (1 - rate) / total
