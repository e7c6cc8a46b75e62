"""Seeds, subjects, misconception types, topics and styles -> balanced slots, one for each sample to be made.

Slot n takes subject n mod S and type (n + n div lcm(S, T)) mod T, of lists that the random seed has shuffled once. Without the shift the
pairs (n mod S, n mod T) would reach only lcm(S, T) of the S·T cells, which is 56 of 224. With it, S·T slots in a row reach each cell once,
S slots each subject once, and T slots each type once. So every prefix of the plan is balanced to within one.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from lib.generate.dealing import shuffled
from lib.generate.students import control_student, student
from lib.generate.styles import style
from lib.generate.topics import Decks, Topic, Topics
from lib.schema import Origin, Seed, Slot, Student
from lib.settings import Settings
from lib.taxonomy import NO_MISCONCEPTION

Cell = tuple[str, str]  # subject, misconception type
REFILL = "topup_"  # what the ids of slots beyond the plan begin with


def plan(settings: Settings, *, seeds: Sequence[Seed], topics: Topics) -> Iterator[Slot]:
    """Yield `num_seeds` x `samples_per_seed` slots, then the controls. The same settings give the same slots, and fewer seeds a prefix.

    When there are fewer seeds than asked for they are reused in turn. Slots are yielded, because a plan may be long.
    """
    decks, turns = _decks(topics, settings), Counter[str]()
    for number, (subject, kind) in enumerate(_cells(settings.planned_samples, settings)):
        topic, writes = decks.next(subject, kind), student(number, settings.random_seed)
        seed = seeds[number // settings.samples_per_seed % len(seeds)]
        yield _slot(
            slot_id(number, settings),
            (subject, kind),
            seed=seed,
            topic=topic,
            writes=writes,
            number=turns[kind],
            random_seed=settings.random_seed,
        )
        turns[kind] += 1
    yield from _controls(settings, seeds=seeds, decks=decks)


def _controls(settings: Settings, *, seeds: Sequence[Seed], decks: Decks) -> Iterator[Slot]:
    """Yield the slots in which the student is not wrong, balanced over the subjects."""
    subjects, random_seed = shuffled(settings.subjects, f"{settings.random_seed}/controls"), settings.random_seed
    for number in range(settings.planned_controls):
        turn, place = divmod(number, len(subjects))
        kind = NO_MISCONCEPTION[(turn + place) % len(NO_MISCONCEPTION)].id
        topic, writes = decks.next(subjects[place], kind), control_student(kind, number=number, random_seed=random_seed)
        name, seed = control_id(number), seeds[number % len(seeds)]
        cell = subjects[place], kind
        yield _slot(name, cell, seed=seed, topic=topic, writes=writes, number=number, random_seed=random_seed, origin="control")


def slot_id(number: int, settings: Settings) -> str:
    """Return the id of the slot of this number, from 0 on. Controls have ids of their own."""
    seed_number, variation = divmod(number, settings.samples_per_seed)
    return f"seed{seed_number + 1:03d}_var{variation + 1}"


def control_id(number: int) -> str:
    return f"control{number + 1:03d}"


def planned_cells(settings: Settings, samples: int) -> Counter[Cell]:
    """Return how many of the first `samples` slots lie in each cell, in a plan that is long enough."""
    return Counter(_cells(samples, settings))


class Refills:
    """Slots beyond the plan for one cell after another. The n-th slot of a cell does not depend on the refills of other cells."""

    def __init__(self, settings: Settings, *, seeds: Sequence[Seed], topics: Topics) -> None:
        self._seeds, self._settings = seeds, settings
        self._decks = _decks(topics, settings)
        for subject, kind in _cells(settings.planned_samples, settings):
            self._decks.next(subject, kind)
        self._cells = [(subject, kind) for subject in settings.subjects for kind in settings.misconception_types]
        self._made: Counter[Cell] = Counter()

    def next(self, cell: Cell) -> Slot:
        """Return the next slot of the cell."""
        (subject, kind), turn, random_seed = cell, self._made[cell], self._settings.random_seed
        self._made[cell] += 1
        topic = self._decks.later(subject, kind, turn=turn, kinds=self._settings.misconception_types)
        number = self._settings.planned_samples + turn * len(self._cells) + self._cells.index(cell)
        writes = student(number, random_seed)
        name, seed = f"{REFILL}{subject}_{kind}_{turn + 1}", self._seeds[number % len(self._seeds)]
        return _slot(name, cell, seed=seed, topic=topic, writes=writes, number=number, random_seed=random_seed, origin="top_up")


def _slot(
    name: str, cell: Cell, *, seed: Seed, topic: Topic, writes: Student, number: int, random_seed: int, origin: Origin = "plan"
) -> Slot:
    """Return the slot. Its style is dealt by `number`."""
    subject, kind = cell
    return Slot(
        id=name,
        seed_row=seed.row,
        subject=subject,
        misconception_type=kind,
        topic=topic.name,
        level=topic.level,
        style=style(kind, topic.level, student=writes, number=number, random_seed=random_seed),
        student=writes,
        origin=origin,
    )


def _cells(count: int, settings: Settings) -> Iterator[Cell]:
    subjects = shuffled(settings.subjects, f"{settings.random_seed}/subjects")
    types = shuffled(settings.misconception_types, f"{settings.random_seed}/types")
    period = math.lcm(len(subjects), len(types))
    for number in range(count):
        yield subjects[number % len(subjects)], types[(number + number // period) % len(types)]


def _decks(topics: Topics, settings: Settings) -> Decks:
    return Decks(topics, subjects=settings.subjects, random_seed=settings.random_seed)
