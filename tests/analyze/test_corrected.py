"""The judge's pass rate is corrected by what planted failures, harmless copies and people's labels show of its errors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lib.analyze.corrected import corrected_rate, together
from lib.analyze.rates import Share

COUNTS = st.integers(1, 5000).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total)))
unhurried = hypothesis_settings(deadline=None)  # the machine may be busy

# ── the pass rate corrected for the judge's errors ───────────────────────────────────────────────────────────────────


def test_the_corrected_rate_is_that_of_the_formula_worked_by_hand() -> None:
    """p = 0.9, q0 = 0.8, q1 = 0.95: (0.9 + 0.8 - 1)/(0.8 + 0.95 - 1) = 0.7/0.75."""
    found = corrected_rate(Share(90, 100), caught=Share(40, 50), recognised=Share(19, 20))
    assert found is not None
    assert found[0] == pytest.approx(0.7 / 0.75)


def test_without_labels_the_judge_is_assumed_to_recognise_every_good_response() -> None:
    """q1 = 1: (0.9 + 0.8 - 1)/0.8 = 0.875."""
    found = corrected_rate(Share(90, 100), caught=Share(40, 50))
    assert found is not None
    assert found[0] == pytest.approx(0.875)


def test_a_judge_without_errors_leaves_the_pass_rate_as_it_is() -> None:
    found = corrected_rate(Share(70, 100), caught=Share(50, 50), recognised=Share(30, 30))
    assert found is not None
    assert found[0] == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("passed", "caught", "recognised"),
    [
        (Share(100, 100), Share(0, 16), None),
        (Share(50, 100), Share(8, 16), Share(10, 20)),
        (Share(0, 0), Share(16, 16), None),
        (Share(5, 5), Share(0, 0), None),
        (Share(5, 5), Share(5, 5), Share(0, 0)),
    ],
    ids=["always yes", "a coin", "nothing judged", "nothing planted", "no good sample labelled"],
)
def test_where_nothing_can_be_told_there_is_no_corrected_rate(passed: Share, caught: Share, recognised: Share | None) -> None:
    assert corrected_rate(passed, caught=caught, recognised=recognised) is None


@pytest.mark.parametrize("theta", [0.5, 0.8, 0.95])
@pytest.mark.parametrize(("q0", "q1"), [(0.7, None), (0.9, 0.9), (1.0, None)])
@pytest.mark.parametrize(("planted", "judged"), [(16, 20), (50, 1000)])
def test_the_interval_holds_the_truth_in_at_least_94_of_100_simulated_runs(
    theta: float, q0: float, q1: float | None, planted: int, judged: int
) -> None:
    chance, runs = np.random.default_rng(7), 3000
    sensitivity = 1.0 if q1 is None else q1
    passed = chance.binomial(judged, theta * sensitivity + (1 - theta) * (1 - q0), runs)
    caught, recognised = chance.binomial(planted, q0, runs), chance.binomial(25, sensitivity, runs)
    intervals = [
        corrected_rate(Share(p, judged), caught=Share(c, planted), recognised=None if q1 is None else Share(r, 25))
        for p, c, r in zip(passed.tolist(), caught.tolist(), recognised.tolist(), strict=True)
    ]
    held = [low <= theta <= high for _, low, high in filter(None, intervals)]
    assert len(held) > 0.9 * runs
    assert sum(held) >= 0.94 * len(held)


@pytest.mark.parametrize(
    ("passed", "caught", "recognised"),
    [(Share(100, 1000), Share(30, 50), None), (Share(290, 300), Share(160, 160), Share(30, 60))],
    ids=["fewer pass than bad ones would", "more pass than good ones would"],
)
def test_rates_that_contradict_one_another_have_no_corrected_rate(passed: Share, caught: Share, recognised: Share | None) -> None:
    """A judge that lets 40 % of bad responses through can't pass 10 % of all; one that recognises half of good ones can't pass 97 %."""
    assert corrected_rate(passed, caught=caught, recognised=recognised) is None


@unhurried
@given(passed=COUNTS, caught=COUNTS, recognised=COUNTS)
def test_a_corrected_rate_lies_within_its_interval_and_within_0_and_1(
    passed: tuple[int, int], caught: tuple[int, int], recognised: tuple[int, int]
) -> None:
    if found := corrected_rate(Share(*passed), caught=Share(*caught), recognised=Share(*recognised)):
        estimate, low, high = found
        assert 0 <= low <= estimate <= high <= 1


# ── two estimates of the same share ──────────────────────────────────────────────────────────────────────────────────


def test_of_two_estimates_the_narrower_one_counts_for_more() -> None:
    """Widths 0.1 and 0.2: weights 100 and 25, so 0.8 × 0.9 + 0.2 × 0.8."""
    assert together((0.9, 0.85, 0.95), (0.8, 0.7, 0.9))[0] == pytest.approx(0.88)


def test_two_equal_estimates_are_narrower_together_but_not_as_if_they_shared_nothing() -> None:
    """Half-widths of 0.1 with weights of a half: sqrt(0.05² + 0.05² + 2 × 0.25 × 0.05²) = 0.0791, where 0.0707 would be without."""
    estimate, low, high = together((0.5, 0.4, 0.6), (0.5, 0.4, 0.6))
    assert (estimate, low, high) == pytest.approx((0.5, 0.4209, 0.5791), abs=1e-4)
