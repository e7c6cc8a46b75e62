"""Texts -> what they share: runs of words, near-duplicates, and the same first words again and again.

Each class below remembers the samples before, in the order of the file, so that a longer run decides as a shorter one did.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lib.filter.near import NearTexts, shingled_words
from lib.generate.benchmark import SEQUENCE, word_sequences
from lib.generate.words import words
from lib.schema import Sample, Seed

SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]*_]*\s+")
OPENING_WORDS = 3
FEWEST_ALIKE = 5  # in a small set, so many texts may open alike
PERMUTATIONS, BANDS = 128, 32  # two texts of similarity 0.7 meet in a band with 99.98 %, those of 0.3 with 23 %
WRITTEN = ("explanation", "follow_up", "response")


@dataclass(frozen=True, slots=True)
class Shared:
    """What a text shares with others."""

    words: int  # in the longest run that stands elsewhere
    share: float  # of its 8-word sequences, those that stand elsewhere, 0 to 1


@dataclass(frozen=True, slots=True)
class Limit:
    """The most that a text may share."""

    words: int
    share: float

    def objection(self, name: str, text: str, *, sequences: frozenset[int], source: str) -> str:
        """Return why the text called `name` shares too much with `source`, whose sequences these are, or ""."""
        found = shared(text, sequences)
        if found.words <= self.words and found.share <= self.share:
            return ""
        return f"{name}: {found.words} words in a row, and {found.share:.0%} of its {SEQUENCE}-word sequences, stand in {source}"

    def first_objection(self, sample: Sample, *, sequences: frozenset[int], source: str) -> str:
        """Return the objection to the first text of the sample that shares too much, or ""."""
        found = (self.objection(name, text, sequences=sequences, source=source) for name, text in texts(sample).items())
        return next(filter(None, found), "")


def shared(text: str, sequences: frozenset[int]) -> Shared:
    """Return what `text` shares with the texts that have these sequences. A text of fewer than eight words shares nothing."""
    longest = run = hits = 0
    of_text = word_sequences(text)
    if sequences.isdisjoint(of_text):
        return Shared(0, 0.0)
    for sequence in of_text:
        run = run + 1 if sequence in sequences else 0
        hits += run > 0
        longest = max(longest, run)
    return Shared(longest + SEQUENCE - 1, hits / len(of_text))


class SeedCopies:
    """Drops a sample that copies from its own seed. A seed that is no longer in the file can't be compared."""

    def __init__(self, seeds: Sequence[Seed], limit: Limit) -> None:
        self._seeds, self._limit = {seed.sha256: seed for seed in seeds}, limit
        self._sequences: dict[str, frozenset[int]] = {}

    def __call__(self, sample: Sample) -> str:
        seed = self._seeds.get(sample.metadata.seed_sha256)
        if seed is None:
            return ""
        if seed.sha256 not in self._sequences:
            parts = (seed.prompt, seed.explanation, seed.follow_up)
            self._sequences[seed.sha256] = frozenset(sequence for text in parts for sequence in word_sequences(text))
        return self._limit.first_objection(sample, sequences=self._sequences[seed.sha256], source="its seed")


class NearDuplicates:
    """Drops a sample whose text is like an earlier one, as `NearTexts` compares them. A repaired sample may be like the one it repairs."""

    def __init__(self, text: Callable[[Sample], str], similarity: float) -> None:
        self._text, self._similarity = text, similarity
        self._before = NearTexts(permutations=PERMUTATIONS, bands=BANDS)
        self._exact: dict[int, str] = {}

    def __call__(self, sample: Sample) -> str:
        compared = shingled_words(self._text(sample))
        original, exact = sample.metadata.repaired_from, hash(tuple(compared))
        if (twin := self._exact.get(exact)) and twin != original:
            return f"the same as {twin}"
        minhash = self._before.minhash(compared)
        for _, name, likeness in sorted(self._before.near(minhash, similarity=self._similarity)):
            if name != original:
                return f"{likeness:.0%} the same as {name}"
        self._before.add(sample.id, minhash)
        self._exact.setdefault(exact, sample.id)
        return ""


class Formulas:
    """Drops a sample when more than `share` of the samples before it have the same `move`, as the same three first words.

    Explanation, follow-up and response are looked at one by one.
    """

    def __init__(self, move: Callable[[str], str], share: float) -> None:
        self._move, self._share = move, share
        self._seen: Counter[int] = Counter()  # hashes, because most moves are made once
        self._passed = 0

    def __call__(self, sample: Sample) -> str:
        written = ("response",) if sample.metadata.repaired_from else WRITTEN  # the rest was counted with its original
        moves = [(name, self._move(text)) for name, text in texts(sample).items() if name in written]
        allowed = max(FEWEST_ALIKE, math.ceil(self._share * (self._passed + 1)))
        for name, opened in moves:
            if self._seen[hash((name, opened))] >= allowed:
                return f"{name}: “{opened} …”, as in {allowed} samples before it"
        self._seen.update(map(hash, moves))
        self._passed += 1
        return ""


def opening(text: str) -> str:
    """Return the first three words."""
    return " ".join(words(text)[:OPENING_WORDS])


def closing(text: str) -> str:
    """Return the first three words of the last sentence, which tell "Does that make sense?" from a summary."""
    return opening(SENTENCE_END.split(text.strip())[-1])


def texts(sample: Sample) -> dict[str, str]:
    """Return by its name each text that a model wrote and that is trained on."""
    about = sample.metadata
    return {"question": about.question, "explanation": about.explanation, "follow_up": about.follow_up, "response": sample.response}


def question_and_follow_up(sample: Sample) -> str:
    return f"{sample.metadata.question}\n{sample.metadata.follow_up}"
