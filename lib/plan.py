"""seeds x subjects x misconception types x topics x styles -> balanced slots, one a sample to be made.

Slot n takes subject n mod S and type (n + n div lcm(S, T)) mod T, of lists shuffled once by the random seed. Without the shift the
pair (n mod S, n mod T) visits only lcm(S, T) of the S·T cells: 56 of 224. With it, S·T slots in a row visit each cell once, every
block of S each subject once, and every block of T each type once, so that every prefix is balanced to within one.
"""

import csv
import math
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from lib.errors import KitError
from lib.schema import Seed, Slot, Style
from lib.settings import Settings

Card = TypeVar("Card")
Topics = dict[str, tuple[tuple[str, str], ...]]  # subject -> ((topic, level), …)

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
    subjects = _shuffled(settings.subjects, settings.random_seed, "subjects")
    types = _shuffled(settings.misconception_types, settings.random_seed, "types")
    period = math.lcm(len(subjects), len(types))
    decks = {subject: _shuffled(topics.get(subject, ()), settings.random_seed, f"topics/{subject}") for subject in subjects}
    used: dict[str, int] = defaultdict(int)
    for number in range(settings.planned_samples):
        seed_number, variation = divmod(number, settings.samples_per_seed)
        subject = subjects[number % len(subjects)]
        topic, level = _topic(decks[subject], used[subject])
        used[subject] += 1
        yield Slot(
            id=slot_id(seed_number, variation),
            seed_row=seeds[seed_number % len(seeds)].row,
            subject=subject,
            misconception_type=types[(number + number // period) % len(types)],
            topic=topic,
            level=level,
            style=_style(number, settings.random_seed),
        )


def slot_id(seed_number: int, variation: int) -> str:
    """Return `seed042_var2` for the 42nd seed (counted from 1) and its second variation."""
    return f"seed{seed_number + 1:03d}_var{variation + 1}"


def read_topics(path: Path) -> Topics:
    """Read `subject, topic, level` rows. Raises TopicFileError naming file, row and column."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TopicFileError(f"{path}: can't be read ({error}). Set topics_csv, or restore data/topics.csv.") from None
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for number, row in enumerate(rows, start=1):
        subject, topic = (row.get("subject") or "").strip(), (row.get("topic") or "").strip()
        if None in row:
            raise TopicFileError(f"{path}, row {number}: more cells than columns. Put a topic that holds a comma into quotes.")
        if not subject or not topic:
            raise TopicFileError(f"{path}, row {number}: columns subject and topic must not be empty (level may).")
        found[subject].append((topic, (row.get("level") or "").strip()))
    return {subject: tuple(entries) for subject, entries in found.items()}


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
