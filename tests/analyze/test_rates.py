"""Every rate carries its interval; a pass rate is corrected for the judge's errors; agreement is told beside kappa."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lib.analyze.rates import Pairs, Share, corrected_rate, wilson_interval

COUNTS = st.integers(1, 5000).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total)))
CLOSE = 1e-12
unhurried = hypothesis_settings(deadline=None)  # the machine may be busy


# ── the interval ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("kept", "total", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_wilson_interval_is_that_of_newcombe(kept: int, total: int, low: float, high: float) -> None:
    """Newcombe 1998, Statistics in Medicine 17:857, table I, method 3."""
    assert wilson_interval(kept, total) == pytest.approx((low, high), abs=5e-5)


def test_four_kept_of_four_are_compatible_with_a_half() -> None:
    """By hand: low = n/(n + z²) = 4/7.8416."""
    assert wilson_interval(4, 4) == pytest.approx((0.5101, 1.0), abs=5e-5)


@unhurried
@given(counts=COUNTS)
def test_an_interval_holds_its_share_and_stays_within_0_and_1(counts: tuple[int, int]) -> None:
    (low, high), share = wilson_interval(*counts), counts[0] / counts[1]
    assert 0 <= low <= share + CLOSE
    assert share - CLOSE <= high <= 1


@unhurried
@given(counts=COUNTS)
def test_kept_and_not_kept_mirror_each_other(counts: tuple[int, int]) -> None:
    kept, total = counts
    (low, high), (other_low, other_high) = wilson_interval(kept, total), wilson_interval(total - kept, total)
    assert (low, high) == pytest.approx((1 - other_high, 1 - other_low), abs=CLOSE)


@unhurried
@given(counts=COUNTS, times=st.integers(2, 50))
def test_the_same_share_of_more_samples_has_a_narrower_interval(counts: tuple[int, int], times: int) -> None:
    (low, high), (closer_low, closer_high) = wilson_interval(*counts), wilson_interval(counts[0] * times, counts[1] * times)
    assert closer_high - closer_low < high - low


@unhurried
@given(counts=COUNTS)
def test_the_bounds_are_where_the_score_test_just_rejects(counts: tuple[int, int]) -> None:
    """What defines the interval (Wilson 1927): |share - p| = z·sqrt(p(1 - p)/n) at both of its ends."""
    kept, total = counts
    for bound in wilson_interval(kept, total):
        assert (kept / total - bound) ** 2 == pytest.approx(1.96**2 * bound * (1 - bound) / total, abs=1e-9)


@pytest.mark.parametrize(("kept", "total"), [(0, 0), (-1, 4), (5, 4), (0, -1)])
def test_what_is_no_share_has_no_interval(kept: int, total: int) -> None:
    with pytest.raises(ValueError, match="no share"):
        wilson_interval(kept, total)


def test_a_share_of_none_has_neither_rate_nor_interval() -> None:
    assert (Share(0, 0).rate, Share(0, 0).interval, str(Share(0, 0))) == (None, None, "none of 0")


def test_a_share_is_told_with_its_counts_or_shortly_without_them() -> None:
    assert str(Share(16, 16)) == "16 of 16, 100% (95 % interval 81% to 100%)"
    assert (Share(16, 16).short, Share(0, 0).short) == ("100% (81% to 100%)", "–")


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


# ── agreement ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_kappa_is_that_of_the_textbook() -> None:
    """20 yes/yes, 5 yes/no, 10 no/yes, 15 no/no: observed 0.7, by chance 0.5·0.6 + 0.5·0.4 = 0.5, kappa 0.4."""
    assert Pairs(20, 5, 10, 15).kappa == pytest.approx(0.4)


def test_at_a_high_base_rate_kappa_misleads() -> None:
    """96 of 100 agree, all on yes: chance alone gives 0.9608, so kappa is (0.96 - 0.9608)/0.0392 = -0.0204."""
    assert Pairs(96, 2, 2, 0).kappa == pytest.approx(-0.0204, abs=5e-5)


def test_kappa_says_nothing_where_both_always_say_the_same() -> None:
    assert Pairs(10, 0, 0, 0).kappa is None
    assert Pairs(0, 0, 0, 0).kappa is None
