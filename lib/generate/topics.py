"""The topic file -> the topics of each subject, and for a slot one of them that can carry its kind of misconception.

Chosen greedily. Of the topics that carry the kind, a slot gets one that has met this kind least often, and among these the one that the
subject has used least. So no pair of topic and kind comes oftener than it must.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from lib.errors import KitError
from lib.generate.dealing import shuffled
from lib.generate.tabular import read_table
from lib.generate.text_file import TextFile, read_bytes
from lib.taxonomy import MISCONCEPTION_TYPES

KINDS = frozenset(kind.id for kind in MISCONCEPTION_TYPES)


class Topic(NamedTuple):
    """A topic of a subject."""

    name: str  # "" when the model is to choose
    level: str = ""
    kinds: frozenset[str] = frozenset()  # those that it can carry; empty: all

    def carries(self, kind: str) -> bool:
        return not self.kinds or kind in self.kinds


Topics = Mapping[str, Sequence[Topic]]
MODELS_CHOICE = Topic("")


class TopicFileError(KitError):
    """The topic file can't be used."""


def read_topics(path: Path) -> Topics:
    """Read a table of subject, topic, level and kinds. Raises TopicFileError naming file, row and column."""
    file = TextFile(path, "topics_csv", TopicFileError)
    table = read_table(file, read_bytes(file), required=("subject", "topic"), optional=("level", "kinds"))
    if table.remarks:
        raise file.refusal("the text is not UTF-8 (it may be Windows-1252)", advice="Save it as CSV in UTF-8.")
    topics: dict[str, list[Topic]] = defaultdict(list)
    for row in table.rows:
        at = f"row {row.number} (line {row.line})"
        if row.flaw:
            raise file.refusal(row.flaw.detail, at=at, advice="Mend the row, or delete it.")
        subject, topic, level, kinds = (cell.strip() for cell in row.cells.values())
        if not subject or not topic:
            raise file.refusal("columns subject and topic must not be empty (level may)", at=at, advice="Fill them in, or delete the row.")
        carried = frozenset(kinds.replace(",", " ").split())
        if unknown := sorted(carried - KINDS):
            known = ", ".join(sorted(KINDS))
            raise file.refusal(f"column kinds: unknown {', '.join(unknown)}", at=at, advice=f"Known: {known}. Leave it empty for all.")
        topics[subject].append(Topic(topic, level, carried))
    return {subject: tuple(entries) for subject, entries in topics.items()}


class Decks:
    """Deals topics. What it deals depends on what it has dealt before, so the slots of a plan must be asked for in their order."""

    def __init__(self, topics: Topics, *, subjects: Sequence[str], random_seed: int) -> None:
        self._decks = {name: shuffled(topics.get(name, ()), f"{random_seed}/topics/{name}") for name in subjects}
        self._used: Counter[tuple[str, int]] = Counter()  # by subject and place in its deck
        self._met: Counter[tuple[str, str, int]] = Counter()  # by subject, kind and place
        self._rounds: dict[str, list[dict[str, Topic]]] = defaultdict(list)  # beyond the plan, a topic for each kind in each round

    def next(self, subject: str, kind: str) -> Topic:
        """Return the topic of the next slot of this subject and kind."""
        places = self._carrying(subject, kind)
        if not places:
            return MODELS_CHOICE
        place = min(places, key=lambda at: (self._met[subject, kind, at], self._used[subject, at]))
        self._used[subject, place] += 1
        self._met[subject, kind, place] += 1
        return self._decks[subject][place]

    def later(self, subject: str, kind: str, *, turn: int, kinds: Sequence[str]) -> Topic:
        """Return the topic of the cell's slot number `turn` beyond the plan. It is the same whichever other cells get such slots."""
        rounds = self._rounds[subject]
        while len(rounds) <= turn:
            rounds.append({name: self.next(subject, name) for name in kinds})
        return rounds[turn][kind]

    def _carrying(self, subject: str, kind: str) -> list[int]:
        """Return the places of the topics that carry the kind, or of all when none does."""
        deck = self._decks[subject]
        return [place for place, topic in enumerate(deck) if topic.carries(kind)] or list(range(len(deck)))


def kinds_without_topic(topics: Topics, *, subjects: Sequence[str], kinds: Sequence[str]) -> list[str]:
    """Return "subject: kind" for each kind that no topic of a subject carries, where the subject has topics."""
    pairs = ((subject, kind) for subject in subjects if subject in topics for kind in kinds)
    return [f"{subject}: {kind}" for subject, kind in pairs if not any(topic.carries(kind) for topic in topics[subject])]
