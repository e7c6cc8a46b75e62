"""cards and a number -> the card that is dealt to it, so that all cards come equally often and in no pattern."""

import hashlib
import math
import random
from collections.abc import Collection, Iterable, Sequence
from fractions import Fraction
from heapq import nsmallest
from typing import TypeVar, get_args

from lib.schema import Harmless, Plain, Spoiling, Subtle
from lib.settings import Settings, planted_count

PLAIN: tuple[Spoiling, ...] = get_args(Plain)
SUBTLE: tuple[Spoiling, ...] = get_args(Subtle)
HARMLESS: tuple[Spoiling, ...] = get_args(Harmless)
SPOILINGS = (*PLAIN, *SUBTLE)  # the planted failures
COPIES = (*SPOILINGS, *HARMLESS)
UNWRITTEN: tuple[Spoiling, ...] = ("other_answer", "explanation_repeated", "praise_only", "layout")  # made without a model
Card = TypeVar("Card")


def shuffled(cards: Sequence[Card], seed: str) -> tuple[Card, ...]:
    """Return the cards in an order that depends on `seed` alone."""
    deck = list(cards)
    random.Random(seed).shuffle(deck)
    return tuple(deck)


def drawn(ids: Iterable[str], *, count: int, seed: str) -> list[str]:
    """Return `count` of the ids in a random order that depends on `seed` and each id alone, so that further ids change little."""
    return nsmallest(count, ids, key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest())


def dealt(cards: Sequence[Card], name: str, *, number: int, random_seed: int) -> Card:
    """Return the card for `number`. Each block of numbers deals all cards once, in an order of its own."""
    block, position = divmod(number, len(cards))
    return shuffled(cards, f"{random_seed}/{name}/{block}")[position]


def to_plant(ids: Collection[str], *, share: float, random_seed: int, what: str = "planted") -> dict[str, int]:
    """Return the ids of the samples of which a copy is judged, with their rank in the draw. `what` keeps draws apart."""
    names = drawn(ids, count=planted_count(len(ids), share), seed=f"{random_seed}/{what}")
    return {name: rank for rank, name in enumerate(names)}


def copies_of(ids: Collection[str], settings: Settings) -> dict[str, list[list[Spoiling]]]:
    """Return for each sample that was drawn what its copies may be, one list a copy with the wanted kind first.

    A sample may have one spoiled copy and one harmless one. Where it does not allow a kind, the next of the list is taken.
    """
    seed, found = settings.random_seed, dict[str, list[list[Spoiling]]]()
    for name, rank in to_plant(ids, share=settings.planted_share, random_seed=seed).items():
        found.setdefault(name, []).append(spoilings(rank, subtle_share=settings.subtle_share, random_seed=seed))
    for name, rank in to_plant(ids, share=settings.harmless_share, random_seed=seed, what="harmless").items():
        found.setdefault(name, []).append(_turned(HARMLESS, rank, seed=f"{seed}/harmless"))
    return found


def spoilings(rank: int, *, subtle_share: float, random_seed: int) -> list[Spoiling]:
    """Return the kinds of spoiling of this rank in the draw. They are plain or subtle ones, in the wanted proportion at every rank."""
    share = Fraction(str(subtle_share))
    subtle = math.floor(rank * share)
    if math.floor((rank + 1) * share) > subtle:
        return _turned(SUBTLE, subtle, seed=f"{random_seed}/subtle")
    return _turned(PLAIN, rank - subtle, seed=f"{random_seed}/spoilings")


def _turned(kinds: Sequence[Spoiling], turn: int, *, seed: str) -> list[Spoiling]:
    """Return all kinds in a shuffled order that begins at another one each turn."""
    deck = shuffled(kinds, seed)
    return [*deck[turn % len(deck) :], *deck[: turn % len(deck)]]
