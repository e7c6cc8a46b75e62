"""counts -> rates with their intervals: a share, and two raters of the same things."""

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

Z = 1.96  # 95 %
MOST_EXACT = 500  # of which the exact interval is worked out; beyond, Wilson's is the same to three decimals


def wilson_interval(kept: float, total: float, *, z: float = Z) -> tuple[float, float]:
    """Return the score interval (low, high), both in 0..1, of the share kept/total.

    Source: Wilson 1927, JASA 22:209. Raises ValueError unless 0 <= kept <= total and total > 0.
    """
    if not 0 <= kept <= total or total <= 0:
        raise ValueError(f"{kept} of {total} is no share")
    share, square = kept / total, z * z
    centre = (share + square / (2 * total)) / (1 + square / total)
    half = z * math.sqrt(share * (1 - share) / total + square / (4 * total * total)) / (1 + square / total)
    return max(0.0, centre - half), min(1.0, centre + half)


@cache
def mid_p_interval(hits: int, total: int) -> tuple[float, float]:
    """Return the exact interval (low, high) of the share hits/total that counts half of the probability of what was seen.

    Wilson's covers less than 95 % where a share is near 1 and its misses are few, which is what good judges are like.
    Source: Lancaster 1961, JASA 56:223. Raises ValueError unless 0 <= hits <= total and total > 0.
    """
    if not 0 <= hits <= total or total <= 0:
        raise ValueError(f"{hits} of {total} is no share")
    if total > MOST_EXACT:
        return wilson_interval(hits, total)
    low = 0.0 if hits == 0 else _where_tail_is(0.975, hits=hits, total=total)
    return low, 1.0 if hits == total else _where_tail_is(0.025, hits=hits, total=total)


def _where_tail_is(wanted: float, *, hits: int, total: int) -> float:
    """Return the share at which fewer hits, and half of as many, have this probability."""
    low, high = 0.0, 1.0
    for _ in range(50):
        share = (low + high) / 2
        terms = [math.comb(total, count) * share**count * (1 - share) ** (total - count) for count in range(hits + 1)]
        low, high = (share, high) if sum(terms) - terms[-1] / 2 > wanted else (low, share)
    return low


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

        low, high = first - second - half(first - low_1, high_2 - second), first - second + half(high_1 - first, second - low_2)
        return first - second, max(-1.0, low), min(1.0, high)  # rounding may leave -1..1

    @property
    def mcnemar_p(self) -> float:
        """The exact two-sided p of the hypothesis that neither rate is higher, which is a fair coin for each pair that differs.

        Source: McNemar 1947, Psychometrika 12:153, in its exact (binomial) form.
        """
        differing, fewer = self.only_first + self.only_second, min(self.only_first, self.only_second)
        tail = sum(math.comb(differing, count) for count in range(fewer + 1))
        return min(1.0, tail / 2 ** (differing - 1)) if differing else 1.0
