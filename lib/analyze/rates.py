"""counts -> rates with their intervals: a share, two raters of the same things, a pass rate corrected for the judge's errors."""

import math
from dataclasses import dataclass
from typing import Any

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


def rounded(value: float | None) -> float | None:
    """Return the value as files hold it, with four decimals."""
    return None if value is None else round(value, 4)


def are(count: int) -> str:
    """Return the verb that goes with a count: 1 is, 2 are."""
    return "is" if count == 1 else "are"


@dataclass(frozen=True, slots=True)
class Share:
    """`hits` of `total`. Where total is 0, nothing is known."""

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

    @property
    def short(self) -> str:
        """The rate with its interval, for a table that shows the counts in columns of their own."""
        if not self.interval:
            return "–"
        low, high = self.interval
        return f"{self.hits / self.total:.0%} ({low:.0%} to {high:.0%})"

    def as_record(self, rate: str, *, total: str = "", hits: str = "") -> dict[str, Any]:
        """Return the rate and its interval under these names, with the counts when they are named too."""
        counts = {name: count for name, count in ((total, self.total), (hits, self.hits)) if name}
        interval = [rounded(bound) for bound in self.interval] if self.interval else None
        return counts | {rate: rounded(self.rate), f"{rate}_interval": interval}


@dataclass(frozen=True, slots=True)
class Pairs:
    """How often two raters, or two runs, said yes to the same things."""

    both: int = 0
    only_first: int = 0
    only_second: int = 0
    neither: int = 0

    def __add__(self, other: "Pairs") -> "Pairs":
        return Pairs(
            self.both + other.both,
            self.only_first + other.only_first,
            self.only_second + other.only_second,
            self.neither + other.neither,
        )

    @property
    def total(self) -> int:
        return self.both + self.only_first + self.only_second + self.neither

    @property
    def agreed(self) -> Share:
        return Share(self.both + self.neither, self.total)

    @property
    def first(self) -> int:
        return self.both + self.only_first

    @property
    def second(self) -> int:
        return self.both + self.only_second

    @property
    def kappa(self) -> float | None:
        """Cohen's kappa, (agreement - chance) / (1 - chance), or None where chance alone agrees always.

        Near a base rate of 0 or 1 it is misleading, because 96 % agreement can give -0.015. So raw agreement is shown beside it.
        Source: Cohen 1960, Educational and Psychological Measurement 20:37.
        """
        if not self.total:
            return None
        first, second = self.first / self.total, self.second / self.total
        chance = first * second + (1 - first) * (1 - second)
        return None if chance == 1 else ((self.both + self.neither) / self.total - chance) / (1 - chance)

    @property
    def difference(self) -> tuple[float, float, float]:
        """The first rate minus the second, with its interval (difference, low, high).

        Source: Newcombe 1998, Statistics in Medicine 17:2635, method 10. Raises ValueError when there are no pairs.
        """
        if not self.total:
            raise ValueError("no pairs")
        first, second = self.first / self.total, self.second / self.total
        (low_1, high_1), (low_2, high_2) = wilson_interval(self.first, self.total), wilson_interval(self.second, self.total)
        product = self.first * (self.total - self.first) * self.second * (self.total - self.second)
        surplus = self.both * self.neither - self.only_first * self.only_second
        corrected = max(0.0, surplus - self.total / 2) if surplus > 0 else float(surplus)
        phi = corrected / math.sqrt(product) if product else 0.0

        def half(one: float, other: float) -> float:
            return math.sqrt(max(0.0, one * one - 2 * phi * one * other + other * other))

        return first - second, first - second - half(first - low_1, high_2 - second), first - second + half(high_1 - first, second - low_2)

    @property
    def mcnemar_p(self) -> float:
        """The exact two-sided p of the hypothesis that neither rate is higher, which is a fair coin for each pair that differs.

        Source: McNemar 1947, Psychometrika 12:153, in its exact (binomial) form.
        """
        differing, fewer = self.only_first + self.only_second, min(self.only_first, self.only_second)
        tail = sum(math.comb(differing, count) for count in range(fewer + 1))
        return min(1.0, tail / 2 ** (differing - 1)) if differing else 1.0


def corrected_rate(passed: Share, *, caught: Share, recognised: Share | None = None) -> tuple[float, float, float] | None:
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


def _theta(p: float, *, q0: float, q1: float) -> float | None:
    return (p + q0 - 1) / (q0 + q1 - 1) if q0 + q1 > 1 else None


def _adjusted(share: Share, added: float) -> tuple[float, float]:
    """Return the share with `added` hits and as many misses, and its variance."""
    total = share.total + 2 * added
    rate = (share.hits + added) / total
    return rate, rate * (1 - rate) / total
