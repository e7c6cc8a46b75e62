"""cards and a number -> the card that is dealt to it, so that all cards come equally often and in no pattern."""

import hashlib
import random
from collections.abc import Collection, Iterable, Sequence
from heapq import nsmallest
from typing import TypeVar, get_args

from lib.schema import Spoiling
from lib.settings import planted_count

SPOILINGS: tuple[Spoiling, ...] = get_args(Spoiling)
UNWRITTEN: tuple[Spoiling, ...] = ("other_answer", "explanation_repeated", "praise_only")  # made without a model
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


def to_plant(ids: Collection[str], *, share: float, random_seed: int) -> dict[str, int]:
    """Return the ids of the samples of which a spoiled copy is judged, with their rank in the draw."""
    names = drawn(ids, count=planted_count(len(ids), share), seed=f"{random_seed}/planted")
    return {name: rank for rank, name in enumerate(names)}


def spoilings(rank: int, *, random_seed: int) -> list[Spoiling]:
    """Return all kinds of spoiling, that of this rank in the draw first. Where a sample does not allow a kind, the next is taken."""
    deck = shuffled(SPOILINGS, f"{random_seed}/spoilings")
    turn = rank % len(deck)
    return [*deck[turn:], *deck[:turn]]
