"""Every rate carries its interval, and agreement is told beside kappa."""

import math

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lib.analyze.rates import Pairs, Share, mid_p_interval, wilson_interval

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


def test_the_mid_p_interval_of_no_hits_is_the_one_in_closed_form() -> None:
    """Half of (1 - p)^20 is 0.025 where p = 1 - 0.05^(1/20) = 0.1391, and the same turned round for 20 of 20."""
    assert mid_p_interval(0, 20) == pytest.approx((0, 0.1391), abs=1e-4)
    assert mid_p_interval(20, 20) == pytest.approx((0.8609, 1), abs=1e-4)


def test_the_mid_p_interval_is_the_one_at_whose_ends_the_tail_and_half_of_the_middle_are_one_fortieth() -> None:
    low, high = mid_p_interval(47, 50)
    for share, beyond in ((low, range(48, 51)), (high, range(47))):
        terms = [math.comb(50, count) * share**count * (1 - share) ** (50 - count) for count in (*beyond, 47)]
        assert sum(terms) - terms[-1] / 2 == pytest.approx(0.025, abs=1e-6)


def test_of_many_it_is_wilsons() -> None:
    assert mid_p_interval(560, 600) == wilson_interval(560, 600)
    for exact, wilson in zip(mid_p_interval(450, 500), wilson_interval(450, 500), strict=True):
        assert exact == pytest.approx(wilson, abs=2e-3)


def test_a_share_of_none_has_neither_rate_nor_interval() -> None:
    assert (Share(0, 0).rate, Share(0, 0).interval, str(Share(0, 0))) == (None, None, "none of 0")


def test_a_share_is_told_with_its_counts_or_shortly_without_them() -> None:
    assert str(Share(16, 16)) == "16 of 16, 100% (95 % interval 81% to 100%)"
    assert (Share(16, 16).short, Share(0, 0).short) == ("100% (81% to 100%)", "–")


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
