"""kept samples -> train and validation, with no question and no near copy on both sides, balanced as far as that allows.

Samples made from one seed question stay together, and with them what is near to any of them. Subjects and kinds of misconception are then
matched by picking, group by group, the one that brings validation closest to its share of each.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from lib.errors import counted
from lib.filter.near import NearTexts, shingled_words
from lib.filter.similar import question_and_follow_up
from lib.run.records import kept_samples
from lib.run.run import Run
from lib.schema import Sample
from lib.taxonomy import label

SIMILARITY = 0.5  # Jaccard, of 3-word shingles: looser than what is dropped as a near-duplicate, since a leak costs more than a group
PERMUTATIONS, BANDS = 126, 42  # texts of similarity 0.5 meet in a band with 99.6 %, those of 0.1 with 4 %
COMPARED = (question_and_follow_up, lambda sample: sample.response)
MOST_TRIED = 200  # groups looked at for each pick
Stratum = tuple[str, str]  # "subject" or "misconception_type", and its value


@dataclass(slots=True)
class Group:
    """Samples that must stay on one side, and how many of them are in each stratum."""

    name: str
    ids: list[str] = field(default_factory=list)
    strata: Counter[Stratum] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Split:
    """`validation`: ids. `counts`: stratum -> (train, validation)."""

    validation: frozenset[str]
    samples: int
    groups: int
    counts: Mapping[Stratum, tuple[int, int]]

    def __str__(self) -> str:
        held = len(self.validation)
        groups = f"{counted(self.groups, 'group')} that {'stays' if self.groups == 1 else 'stay'} together"
        return f"{counted(self.samples, 'sample')} in {groups}: {self.samples - held:,} train, {held:,} validation"

    def rows(self) -> list[dict[str, Any]]:
        """Return how many samples of each subject and kind are on each side, as rows of a table."""
        return [
            {"": label(name), "value": label(value), "train": train, "validation": held, "share": f"{held / (train + held):.0%}"}
            for (name, value), (train, held) in self.counts.items()
        ]


def split_samples(run: Run) -> Split:
    """Return the split of the run's kept samples. Raises RunError when the run has not been filtered."""
    return split(groups_of(kept_samples(run)), share=run.settings.validation_share, random_seed=run.settings.random_seed)


def groups_of(samples: Iterable[Sample]) -> list[Group]:
    """Return the groups, in the order of their first samples."""
    near = [(text, NearTexts(permutations=PERMUTATIONS, bands=BANDS)) for text in COMPARED]
    joined = _Joined()
    members: list[tuple[str, str, str]] = []
    for sample in samples:
        about = sample.metadata
        members.append((sample.id, about.subject, about.misconception_type))
        joined.join(sample.id, about.seed_prompt_sha256)
        for text, before in near:
            minhash = before.minhash(shingled_words(text(sample)))
            for _, other, _ in before.near(minhash, similarity=SIMILARITY):
                joined.join(sample.id, other)
            before.add(sample.id, minhash)
    groups: dict[str, Group] = {}
    for sample_id, subject, kind in members:
        name = joined.root(sample_id)
        group = groups.setdefault(name, Group(name))
        group.ids.append(sample_id)
        group.strata.update([("subject", subject), ("misconception_type", kind)])
    return list(groups.values())


def split(groups: list[Group], *, share: float, random_seed: int) -> Split:
    """Pick groups for validation until no further one would bring it closer to `share` of the samples (0..0.5)."""
    totals: Counter[Stratum] = sum((group.strata for group in groups), Counter())
    samples = sum(len(group.ids) for group in groups)
    target, picked = share * samples, list[Group]()
    have: Counter[Stratum] = Counter()
    left = sorted(groups, key=lambda group: hashlib.sha256(f"{random_seed}/{group.name}/split".encode()).digest())
    while len(left) > 1 and (
        group := _next(left, target - sum(have.values()) / 2, have=have, wanted={name: share * count for name, count in totals.items()})
    ):
        left.remove(group)
        picked.append(group)
        have += group.strata
    validation = frozenset(name for group in picked for name in group.ids)
    counts = {stratum: (total - have[stratum], have[stratum]) for stratum, total in sorted(totals.items())}
    return Split(validation, samples, len(groups), counts)


def _next(left: list[Group], lacking: float, *, have: Counter[Stratum], wanted: Mapping[Stratum, float]) -> Group | None:
    """Return the group that serves the strata best among those that bring validation closer to its size."""

    def distance(group: Group) -> float:
        steps = ((have[stratum] - wanted[stratum], count) for stratum, count in group.strata.items())
        return sum((off + count) ** 2 - off**2 for off, count in steps) / len(group.ids)

    fitting = islice((group for group in left if abs(lacking - len(group.ids)) < abs(lacking)), MOST_TRIED)
    return min(fitting, key=distance, default=None)


class _Joined:
    """Names that belong together, by union and find."""

    def __init__(self) -> None:
        self._above: dict[str, str] = {}

    def root(self, name: str) -> str:
        while (above := self._above.get(name, name)) != name:
            self._above[name] = self._above.get(above, above)
            name = above
        return name

    def join(self, one: str, other: str) -> None:
        self._above[self.root(one)] = self.root(other)
