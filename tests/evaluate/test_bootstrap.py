"""Intervals are taken over questions, hold what they promise, and are told with their rows and groups."""

import numpy as np
import pytest

from lib.evaluate.bootstrap import mean_of, t_quantile


def test_rows_of_one_question_count_as_one_piece_of_evidence() -> None:
    """Ten questions once, and ten times over: the mean and its interval are the same."""
    values = [0.1, 0.4, 0.9, 0.5, 0.7, 0.2, 0.8, 0.6, 0.3, 1.0]
    once = mean_of(values, [str(n) for n in range(10)])
    often = mean_of(values * 10, [str(n) for n in range(10)] * 10)
    assert once and often
    assert (often.value, often.low, often.high) == pytest.approx((once.value, once.low, once.high))
    assert (often.rows, often.groups) == (100, 10)


def test_with_one_question_there_is_a_mean_and_no_interval() -> None:
    found = mean_of([0.2, 0.4], ["a", "a"])
    assert found and (found.value, found.low, found.high) == (pytest.approx(0.3), None, None)
    assert mean_of([], []) is None


@pytest.mark.parametrize(("freedom", "quantile"), [(4, 2.776), (9, 2.262), (29, 2.045), (99, 1.984)])
def test_the_quantile_of_students_t_is_that_of_the_tables(freedom: int, quantile: float) -> None:
    assert t_quantile(freedom) == pytest.approx(quantile, abs=2e-3)


@pytest.mark.parametrize("rows", [10, 40, 200])
def test_the_paired_interval_of_equal_candidates_holds_0_in_at_least_94_of_100_simulated_evaluations(rows: int) -> None:
    """Two candidates of the same skill answer rows of two a question, each with luck of its own. 1,000 runs may miss 95 by one."""
    chance, held, runs = np.random.default_rng(3), 0, 1_000
    groups = [str(place // 2) for place in range(rows)]
    for seed in range(runs):
        skill = np.repeat(chance.beta(6, 2, size=rows // 2), 2)
        one, other = (np.clip(skill + chance.normal(0, 0.15, rows), 0, 1) for _ in range(2))
        found = mean_of((one - other).tolist(), groups, seed=seed)
        assert found and found.low is not None and found.high is not None
        held += found.low <= 0 <= found.high
    assert held >= 0.94 * runs, held / runs
