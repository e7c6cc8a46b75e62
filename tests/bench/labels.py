"""Judges that err as often as is known -> how often the interval of the share of good samples holds the truth, and how wide it is.

    python -m tests.bench.labels

prints the tables of `tests/bench/README.md`. Each line is 2,000 simulated runs of 1,000 samples. "Without" means that the labels are drawn
evenly and tell the judge's sensitivity, while planted failures tell its specificity (Rogan-Gladen). The other two use as many labels, drawn
as `make review` draws them. Most errors of these judges are in samples on which they are divided.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product

import numpy as np

from lib.analyze.corrected import corrected_rate, together
from lib.analyze.rates import Share
from lib.analyze.strata import Estimated, Stratum, labelled_rate, share_passed
from lib.analyze.to_review import Key, shares_of

RUNS, SAMPLES = 2_000, 1_000
LABELS, MANY_LABELS = 30, 100
RATES = (0.5, 0.7, 0.85, 0.95, 0.98)
PLANTED = (16, 50, 200)
DIVIDED = {True: 0.7, False: 0.15}  # share of the samples on which the judge is divided, by whether it is wrong
WAYS = ("without", "labels alone", "both")


@dataclass(frozen=True, slots=True)
class Judge:
    """Shares of the good samples that it passes, and of the bad ones, natural and planted, that it drops."""

    sensitivity: float
    specificity: float
    on_planted: float

    def __str__(self) -> str:
        return f"{self.sensitivity:.2f} / {self.specificity:.2f} / {self.on_planted:.2f}"


JUDGES = (Judge(0.95, 0.9, 0.9), Judge(0.9, 0.7, 0.7))
FOOLED = Judge(0.95, 0.6, 0.95)  # catches what was planted, and misses what is natural


@dataclass(slots=True)
class Held:
    """The intervals of one way of estimating."""

    intervals: list[tuple[float, float]] = field(default_factory=list)

    def add(self, found: Estimated | None) -> None:
        if found:
            self.intervals.append(found[1:])

    def of(self, truth: float) -> tuple[float, float]:
        """Return the share that holds the truth, and the mean width."""
        low, high = np.array(self.intervals).T
        return float(np.mean((low <= truth) & (truth <= high))), float(np.mean(high - low))


Cell = dict[str, tuple[float, float]]  # by way: the share of the intervals that holds the truth, and their mean width


def simulated(rate: float, judge: Judge, *, planted: int, labels: int, runs: int = RUNS) -> Cell:
    """Return how the ways do in runs in which this share of the samples is good."""
    chance, found = np.random.default_rng([7, planted, round(rate * 100)]), {way: Held() for way in WAYS}
    for _ in range(runs):
        good = chance.random(SAMPLES) < rate
        passes = np.where(good, chance.random(SAMPLES) < judge.sensitivity, chance.random(SAMPLES) >= judge.specificity)
        divided = chance.random(SAMPLES) < np.where(passes != good, DIVIDED[True], DIVIDED[False])
        caught, passed = Share(int(chance.binomial(planted, judge.on_planted)), planted), Share(int(passes.sum()), SAMPLES)
        evenly = chance.permutation(SAMPLES)[:labels]
        recognised = Share(int((passes & good)[evenly].sum()), int(good[evenly].sum()))
        found["without"].add(corrected_rate(passed, caught=caught, recognised=recognised))
        strata = _labelled(good, passes=passes, divided=divided, labels=labels, chance=chance)
        alone = labelled_rate(strata)
        from_planted = corrected_rate(passed, caught=caught, recognised=share_passed(strata))
        found["labels alone"].add(alone)
        found["both"].add(together(alone, from_planted) if alone and from_planted else alone)
    return {way: held.of(rate) for way, held in found.items()}


def _labelled(good: np.ndarray, *, passes: np.ndarray, divided: np.ndarray, labels: int, chance: np.random.Generator) -> list[Stratum]:
    """Return the strata with their labels. Samples are drawn in the turn that `to_review.drawn` gives them."""
    keys: list[Key] = [(bool(one), bool(other)) for one, other in zip(passes, divided, strict=True)]
    groups = {key: chance.permutation([place for place, of in enumerate(keys) if of == key]) for key in Counter(keys)}
    shares = shares_of({key: len(group) for key, group in groups.items()})
    turns = [
        ((number + chance.random()) / shares[key], key, int(place)) for key, group in groups.items() for number, place in enumerate(group)
    ]
    taken = sorted(turns)[:labels]
    found = []
    for key, group in groups.items():
        own = [place for _, of, place in taken if of == key]
        found.append(Stratum(*key, size=len(group), labelled=len(own), good=int(good[own].sum())))
    return found


def table(judges: tuple[Judge, ...], *, rates: tuple[float, ...], planted: tuple[int, ...], labels: int = LABELS) -> Iterator[str]:
    """Yield the lines of a Markdown table. Widths are in points."""
    yield "| good | judge | planted | without: holds | width | labels alone: holds | width | both: holds | width |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for judge, rate, count in product(judges, rates, planted):
        cell = simulated(rate, judge, planted=count, labels=labels)
        figures = " | ".join(f"{held:.1%} | {100 * width:.1f}" for held, width in cell.values())
        yield f"| {rate:.2f} | {judge} | {count} | {figures} |"


def labels(*, runs: int = 200) -> Iterator[tuple[str, str, str]]:
    """Yield the worst figures over all judges, rates and numbers of planted failures, at a tenth of the runs."""
    cells = [simulated(rate, judge, planted=count, labels=LABELS, runs=runs) for judge, rate, count in product(JUDGES, RATES, PLANTED)]
    for way in WAYS:
        yield (
            f"share of good samples, {way}: intervals that hold the truth, at worst",
            f"{min(cell[way][0] for cell in cells):.0%}",
            "≥ 95 %",
        )
    narrower = sum(cell["both"][1] < cell["without"][1] for cell in cells)
    yield "of these cases, those in which drawn labels make the interval narrower", f"{narrower} of {len(cells)}", "all"


if __name__ == "__main__":
    for number in (LABELS, MANY_LABELS):
        print(f"\n{number} labels\n", *table(JUDGES, rates=RATES, planted=PLANTED, labels=number), sep="\n")
    print("\nA judge that catches what was planted and misses what is natural\n")
    print(*table((FOOLED,), rates=(0.7, 0.95), planted=(50,)), sep="\n")
