"""Judged samples -> those that people are to judge, drawn with known probabilities, most where the judge may be wrong.

Half of the labels are spread evenly over the samples. The other half goes above all to those on which the judge is divided. A larger draw
holds the smaller one, so that no label is lost when more are wanted. Idea: choosing what people label saves labels (arXiv 2606.15029).
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from lib.analyze.strata import Stratum, labelled_rate
from lib.filter.keep import Judged
from lib.filter.votes import is_divided
from lib.schema import Sample

EVENLY = 0.5  # share of the labels that are spread evenly
MORE_OFTEN = 4  # times, that the others fall on a sample on which the judge is divided
WRONG = {False: 0.05, True: 0.25}  # share of the verdicts that may be wrong, by whether the judge is divided; a guess, to plan by
Key = tuple[bool, bool]  # whether the judge passes the sample, and whether it is divided


@dataclass(frozen=True, slots=True)
class Draw:
    """The samples that people are to judge, in the order in which they are shown, and the strata that they were drawn from."""

    samples: tuple[Sample, ...]
    strata: tuple[Stratum, ...]

    @property
    def expected(self) -> float | None:
        """Half the width of the interval that all labels together may have, if the judge errs as is usual, or None for too few."""
        found = labelled_rate(_as_guessed(self.strata))
        return (found[2] - found[1]) / 2 if found else None


def key_of(judged: Judged) -> Key:
    assert judged.evaluation
    return judged.is_kept, is_divided(judged.sample, judged.evaluation)


def drawn(judged: Sequence[Judged], count: int, *, random_seed: int) -> Draw:
    """Return `count` of the samples, in an order that shows nothing of their stratum."""

    def chance(sample: Sample, what: str = "review") -> bytes:
        return hashlib.sha256(f"{random_seed}/{sample.id}/{what}".encode()).digest()

    groups: dict[Key, list[Sample]] = {}
    for one in judged:
        groups.setdefault(key_of(one), []).append(one.sample)
    shares = shares_of({key: len(group) for key, group in groups.items()})
    turn = {
        sample.id: (place + _start(f"{random_seed}/{key}")) / shares[key]
        for key, group in groups.items()
        for place, sample in enumerate(_kinds_in_proportion(sorted(group, key=chance), seed=f"{random_seed}/{key}"))
    }
    everyone = [(sample, key) for key, group in groups.items() for sample in group]
    taken = sorted(everyone, key=lambda pair: turn[pair[0].id])[:count]
    strata = (Stratum(*key, size=len(group), labelled=sum(of == key for _, of in taken)) for key, group in sorted(groups.items()))
    return Draw(tuple(sorted((sample for sample, _ in taken), key=lambda sample: chance(sample, "order"))), tuple(strata))


def shares_of(sizes: dict[Key, int]) -> dict[Key, float]:
    """Return the share of the labels that falls on each stratum."""
    weights = {key: size * (MORE_OFTEN if key[1] else 1) for key, size in sizes.items()}
    return {key: EVENLY * size / sum(sizes.values()) + (1 - EVENLY) * weights[key] / sum(weights.values()) for key, size in sizes.items()}


def _start(seed: str) -> float:
    """Return a number from 0 to 1, at which a systematic draw begins."""
    return int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4]) / 2**32


def _kinds_in_proportion(shuffled: Sequence[Sample], *, seed: str) -> Iterable[Sample]:
    """Return the samples so that every beginning holds the kinds of misconception in proportion, a rare one by chance."""
    of_kind: dict[str, list[Sample]] = {}
    for sample in shuffled:
        of_kind.setdefault(sample.metadata.misconception_type, []).append(sample)
    place = {
        sample.id: (number + _start(f"{seed}/{kind}")) / len(group)
        for kind, group in of_kind.items()
        for number, sample in enumerate(group)
    }
    return sorted(shuffled, key=lambda sample: place[sample.id])


def _as_guessed(strata: Iterable[Stratum]) -> list[Stratum]:
    """Return the strata as if all drawn samples were labelled, and the judge wrong as often as is usual."""
    return [replace(one, good=round(one.labelled * (1 - WRONG[one.is_divided] if one.passes else WRONG[one.is_divided]))) for one in strata]
