"""What differs from the rest is told from chance by Fisher's exact test, with one error rate for all comparisons together."""

from typing import Any

import numpy as np
import pytest

from lib.analyze.chance import contrasts, fisher_p, holm, would_differ
from lib.analyze.rates import Share
from tests.analyze.test_statistics import these


def test_the_lady_tasting_tea_who_finds_three_of_four() -> None:
    """Fisher 1935, chapter 2: of 70 ways to choose, 16 + 1 find at least three, and as many at most one. 34/70."""
    assert fisher_p(Share(3, 4), Share(1, 4)) == pytest.approx(34 / 70)
    assert fisher_p(Share(4, 4), Share(0, 4)) == pytest.approx(2 / 70)


def test_two_sides_of_unlike_length_are_both_counted() -> None:
    """1 of 3 beside 1 of 1. Of 4 × 3/2 = 6 ways to keep two of four, 3 keep two of the three and 3 keep one of them: both as likely."""
    assert fisher_p(Share(1, 3), Share(1, 1)) == pytest.approx(1)
    assert fisher_p(Share(1, 12), Share(9, 12)) == pytest.approx(0.002759456, abs=1e-9)  # R, fisher.test


def test_what_is_always_kept_tells_no_two_groups_apart() -> None:
    assert fisher_p(Share(5, 5), Share(7, 7)) == pytest.approx(1)


def test_p_values_are_adjusted_as_holm_does() -> None:
    """0.005 × 4, 0.01 × 3, 0.03 × 2, and 0.04 × 1, which may not be smaller than the one before."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]


def test_the_counts_that_would_set_a_group_apart_are_those_that_the_test_names() -> None:
    """Of the cups, none or all four have p = 2/70 = 0.029. That is enough alone, and not among two comparisons."""
    assert would_differ(4, whole=Share(4, 8), comparisons=1) == (0, 4)
    assert would_differ(4, whole=Share(4, 8), comparisons=2) == (None, None)


def rows(**kept_of: tuple[int, int]) -> list[dict[str, Any]]:
    """Return samples of one kind, by subject."""
    return [
        {"subject": subject, "misconception_type": "overgeneralization", "status": "kept" if number < kept else "dropped"}
        for subject, (kept, made) in kept_of.items()
        for number in range(made)
    ]


def test_a_subject_that_loses_far_more_than_the_others_differs() -> None:
    found = {one.name: one for one in contrasts(these(rows(ecology=(13, 20), genetics=(14, 20), finance=(4, 20))))}
    assert [name for name, one in found.items() if one.differs] == ["finance"]
    assert (found["finance"].is_lower, found["finance"].group, found["finance"].rest) == (True, Share(4, 20), Share(27, 40))


def test_a_single_kind_is_compared_with_nothing() -> None:
    assert {one.by for one in contrasts(these(rows(ecology=(10, 20), finance=(10, 20))))} == {"subject"}


def test_fewer_than_thirty_samples_are_not_compared() -> None:
    assert contrasts(these(rows(ecology=(15, 15), finance=(0, 14)))) == ()


def test_among_36_groups_without_a_difference_one_is_named_in_at_most_5_of_100_simulated_runs() -> None:
    chance, named = np.random.default_rng(7), 0
    for _ in range(200):
        groups = [Share(hits, 36) for hits in chance.binomial(36, 0.8, 28).tolist()]
        total = sum(group.hits for group in groups)
        named += min(holm([fisher_p(group, Share(total - group.hits, 27 * 36)) for group in groups])) <= 0.05
    assert named <= 0.05 * 200
