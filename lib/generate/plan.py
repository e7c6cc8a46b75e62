"""Seeds, subjects, misconception types, topics and styles -> balanced slots, one for each sample to be made.

Slot n takes subject n mod S and type (n + n div lcm(S, T)) mod T, of lists that the random seed has shuffled once. Without the shift the
pairs (n mod S, n mod T) would reach only lcm(S, T) of the S·T cells, which is 56 of 224. With it, S·T slots in a row reach each cell once,
S slots each subject once, and T slots each type once. So every prefix of the plan is balanced to within one.
"""

import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from lib.errors import KitError
from lib.generate.tabular import read_table
from lib.generate.text_file import TextFile, read_bytes
from lib.schema import Seed, Slot, Style
from lib.settings import Settings

Card = TypeVar("Card")
Topics = dict[str, tuple[tuple[str, str], ...]]  # subject -> ((topic, level), …)
Cell = tuple[str, str]  # subject, misconception type
REFILL = "topup_"  # what the ids of slots beyond the plan begin with

OPENINGS = (
    "name the exact point where the student's reasoning turns, in the first sentence",
    "begin with a small concrete case or number that shows the trouble",
    "begin by restating in one plain sentence what the student seems to believe",
    "begin with the part of the student's reasoning that does hold, and say where it stops holding",
    "begin with a short question the student can answer in their head, then use the answer",
    "begin with the correct statement itself, then set the student's version beside it",
    "begin with a comparison or everyday picture, then map it onto the question",
    "begin with the consequence that would follow if the student were right, and check it",
)
WORDS = ((90, 150), (140, 210), (190, 280))
CLOSINGS = (
    "end with one short question that would reveal whether the confusion is gone",
    "end with a one-sentence summary of the distinction",
    "end with a small task of the same kind for the student to try, without its answer",
    "end with the corrected result of the original question, and stop there",
    "end with a sign to watch for next time this comes up",
)


class TopicFileError(KitError):
    """The topic file can't be used."""


def plan(settings: Settings, *, seeds: Sequence[Seed], topics: Topics) -> Iterator[Slot]:
    """Yield `num_seeds` x `samples_per_seed` slots. The same settings give the same slots, and fewer seeds a prefix of them.

    When there are fewer seeds than asked for they are reused in turn. Slots are yielded, because a plan may be long.
    """
    decks, used = _decks(topics, settings), Counter[str]()
    for number, (subject, kind) in enumerate(_cells(settings.planned_samples, settings)):
        seed_number, variation = divmod(number, settings.samples_per_seed)
        topic, level = _topic(decks[subject], used[subject])
        used[subject] += 1
        yield Slot(
            id=f"seed{seed_number + 1:03d}_var{variation + 1}",
            seed_row=seeds[seed_number % len(seeds)].row,
            subject=subject,
            misconception_type=kind,
            topic=topic,
            level=level,
            style=_style(number, settings.random_seed),
        )


def planned_cells(settings: Settings, samples: int) -> Counter[Cell]:
    """Return how many of the first `samples` slots lie in each cell, in a plan that is long enough."""
    return Counter(_cells(samples, settings))


class Refills:
    """Slots beyond the plan for one cell after another. The n-th slot of a cell does not depend on the refills of other cells."""

    def __init__(self, settings: Settings, *, seeds: Sequence[Seed], topics: Topics) -> None:
        self._seeds, self._settings = seeds, settings
        self._decks = _decks(topics, settings)
        self._cells = [(subject, kind) for subject in settings.subjects for kind in settings.misconception_types]
        self._planned = Counter(subject for subject, _ in _cells(settings.planned_samples, settings))
        self._made: Counter[Cell] = Counter()

    def next(self, cell: Cell) -> Slot:
        """Return the next slot of the cell."""
        (subject, kind), turn = cell, self._made[cell]
        self._made[cell] += 1
        types = self._settings.misconception_types
        topic, level = _topic(self._decks[subject], self._planned[subject] + turn * len(types) + types.index(kind))
        number = self._settings.planned_samples + turn * len(self._cells) + self._cells.index(cell)
        return Slot(
            id=f"{REFILL}{subject}_{kind}_{turn + 1}",
            seed_row=self._seeds[number % len(self._seeds)].row,
            subject=subject,
            misconception_type=kind,
            topic=topic,
            level=level,
            style=_style(number, self._settings.random_seed),
            origin="top_up",
        )


def read_topics(path: Path) -> Topics:
    """Read a table of subject, topic and level. Raises TopicFileError naming file, row and column."""
    file = TextFile(path, "topics_csv", TopicFileError)
    table = read_table(file, read_bytes(file), required=("subject", "topic"), optional=("level",))
    if table.remarks:
        raise file.refusal("the text is not UTF-8 (it may be Windows-1252)", advice="Save it as CSV in UTF-8.")
    topics: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for row in table.rows:
        at = f"row {row.number} (line {row.line})"
        if row.flaw:
            raise file.refusal(row.flaw.detail, at=at, advice="Mend the row, or delete it.")
        subject, topic, level = (cell.strip() for cell in row.cells.values())
        if not subject or not topic:
            raise file.refusal("columns subject and topic must not be empty (level may)", at=at, advice="Fill them in, or delete the row.")
        topics[subject].append((topic, level))
    return {subject: tuple(entries) for subject, entries in topics.items()}


def _cells(count: int, settings: Settings) -> Iterator[Cell]:
    subjects = _shuffled(settings.subjects, f"{settings.random_seed}/subjects")
    types = _shuffled(settings.misconception_types, f"{settings.random_seed}/types")
    period = math.lcm(len(subjects), len(types))
    for number in range(count):
        yield subjects[number % len(subjects)], types[(number + number // period) % len(types)]


def _decks(topics: Topics, settings: Settings) -> Topics:
    return {name: _shuffled(topics.get(name, ()), f"{settings.random_seed}/topics/{name}") for name in settings.subjects}


def _topic(deck: Sequence[tuple[str, str]], used: int) -> tuple[str, str]:
    """Return topic and level after `used` draws. Each pass through the deck starts one further, so that a topic meets another type."""
    return deck[(used + used // len(deck)) % len(deck)] if deck else ("", "")


def _style(number: int, random_seed: int) -> Style:
    def dealt(cards: Sequence[Card], name: str) -> Card:
        """Return the card of slot `number`. Each block of slots deals all cards once, in an order of its own."""
        block, position = divmod(number, len(cards))
        return _shuffled(cards, f"{random_seed}/{name}/{block}")[position]

    return Style(opening=dealt(OPENINGS, "opening"), words=dealt(WORDS, "words"), closing=dealt(CLOSINGS, "closing"))


def _shuffled(cards: Sequence[Card], seed: str) -> tuple[Card, ...]:
    deck = list(cards)
    random.Random(seed).shuffle(deck)
    return tuple(deck)
