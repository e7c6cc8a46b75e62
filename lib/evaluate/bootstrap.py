"""Values that belong to groups -> their mean with an interval, by drawing whole groups again and again.

Rows that share a question are no independent evidence, so groups are drawn and not rows. The percentile interval of few groups is too
narrow. So it is widened as if Student's t stood in the place of the normal distribution and the variance had n - 1 below, and it is at
least as wide as Student's own. Source: Hesterberg 2015, The American Statistician 69:371, section 5.3 (expanded percentile interval).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

DRAWS = 4_000
FEWEST_GROUPS = 2
Z = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean with its 95 % interval. The interval is (None, None) with fewer than two groups."""

    value: float
    low: float | None
    high: float | None
    rows: int
    groups: int

    def __str__(self) -> str:
        return f"{self.value:.1%}{self.interval}"

    @property
    def interval(self) -> str:
        if self.low is None or self.high is None:
            return ""
        return f" (95 % interval {self.low:.1%} to {self.high:.1%})"

    @property
    def in_points(self) -> str:
        return f"{100 * self.value:+.1f}{self.interval_in_points}"

    @property
    def interval_in_points(self) -> str:
        if self.low is None or self.high is None:
            return ""
        return f" (95 % interval {100 * self.low:.1f} to {100 * self.high:.1f})"

    def within(self, least: float, most: float) -> "Mean":
        """Return the mean with an interval that ends where the values do."""
        if self.low is None or self.high is None:
            return self
        return replace(self, low=max(least, self.low), high=min(most, self.high))

    def as_record(self) -> dict[str, float | int | None]:
        bounds = {"low": self.low, "high": self.high}
        return {"mean": round(self.value, 4), **{name: None if bound is None else round(bound, 4) for name, bound in bounds.items()}} | {
            "rows": self.rows, "groups": self.groups,
        }  # fmt: skip


def mean_of(values: Sequence[float], groups: Sequence[str], *, seed: int = 0) -> Mean | None:
    """Return the mean of the values, each of which belongs to the group of the same place. None without values."""
    import numpy as np

    if not len(values):
        return None
    names, places = np.unique(np.asarray(groups), return_inverse=True)
    sums, sizes = np.bincount(places, weights=np.asarray(values, dtype=float)), np.bincount(places)
    mean = float(sums.sum() / sizes.sum())
    if len(names) < FEWEST_GROUPS:
        return Mean(mean, None, None, len(values), len(names))
    low, high = _interval(sums, sizes, seed=seed)
    return Mean(mean, low, high, len(values), len(names))


def _interval(sums: "np.ndarray", sizes: "np.ndarray", *, seed: int) -> tuple[float, float]:
    import numpy as np

    count, chance = len(sums), np.random.default_rng(seed)
    means = np.empty(DRAWS)
    for start in range(0, DRAWS, 500):  # so that a thousand groups need little memory
        drawn = chance.integers(0, count, size=(500, count))
        means[start : start + 500] = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    tail = NormalDist().cdf(-math.sqrt(count / (count - 1)) * t_quantile(count - 1))
    low, high = np.quantile(means, [tail, 1 - tail])
    mean = sums.sum() / sizes.sum()
    half = t_quantile(count - 1) * math.sqrt(count / (count - 1) * np.square(sums - mean * sizes).sum()) / sizes.sum()
    return float(min(low, mean - half)), float(max(high, mean + half))


def t_quantile(freedom: int) -> float:
    """Return the 97.5 % quantile of Student's t, to three digits from three degrees of freedom on.

    Source: the expansion in 1/freedom of Abramowitz & Stegun 1964, 26.7.5.
    """
    z, n = Z, freedom
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + math.fsum(term / n ** (power + 1) for power, term in enumerate(terms))
