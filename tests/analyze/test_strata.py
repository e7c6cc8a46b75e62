"""Labels of samples that were drawn with known probabilities stand for all samples, whatever the judge says of those."""

import math
from dataclasses import replace

import numpy as np
import pytest

from lib.analyze.rates import mid_p_interval
from lib.analyze.strata import Stratum, labelled_rate, labels_to_halve, share_passed

CLEAR_PASS = Stratum(passes=True, is_divided=False, size=600, labelled=20, good=20)
DIVIDED_PASS = Stratum(passes=True, is_divided=True, size=200, labelled=20, good=15)
CLEAR_DROP = Stratum(passes=False, is_divided=False, size=150, labelled=10, good=1)
DIVIDED_DROP = Stratum(passes=False, is_divided=True, size=50, labelled=10, good=4)
STRATA = (CLEAR_PASS, DIVIDED_PASS, CLEAR_DROP, DIVIDED_DROP)


def test_each_label_weighs_as_many_samples_as_it_stands_for() -> None:
    """0.6 × 20/20 + 0.2 × 15/20 + 0.15 × 1/10 + 0.05 × 4/10 = 0.785. All labels alike would say 40/60."""
    found = labelled_rate(STRATA)
    assert found is not None
    assert found[0] == pytest.approx(0.785)
    assert found[1] < 0.785 < found[2]


def test_the_interval_of_one_stratum_is_its_own() -> None:
    found = labelled_rate([Stratum(passes=True, is_divided=False, size=1_000, labelled=50, good=45)])
    assert found is not None
    assert found == pytest.approx((0.9, *mid_p_interval(45, 50)))


def test_the_interval_of_several_is_put_together_from_theirs_and_from_that_of_their_sizes() -> None:
    """Below 0.75: 0.5 × (1 - 0.8609) and 0.5 × (0.5 - 0.2913), and 1.96 × 0.25/10 because 50 of 100 samples pass, squared and added."""
    half = Stratum(passes=False, is_divided=False, size=50, labelled=20, good=10)
    found = labelled_rate([Stratum(passes=True, is_divided=False, size=50, labelled=20, good=20), half])
    low_of_half = mid_p_interval(10, 20)[0]
    below = math.hypot(0.5 * (1 - 0.8609), 0.5 * (0.5 - low_of_half), 1.96 * 0.25 / 10)
    assert found is not None
    assert found[1] == pytest.approx(0.75 - below, abs=1e-4)


def test_a_stratum_with_few_labels_is_counted_with_the_other_one_of_the_same_verdict() -> None:
    """Of the 800 that pass 20 + 2 are labelled, and 21 of these are good."""
    few = Stratum(passes=True, is_divided=True, size=200, labelled=2, good=1)
    found = labelled_rate([CLEAR_PASS, few, CLEAR_DROP, DIVIDED_DROP])
    assert found is not None
    assert found[0] == pytest.approx(0.8 * 21 / 22 + 0.15 * 0.1 + 0.05 * 0.4)


@pytest.mark.parametrize("strata", [(), (Stratum(passes=True, is_divided=False, size=600, labelled=7, good=7),)])
def test_from_fewer_than_eight_labels_nothing_is_estimated(strata: tuple[Stratum, ...]) -> None:
    assert labelled_rate(strata) is None


def test_of_a_small_verdict_that_nobody_labelled_anything_is_possible_and_with_a_large_one_nothing_is_estimated() -> None:
    """0.96 × 20/20 + 0.04 × anything from 0 to 1, which is a half when one number must stand for it."""
    found = labelled_rate([replace(CLEAR_PASS, size=960), Stratum(passes=False, is_divided=False, size=40)])
    assert found is not None
    assert found[0] == pytest.approx(0.98)
    assert found[1] < 0.96 < 1 == found[2]
    assert labelled_rate([replace(CLEAR_PASS, size=900), Stratum(passes=False, is_divided=False, size=100)]) is None


def test_the_judges_sensitivity_is_weighted_in_the_same_way() -> None:
    """Good ones: 600 + 150 that pass, 15 + 20 that are dropped: 750/785. Unweighted it would be 35/40."""
    found = share_passed(STRATA)
    assert found is not None
    assert found.rate == pytest.approx(750 / 785)
    assert found.interval[0] < found.rate < found.interval[1]


def nine_of_ten_pass(good: list[int]) -> list[Stratum]:
    """Return strata of 900 that pass and 100 that don't, with 15 labels each, of which so many are good."""
    passing = Stratum(passes=True, is_divided=False, size=900, labelled=15, good=good[0])
    return [passing, Stratum(passes=False, is_divided=False, size=100, labelled=15, good=good[1])]


def test_a_stratum_without_a_bad_label_may_still_hold_bad_samples() -> None:
    """0 of 15 labelled ones are bad, so up to 18 % of the 900 that pass may be, which is more than all 14 of 15 of the 100 dropped ones."""
    found = share_passed(nine_of_ten_pass([15, 1]), of_good=False)
    assert found is not None
    assert found.rate == 0, "no bad one among the labelled ones passes"
    assert found.interval[1] > 0.6


@pytest.mark.parametrize("of_good", [True, False])
def test_what_the_judge_passes_of_good_and_of_bad_samples_lies_in_the_interval_in_95_of_100_simulated_runs(of_good: bool) -> None:
    """Of 900 that pass 5 % are bad, of 100 dropped ones 5 % are good. 15 of each are labelled."""
    chance, truth, held, runs = np.random.default_rng(5), 855 / 860 if of_good else 45 / 140, 0, 1_000
    for _ in range(runs):
        good = [int(chance.binomial(15, 0.95)), int(chance.binomial(15, 0.05))]
        strata = nine_of_ten_pass(good)
        found = share_passed(strata, of_good=of_good)
        held += found is None or found.interval[0] <= truth <= found.interval[1]
    assert held >= 0.95 * runs


def test_of_what_nobody_labelled_nothing_is_known() -> None:
    assert share_passed([Stratum(passes=True, is_divided=False, size=9)]) is None


def test_about_four_times_as_many_labels_halve_the_interval() -> None:
    """Of very many samples, the interval of 50 labels is halved by 200: 150 more."""
    further = labels_to_halve([Stratum(passes=True, is_divided=False, size=1_000_000, labelled=50, good=25)])
    assert further == pytest.approx(150, abs=15)


def test_where_all_samples_labelled_would_not_halve_it_no_number_is_named() -> None:
    assert labels_to_halve([Stratum(passes=True, is_divided=False, size=60, labelled=50, good=25)]) is None
