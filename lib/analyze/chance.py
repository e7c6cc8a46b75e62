"""Rates of subjects and kinds -> those that differ from the rest by more than chance, at one error rate for all comparisons together.

Among 36 groups that do not differ, about two lie outside a 95 % interval. So each group is compared with all the others by Fisher's exact
test, and the p-values are adjusted for the number of comparisons by Holm's method.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from lib.analyze.groups import shares
from lib.analyze.rates import Share
from lib.analyze.tables import Tables
from lib.taxonomy import label

ERROR_RATE = 0.05  # the chance that any group is named although none differs
FEWEST_FOR_RATES = 30  # samples or verdicts; with fewer, no breakdown is drawn
COMPARED = ("subject", "misconception_type")
AS_LIKELY = 1 + 1e-7  # tables whose chances differ by less than this factor count as equally likely


@dataclass(frozen=True, slots=True)
class Contrast:
    """A group beside all the others."""

    by: str
    name: str
    group: Share
    rest: Share
    p: float  # adjusted for all comparisons

    @property
    def differs(self) -> bool:
        return self.p <= ERROR_RATE

    @property
    def is_lower(self) -> bool:
        return (self.group.rate or 0.0) < (self.rest.rate or 0.0)

    def __str__(self) -> str:
        done = f"{self.group.hits:,} of {self.group.total:,} kept, of the rest {self.rest.hits:,} of {self.rest.total:,}"
        return f"{label(self.name)} ({done}, adjusted p {'< 0.001' if self.p < 0.001 else f'= {self.p:.3f}'})"


def contrasts(tables: Tables) -> tuple[Contrast, ...]:
    """Compare each subject and each kind with all the others. A column that holds a single value is left out, and so are too small runs."""
    pairs = [(by, name, group, rest) for by in COMPARED for name, group, rest in _beside_the_rest(shares(tables, by))]
    if not pairs or pairs[0][2].total + pairs[0][3].total < FEWEST_FOR_RATES:
        return ()
    adjusted = holm([fisher_p(group, rest) for _, _, group, rest in pairs])
    return tuple(Contrast(*pair, p=p) for pair, p in zip(pairs, adjusted, strict=True))


def _beside_the_rest(groups: dict[str, Share]) -> list[tuple[str, Share, Share]]:
    if len(groups) < 2:
        return []
    hits, total = sum(group.hits for group in groups.values()), sum(group.total for group in groups.values())
    return [(name, group, Share(hits - group.hits, total - group.total)) for name, group in groups.items()]


def fisher_p(group: Share, rest: Share) -> float:
    """Return the two-sided p of Fisher's exact test that the two have one rate.

    It adds the chances of all tables with the same sums that are no likelier than this one.
    Source: Fisher 1935, The Design of Experiments, chapter 2.
    """
    return _p_values(group.total, rest=rest.total, hits=group.hits + rest.hits)[group.hits]


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values adjusted for their number, in the same order.

    Source: Holm 1979, Scandinavian Journal of Statistics 6:65. It holds however the comparisons depend on one another.
    """
    ordered = sorted(range(len(p_values)), key=lambda place: p_values[place])
    raised = (min(1.0, (len(p_values) - rank) * p_values[place]) for rank, place in enumerate(ordered))
    adjusted = dict(zip(ordered, accumulate(raised, max), strict=True))
    return [adjusted[place] for place in range(len(p_values))]


def would_differ(size: int, *, whole: Share, comparisons: int) -> tuple[int | None, int | None]:
    """Return the counts that would set a group of this size apart, as (at most, at least), when all groups together are as in `whole`.

    A count is None where no count on that side would do.
    """
    expected = size * whole.hits / whole.total
    p_values = _p_values(size, rest=whole.total - size, hits=whole.hits)
    enough = [hits for hits, p in p_values.items() if p * comparisons <= ERROR_RATE]
    return max((hits for hits in enough if hits < expected), default=None), min((hits for hits in enough if hits > expected), default=None)


def _p_values(size: int, *, rest: int, hits: int) -> dict[int, float]:
    """Return the two-sided p for each count of hits that a group of `size` can have, when it and the rest have `hits` together."""
    all_tables = _log_choose(size + rest, hits)
    counts = range(max(0, hits - rest), min(size, hits) + 1)
    chances = {count: math.exp(_log_choose(size, count) + _log_choose(rest, hits - count) - all_tables) for count in counts}
    ordered = sorted(chances.values())
    sums = list(accumulate(ordered))
    return {count: min(1.0, sums[bisect_right(ordered, chance * AS_LIKELY) - 1]) for count, chance in chances.items()}


def _log_choose(total: int, count: int) -> float:
    return math.lgamma(total + 1) - math.lgamma(count + 1) - math.lgamma(total - count + 1)
