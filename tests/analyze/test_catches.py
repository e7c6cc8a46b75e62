"""Planted failures beside their originals: a judge that can't tell good from bad catches nothing, whatever it drops."""

from random import Random

import pytest

from lib.analyze.catches import Catches, catches
from lib.analyze.rates import Pairs, Share
from lib.analyze.trust import trust
from lib.filter.faults import touched
from lib.settings import Settings
from tests.build import a_planted, a_rubric, a_sample, an_evaluation, rubrics_of, tables, write_run


def of_pairs(*pairs: tuple[bool | None, bool]) -> Catches:
    """Return the catches of pairs of (the original passes, the copy is caught)."""
    import pandas as pd

    rows = [("praise_only", caught, passes, caught) for passes, caught in pairs]
    return catches(
        pd.DataFrame(rows, columns=["spoiling", "caught", "original_passes", "touched_fails"]), kinds=("praise_only", "ban_broken")
    )


def test_a_copy_counts_as_caught_only_where_the_original_passes() -> None:
    found = of_pairs((True, True), (True, True), (True, False), (False, True), (False, False), (None, True))
    assert found.pairs == Pairs(both=1, only_first=2, only_second=1, neither=1)
    assert found.caught == Share(2, 3)
    assert found.unpaired == 1


@pytest.mark.parametrize("drops", [0.1, 0.5, 0.9])
def test_a_coin_has_a_paired_difference_of_about_0_however_much_it_drops(drops: float) -> None:
    """It "catches" 90 % when it drops 90 %, which is what the difference is there to show."""
    chance = Random(4)
    found = of_pairs(*[(chance.random() >= drops, chance.random() < drops) for _ in range(4_000)])
    assert found.caught.rate == pytest.approx(drops, abs=0.05)
    assert found.pairs.difference[0] == pytest.approx(0, abs=0.03)


def test_the_difference_stands_beside_with_its_interval_and_exact_p() -> None:
    """By hand: all 20 originals pass and none of the copies, so p = 2 / 2^20."""
    line = of_pairs(*[(True, True)] * 20).difference_line
    assert line.startswith("originals pass more often than their spoiled copies by 100 points (95 % interval")
    assert "p = 1.9e-06" in line


def test_where_all_originals_are_dropped_nothing_can_be_counted() -> None:
    found = of_pairs(*[(False, True)] * 20)
    assert "none can be counted, because the judge drops the originals too (20 originals)" in found.line
    assert found.dropped == Share(20, 20)


def test_every_kind_is_there_also_when_none_was_planted() -> None:
    assert of_pairs((True, True)).by_kind["ban_broken"].total == 0


# ── the criterion that the fault touches ─────────────────────────────────────────────────────────────────────────────

RUBRICS = (
    a_rubric("r1", weight=5, skill="identifies_misconception", dimension="truthfulness"),
    a_rubric("r2", weight=5, skill="asks_guiding_question", dimension="style_tone"),
    a_rubric("r3", weight=-5, skill="not_applicable", dimension="emotional_component"),
)


@pytest.mark.parametrize(
    ("spoiling", "ids"),
    [
        ("ban_broken", {"r3"}),
        ("misconception_affirmed", {"r1"}),
        ("factual_reversal", {"r1"}),
        ("condescension", {"r2", "r3"}),
        ("praise_only", {"r1"}),
        ("other_answer", {"r1"}),
    ],
)
def test_a_fault_touches_the_criteria_that_its_kind_tells(spoiling: str, ids: set[str]) -> None:
    assert touched(RUBRICS, spoiling) == ids  # type: ignore[arg-type]


def test_where_no_criterion_fits_the_kind_all_critical_ones_count() -> None:
    assert touched(rubrics_of(5, 5, 1), "factual_reversal") == {"r1", "r2"}


def test_a_criterion_fails_newly_when_the_original_meets_it(settings: Settings) -> None:
    """The copies of s1 and s2 fail r1, but s2's original fails it as well."""
    samples = [a_sample(name, rubrics=rubrics_of(5, 5, 5)) for name in ("s1", "s2")]
    evaluations = [an_evaluation(samples[0]), an_evaluation(samples[1], failed=["r1"])]
    found = tables(write_run(settings, samples, evaluations, planted=[a_planted(each, failed=["r1"]) for each in samples]))
    assert found.planted["newly_failed"].tolist() == ["r1", ""]
    assert found.planted["touched_fails"].tolist() == [True, False]


# ── grades and false alarms ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_judge_that_catches_only_plain_faults_is_told_so(settings: Settings) -> None:
    samples = [a_sample(f"s{number:02}") for number in range(32)]
    planted = [a_planted(one, "praise_only", failed=["r1"]) for one in samples[:16]] + [
        a_planted(one, "small_error") for one in samples[16:]
    ]
    lines = tables(write_run(settings, samples, [an_evaluation(one) for one in samples], planted=planted)).catches.grade_lines
    assert lines[0].startswith("plain faults caught: 16 of 16, 100%") and "subtle ones: 0 of 16, 0%" in lines[0]
    assert "misses subtle ones" in lines[1]


def test_with_one_grade_alone_nothing_is_compared() -> None:
    assert of_pairs((True, True)).grade_lines == []


def test_a_false_alarm_is_a_response_that_passes_and_is_dropped_in_another_form(settings: Settings) -> None:
    """Of 16 copies one is of an original that is dropped, and 3 of the other 15 are dropped: 12 of 15 hold."""
    samples = [a_sample(f"s{number:02}") for number in range(16)]
    evaluations = [an_evaluation(one, failed=["r1"] if number == 0 else []) for number, one in enumerate(samples)]
    copies = [a_planted(one, "layout", failed=["r1"] if number in (1, 2, 3) else []) for number, one in enumerate(samples)]
    found = tables(write_run(settings, samples, evaluations, planted=copies))
    assert (found.false_alarms.dropped, found.false_alarms.held) == (Share(3, 15), Share(12, 15))
    assert found.catches.pairs.total == 0, "harmless copies are no planted failures"


def test_false_alarms_take_the_place_of_a_judge_that_never_errs_in_the_corrected_rate(settings: Settings) -> None:
    """By hand: 16 of 20 pass, all 16 planted are dropped, 12 of 16 copies hold. theta = 0.8 / 0.75, which is more than 1, so it is 1."""
    samples = [a_sample(f"s{number:02}") for number in range(20)]
    evaluations = [an_evaluation(one, failed=["r1"] if number < 4 else []) for number, one in enumerate(samples)]
    planted = [a_planted(one, failed=["r1"]) for one in samples[4:]]
    harmless = [a_planted(one, "layout", failed=["r1"] if number < 4 else []) for number, one in enumerate(samples[4:])]
    with_them = trust(tables(write_run(settings, samples, evaluations, planted=[*planted, *harmless])))
    assert with_them.corrected and with_them.corrected[0] == 1.0
    assert with_them.good.assumptions[0].startswith("The share of good responses that the judge drops is taken from harmless copies")
    without = trust(tables(write_run(settings, samples, evaluations, planted=planted)))
    assert without.corrected and without.corrected[0] == 0.8
