"""Verdicts of several judges on the same criteria, and of one judge asked in two ways -> how far they agree, and who catches more."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lib.analyze.catches import caught_of
from lib.analyze.rates import Pairs, Share, rounded
from lib.analyze.tables import Tables

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Panel:
    """What the judges of a panel make of the same criteria. A judge passes a response here when it finds enough of its criteria met."""

    judges: tuple[str, ...]
    votes: dict[tuple[bool, ...], int]  # how many criteria have these verdicts, in the order of the judges
    planted: dict[str, Pairs]  # original and spoiled copy, by judge
    harmless: dict[str, Pairs]  # original and copy of another form, by judge

    @property
    def unanimous(self) -> Share:
        """The criteria on which all judges agree."""
        return Share(sum(count for votes, count in self.votes.items() if len(set(votes)) == 1), sum(self.votes.values()))

    @property
    def alpha(self) -> float | None:
        return krippendorff_alpha(self.votes)

    def with_majority(self, number: int) -> Share:
        """Return on how many criteria the judge of this number is with the majority."""
        agreed = sum(count for votes, count in self.votes.items() if votes[number] == (sum(votes) * 2 > len(votes)))
        return Share(agreed, self.unanimous.total)

    @property
    def lines(self) -> list[str]:
        """How far the judges agree, and what each of them catches alone, in sentences."""
        alpha = "–" if self.alpha is None else f"{self.alpha:.2f}"
        scale = "1 is full agreement, 0 is what chance gives"
        found = [f"criteria on which all {len(self.judges)} judges agree: {self.unanimous}; Krippendorff's alpha {alpha} ({scale})"]
        alone = [f"{judge} {share.hits} of {share.total}" for judge, share in self._caught.items()]
        return [*found, f"planted failures that each judge alone would catch: {', '.join(alone)}"] if self.planted else found

    @property
    def _caught(self) -> dict[str, Share]:
        return {judge: caught_of(self.planted.get(judge, Pairs())) for judge in self.judges}

    def rows(self) -> list[dict[str, Any]]:
        """Return the judges as rows of a table."""
        return [
            {
                "judge": judge,
                "with the majority": self.with_majority(number).short,
                "planted failures caught": self._caught[judge].short,
                "false alarms": caught_of(self.harmless.get(judge, Pairs())).short,
            }
            for number, judge in enumerate(self.judges)
        ]

    def as_record(self) -> dict[str, Any]:
        """Return what `filtering_statistics.json` holds under `panel`."""
        return self.unanimous.as_record("unanimous_rate", total="criteria", hits="unanimous") | {
            "krippendorff_alpha": rounded(self.alpha),
            "judges": [
                {"judge": judge, **self.with_majority(number).as_record("with_majority")}
                | self._caught[judge].as_record("catch_rate", total="original_passes", hits="caught")
                | {"false_alarms": caught_of(self.harmless.get(judge, Pairs())).as_record("rate", total="original_passes", hits="dropped")}
                for number, judge in enumerate(self.judges)
            ],
        }


@dataclass(frozen=True, slots=True)
class OneByOne:
    """Copies that the first judge saw twice. In a pair, yes means that it drops the copy: asked all in one call, and one a call."""

    planted: Pairs
    harmless: Pairs

    @property
    def lines(self) -> list[str]:
        """What judging all criteria in one call loses, in sentences."""
        found = []
        for what, pairs in (("planted failures", self.planted), ("harmless copies", self.harmless)):
            if pairs.total:
                all_in_one, one_by_one = Share(pairs.first, pairs.total), Share(pairs.second, pairs.total)
                found.append(
                    f"{what} dropped with one call a criterion: {one_by_one}; with all criteria in one call: {all_in_one} "
                    f"(McNemar's exact p = {pairs.mcnemar_p:.2g})"
                )
        return found

    def as_record(self) -> dict[str, Any]:
        """Return what `filtering_statistics.json` holds under `one_criterion_a_call`."""
        return {
            name: {
                "copies": pairs.total,
                "both_drop": pairs.both,
                "only_all_in_one_drops": pairs.only_first,
                "only_one_by_one_drops": pairs.only_second,
                "p_value": rounded(pairs.mcnemar_p) if pairs.total else None,
            }
            for name, pairs in (("planted", self.planted), ("harmless", self.harmless))
        }


def krippendorff_alpha(votes: dict[tuple[bool, ...], int]) -> float | None:
    """Return alpha = 1 - observed ÷ expected disagreement, of how often each set of verdicts on one thing occurs.

    It is 1 when all agree and 0 when they agree as chance would. It is None when there is nothing to compare, or when all verdicts are the
    same. Source: Krippendorff 2011, Computing Krippendorff's Alpha-Reliability, for nominal data.
    """
    met = sum(sum(verdicts) * count for verdicts, count in votes.items())
    total = sum(len(verdicts) * count for verdicts, count in votes.items())
    expected = met * (total - met) / (total - 1) if total > 1 else 0.0
    if not expected:
        return None
    return 1 - sum(_unlike(verdicts) * count for verdicts, count in votes.items()) / expected


def _unlike(verdicts: tuple[bool, ...]) -> float:
    """Return the ordered pairs of unlike verdicts, each half, divided by the verdicts that one is compared with."""
    met = sum(verdicts)
    return met * (len(verdicts) - met) / (len(verdicts) - 1)


def panel(tables: Tables) -> Panel | None:
    """Return how the judges of the panel agree that judged most of the samples, or None where one judge judged."""
    panels = Counter(found for found in tables.judged["panel"] if found)
    if not panels:
        return None
    (judges, _), *_ = panels.most_common(1)
    of_these = set(tables.judged.loc[tables.judged["panel"].map(lambda found: found == judges), "id"])
    votes = Counter(tables.verdicts.loc[tables.verdicts["id"].isin(of_these), "by_judge"])
    return Panel(judges, dict(votes), _by_judge(tables.planted), _by_judge(tables.harmless)) if votes else None


def _by_judge(copies: "pd.DataFrame") -> dict[str, Pairs]:
    return {
        judge: pairs_of(found[judge] for found in copies["by_judge"] if judge in found)
        for judge in dict.fromkeys(name for found in copies["by_judge"] for name in found)
    }


def one_by_one(tables: Tables) -> OneByOne | None:
    """Return what the first judge made of the copies in both ways, or None where it was not asked in both."""
    planted, harmless = (
        pairs_of((not all_in_one, not alone) for all_in_one, alone in copies["one_by_one"].dropna())
        for copies in (tables.planted, tables.harmless[tables.harmless["original_passes"].isin([True])])
    )
    return OneByOne(planted, harmless) if planted.total + harmless.total else None


def pairs_of(answers: Iterable[tuple[bool, bool]]) -> Pairs:
    """Return the four counts of pairs of answers."""
    counts = Counter(answers)
    return Pairs(counts[True, True], counts[True, False], counts[False, True], counts[False, False])
