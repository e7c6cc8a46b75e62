"""seeds x subjects x misconception types x topics x styles -> balanced slots, one a sample to be made.

Slot n takes subject n mod S and type (n + n div lcm(S, T)) mod T, of lists shuffled once by the random seed. Without the shift the
pair (n mod S, n mod T) visits only lcm(S, T) of the S·T cells: 56 of 224. With it, S·T slots in a row visit each cell once, every
block of S each subject once, and every block of T each type once, so that every prefix is balanced to within one.
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


def plan(seeds: Sequence[Seed], topics: Topics, settings: Settings) -> Iterator[Slot]:
    """Yield `num_seeds` x `samples_per_seed` slots; the same settings give the same slots, fewer seeds a prefix of them.

    When fewer seeds than asked for are at hand they are reused in turn. Slots are yielded, not listed: a plan may be long.
    """
    decks = _decks(topics, settings)
    used: dict[str, int] = defaultdict(int)
    for number, (subject, kind) in enumerate(_cells(settings.planned_samples, settings)):
        seed_number, variation = divmod(number, settings.samples_per_seed)
        topic, level = _topic(decks[subject], used[subject])
        used[subject] += 1
        yield Slot(
            id=slot_id(seed_number, variation),
            seed_row=seeds[seed_number % len(seeds)].row,
            subject=subject,
            misconception_type=kind,
            topic=topic,
            level=level,
            style=_style(number, settings.random_seed),
        )


def planned_cells(settings: Settings, samples: int) -> Counter[Cell]:
    """Return how many of the first `samples` slots, of a plan as long as need be, lie in each cell."""
    return Counter(_cells(samples, settings))


class Refills:
    """Slots beyond the plan, cell by cell. The n-th slot of a cell is always the same, whatever other cells are refilled."""

    def __init__(self, seeds: Sequence[Seed], topics: Topics, settings: Settings) -> None:
        self._seeds, self._settings = seeds, settings
        self._decks = _decks(topics, settings)
        self._cells = [(subject, kind) for subject in settings.subjects for kind in settings.misconception_types]
        self._planned = Counter(subject for subject, _ in _cells(settings.planned_samples, settings))
        self._made: Counter[Cell] = Counter()

    def next(self, cell: Cell) -> Slot:
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


def slot_id(seed_number: int, variation: int) -> str:
    """Return `seed042_var2` for the 42nd seed (counted from 1) and its second variation."""
    return f"seed{seed_number + 1:03d}_var{variation + 1}"


def read_topics(path: Path) -> Topics:
    """Read `subject, topic, level` rows. Raises TopicFileError naming file, row and column."""
    file = TextFile(path, "topics_csv", TopicFileError)
    table = read_table(file, read_bytes(file), required=("subject", "topic"), optional=("level",))
    if table.remarks:
        raise file.refusal("the text is not UTF-8 (it may be Windows-1252)", advice="Save it as CSV in UTF-8.")
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for row in table.rows:
        at = f"row {row.number} (line {row.line})"
        if row.flaw:
            raise file.refusal(row.flaw.detail, at=at, advice="Mend the row, or delete it.")
        subject, topic, level = (row.cells[name].strip() for name in ("subject", "topic", "level"))
        if not subject or not topic:
            raise file.refusal("columns subject and topic must not be empty (level may)", at=at, advice="Fill them in, or delete the row.")
        found[subject].append((topic, level))
    return {subject: tuple(entries) for subject, entries in found.items()}


def _cells(count: int, settings: Settings) -> Iterator[Cell]:
    subjects = _shuffled(settings.subjects, settings.random_seed, "subjects")
    types = _shuffled(settings.misconception_types, settings.random_seed, "types")
    period = math.lcm(len(subjects), len(types))
    for number in range(count):
        yield subjects[number % len(subjects)], types[(number + number // period) % len(types)]


def _decks(topics: Topics, settings: Settings) -> Topics:
    return {subject: _shuffled(topics.get(subject, ()), settings.random_seed, f"topics/{subject}") for subject in settings.subjects}


def _topic(deck: Sequence[tuple[str, str]], used: int) -> tuple[str, str]:
    """Return the `used`-th draw. Each pass through the deck starts one further, so that a topic meets another type."""
    if not deck:
        return "", ""
    return deck[(used + used // len(deck)) % len(deck)]


def _style(number: int, random_seed: int) -> Style:
    return Style(
        opening=_dealt(OPENINGS, number, random_seed, "opening"),
        words=_dealt(WORDS, number, random_seed, "words"),
        closing=_dealt(CLOSINGS, number, random_seed, "closing"),
    )


def _dealt(cards: Sequence[Card], number: int, random_seed: int, name: str) -> Card:
    """Deal `cards` in blocks, each block a fresh shuffle: balanced to within one, and no pattern across styles."""
    block, position = divmod(number, len(cards))
    return _shuffled(cards, random_seed, f"{name}/{block}")[position]


def _shuffled(names: Sequence[Card], random_seed: int, purpose: str) -> tuple[Card, ...]:
    deck = list(names)
    random.Random(f"{random_seed}/{purpose}").shuffle(deck)
    return tuple(deck)
