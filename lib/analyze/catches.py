"""Planted failures beside their originals -> how many of them the judge caught, counted in pairs.

A judge that drops nine of ten responses at random drops nine of ten spoiled copies too. So a copy counts as caught only where the judge
passes its original. Beside that stands the difference between the share of originals and the share of copies that pass, which is 0 for
such a judge.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lib.analyze.rates import Pairs, Share, rounded
from lib.errors import counted
from lib.generate.dealing import PLAIN, SUBTLE
from lib.settings import FEWEST_PLANTED
from lib.taxonomy import label

if TYPE_CHECKING:
    import pandas as pd

GRADES = {"plain": PLAIN, "subtle": SUBTLE}
TOO_FEW = "too few to tell"
NONE_PLANTED = "planted failures caught: none were planted, so nothing is known of the judge"


@dataclass(frozen=True, slots=True)
class Catches:
    """What the judge made of the planted failures and of their originals. In a pair, yes means that the judge passes it."""

    by_kind: dict[str, Pairs]  # original and spoiled copy, by kind of spoiling
    touched: Share  # of the caught copies, those in which a criterion that the fault touches fails newly
    unpaired: int = 0  # copies whose original has no verdict

    @property
    def pairs(self) -> Pairs:
        return sum(self.by_kind.values(), Pairs())

    @property
    def caught(self) -> Share:
        """The copies that the judge drops, of those whose original it passes."""
        return caught_of(self.pairs)

    @property
    def dropped(self) -> Share:
        """The copies that the judge drops, whatever it makes of their originals. It is the judge's specificity on planted failures."""
        return Share(self.pairs.only_first + self.pairs.neither, self.pairs.total)

    @property
    def is_enough(self) -> bool:
        """Whether there are enough pairs to tell how good the judge is."""
        return self.pairs.total >= FEWEST_PLANTED

    @property
    def line(self) -> str:
        """The line that stands beside every keep rate."""
        if not self.pairs.total:
            return NONE_PLANTED
        few = "" if self.is_enough else f"; {TOO_FEW}"
        if not self.caught.total:
            count = counted(self.pairs.total, "original")
            return f"planted failures caught: none can be counted, because the judge drops the originals too ({count}){few}"
        return f"planted failures caught: {self.caught}{few}"

    @property
    def difference_line(self) -> str:
        """The paired difference in a sentence, or "" without enough pairs."""
        if not self.is_enough:
            return ""
        difference, low, high = self.pairs.difference
        return (
            f"originals pass more often than their spoiled copies by {100 * difference:.0f} points (95 % interval {100 * low:.0f} to "
            f"{100 * high:.0f}; McNemar's exact p = {self.pairs.mcnemar_p:.2g}); a judge that guesses has 0"
        )

    @property
    def by_grade(self) -> dict[str, Pairs]:
        """Original and spoiled copy, by how hard the fault is to see."""
        return {grade: sum((self.by_kind.get(kind, Pairs()) for kind in kinds), Pairs()) for grade, kinds in GRADES.items()}

    @property
    def grade_lines(self) -> list[str]:
        """How many plain and how many subtle faults were caught, where both were planted, and what it means when only the plain are."""
        found = {grade: caught_of(pairs) for grade, pairs in self.by_grade.items()}
        if not all(share.total for share in found.values()):
            return []
        plain, subtle = found["plain"], found["subtle"]
        low, high = (share.interval or (0.0, 1.0) for share in (plain, subtle))
        only = ["the judge catches plain faults and misses subtle ones: what it passes may hold more of these"] if high[1] < low[0] else []
        return [f"plain faults caught: {plain}; subtle ones: {subtle}", *only]

    def rows(self) -> list[dict[str, Any]]:
        """Return the kinds of planted failures as rows of a table."""
        return [
            {
                "planted failure": label(kind).lower(),
                "grade": next(grade for grade, kinds in GRADES.items() if kind in kinds),
                "planted": pairs.total,
                "original passes": pairs.first,
                "caught": pairs.only_first,
                "catch rate": caught_of(pairs).short,
            }
            for kind, pairs in self.by_kind.items()
            if pairs.total
        ]

    def as_record(self) -> dict[str, Any]:
        """Return what `filtering_statistics.json` holds under `planted_pairs`."""
        pairs = self.pairs
        difference = [rounded(value) for value in pairs.difference] if pairs.total else None
        return {
            "both_pass": pairs.both,
            "only_original_passes": pairs.only_first,
            "only_copy_passes": pairs.only_second,
            "both_dropped": pairs.neither,
            "original_unjudged": self.unpaired,
            "difference": difference and difference[0],
            "difference_interval": difference and difference[1:],
            "p_value": rounded(pairs.mcnemar_p) if pairs.total else None,
            "by_grade": {
                grade: caught_of(of_grade).as_record("catch_rate", total="original_passes", hits="caught")
                for grade, of_grade in self.by_grade.items()
            },
            "criterion_of_the_fault_fails": self.touched.as_record("share", total="caught", hits="failing"),
        }


@dataclass(frozen=True, slots=True)
class FalseAlarms:
    """What the judge made of harmless copies, which say the same in another form, and of their originals."""

    pairs: Pairs

    @property
    def dropped(self) -> Share:
        return Share(self.pairs.only_first, self.pairs.first)

    @property
    def held(self) -> Share | None:
        """Of the responses that the judge passes, those that it passes in another form too, or None when too few were tried."""
        return Share(self.pairs.both, self.pairs.first) if self.pairs.total >= FEWEST_PLANTED and self.pairs.first else None

    @property
    def line(self) -> str:
        """How often it drops the copy of what it passes, or "" when there are no such copies."""
        if not self.pairs.first:
            return ""
        few = "" if self.held else f"; {TOO_FEW}"
        return f"false alarms, which are dropped copies that say the same as a response that passes: {self.dropped}{few}"

    def as_record(self) -> dict[str, Any]:
        """Return what `filtering_statistics.json` holds under `harmless`."""
        rate = self.dropped.as_record("false_alarm_rate", total="original_passes", hits="dropped")
        return {"copies": self.pairs.total, **rate, "only_copy_passes": self.pairs.only_second}


def caught_of(pairs: Pairs) -> Share:
    """Return the share of the copies that are dropped, of those whose original passes."""
    return Share(pairs.only_first, pairs.first)


def catches(copies: "pd.DataFrame", *, kinds: tuple[str, ...]) -> Catches:
    """Return the catches of a table with COPY_COLUMNS. Every one of `kinds` is there, with no pairs where none was planted."""
    paired = copies[copies["original_passes"].notna()]
    found = {str(kind): _pairs(group) for kind, group in paired.groupby("spoiling")}
    caught = paired[paired["original_passes"].astype(bool) & paired["caught"].astype(bool)]
    touched = Share(int(caught["touched_fails"].astype(bool).sum()), len(caught))
    return Catches({kind: found.get(kind, Pairs()) for kind in kinds}, touched, unpaired=len(copies) - len(paired))


def _pairs(group: "pd.DataFrame") -> Pairs:
    original, copy = group["original_passes"].astype(bool), ~group["caught"].astype(bool)
    counts = (original & copy, original & ~copy, ~original & copy, ~original & ~copy)
    return Pairs(*(int(count.sum()) for count in counts))
