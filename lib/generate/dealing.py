"""cards and a number -> the card that is dealt to it, so that all cards come equally often and in no pattern."""

import hashlib
import random
from collections.abc import Iterable, Sequence
from heapq import nsmallest
from typing import TypeVar

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
