"""Praise is told from praise's words in another sense. The examples are labelled by hand; the unseen ones had no part in the making."""

import csv
import time
from pathlib import Path

import pytest

from lib.analyze.praise import praises

FOLDER = Path(__file__).parent


def examples(name: str) -> list[tuple[str, bool, bool]]:
    """Return text, label, and whether it is a near miss."""
    with (FOLDER / name).open(encoding="utf-8", newline="") as file:
        return [(row["text"], row["praise"] == "1", row["near_miss"] == "1") for row in csv.DictReader(file)]


def test_there_are_enough_examples_and_half_of_those_without_praise_are_near_misses() -> None:
    every = examples("praise.csv") + examples("praise_unseen.csv")
    assert len(every) >= 400 and len({text for text, _, _ in every}) == len(every)
    without = [near_miss for _, praise, near_miss in every if not praise]
    assert sum(without) >= len(without) / 2


@pytest.mark.parametrize(("name", "precision", "recall"), [("praise.csv", 0.95, 0.90), ("praise_unseen.csv", 0.95, 0.85)])
def test_precision_and_recall(name: str, precision: float, recall: float) -> None:
    """Measured: 0.98 and 0.92 on the examples it was built from, 0.97 and 0.86 on the unseen ones (80 with praise, 80 without)."""
    found = [(label, praises(text)) for text, label, _ in examples(name)]
    right = found.count((True, True))
    assert right / (right + found.count((False, True))) >= precision
    assert right / (right + found.count((True, False))) >= recall


@pytest.mark.parametrize("text", ["You " * 50_000, "you're " * 20_000, "a" * 500_000, "great " * 50_000 + "you"])
def test_a_response_that_loops_takes_no_time(text: str) -> None:
    started = time.monotonic()
    praises(text)
    assert time.monotonic() - started < 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Great question! It is three.", True),
        ("You're asking exactly the right thing.", True),
        ("The spectrum shows a sharp line at 656 nm.", False),
        ("Under perfect competition no farm can move the price.", False),
        ("Step 2 is right, and step 4 repeats it with the wrong exponent.", False),
        ("The tax is paid twice here. Count it once, and 40 is left. You did that beautifully.", False),
    ],
)
def test_only_the_first_two_sentences_count_and_only_praise_of_the_student(text: str, expected: bool) -> None:
    assert praises(text) == expected
