"""cards and a number -> the card that is dealt to it, so that all cards come equally often and in no pattern."""

import hashlib
import random
from collections.abc import Iterable, Sequence
from heapq import nsmallest
from typing import TypeVar, get_args

from lib.schema import Spoiling

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


def spoilings(random_seed: int) -> list[Spoiling]:
    """Return the kinds of planted failures in the order in which a run deals them."""
    return list(shuffled(SPOILINGS, f"{random_seed}/spoilings"))


def written_spoilings(count: int, *, random_seed: int) -> int:
    """Return how many of the first `count` planted failures a model writes. The others need no call."""
    deck = spoilings(random_seed)
    return sum(deck[rank % len(deck)] not in UNWRITTEN for rank in range(count))
