"""Every rate carries its count and a Wilson interval, and is of the first pass where topping up would bias it."""

from typing import Any

import pandas as pd
import pytest

from lib.analyze.copy_rows import COPY_COLUMNS
from lib.analyze.groups import rates, worst_first
from lib.analyze.rows import SAMPLE_COLUMNS, SCENARIO_COLUMNS, VERDICT_COLUMNS
from lib.analyze.statistics import statistics
from lib.analyze.tables import Tables
from lib.analyze.trust import SAME_MODEL
from lib.run.manifest import Manifest, update_manifest
from lib.run.run import Run
from lib.settings import Settings
from tests.build import a_rubric, a_sample, an_evaluation, rubrics_of, tables, write_run

# ── rates by group ───────────────────────────────────────────────────────────────────────────────────────────────────


def these(samples: list[dict[str, Any]] | None = None, verdicts: list[dict[str, Any]] | None = None) -> Tables:
    """Return tables with these rows; what a row leaves out is missing."""
    planted = pd.DataFrame(columns=COPY_COLUMNS)
    made = pd.DataFrame([row | {"kept": row["status"] == "kept"} for row in samples or []], columns=SAMPLE_COLUMNS)
    scenarios, misstated = pd.DataFrame(columns=SCENARIO_COLUMNS), pd.DataFrame(columns=["id", "misstating", "caught"])
    frames = {"planted": planted, "harmless": planted, "scenarios": scenarios, "misstated": misstated, "responses": {}}
    return Tables(Run(Settings()), Manifest(), samples=made, verdicts=pd.DataFrame(verdicts or [], columns=VERDICT_COLUMNS), **frames)


TABLE = these(
    [
        {"subject": subject, "misconception_type": kind, "status": status}
        for subject, kind, status in (
            ("ecology", "overgeneralization", "kept"),
            ("ecology", "overgeneralization", "dropped"),
            ("ecology", "how_concepts_relate", "kept"),
            ("finance", "overgeneralization", "unjudged"),
            ("finance", "overgeneralization", "kept"),
        )
    ]
)


def test_keep_rate_is_kept_by_made_with_unjudged_samples_among_the_made() -> None:
    found = rates(TABLE, "subject")
    assert found[["subject", "made", "kept"]].to_numpy().tolist() == [["ecology", 3, 2], ["finance", 2, 1]]
    assert found["keep_rate"].tolist() == pytest.approx([2 / 3, 1 / 2])


def test_keep_rates_of_cells_are_by_both_names() -> None:
    found = rates(TABLE, "subject", "misconception_type")
    assert found.iloc[:, :4].to_numpy().tolist() == [
        ["ecology", "how_concepts_relate", 1, 1],
        ["ecology", "overgeneralization", 2, 1],
        ["finance", "overgeneralization", 2, 1],
    ]


def test_keep_rates_carry_their_interval() -> None:
    """0 of 20: Newcombe's example."""
    table = these([{"subject": "ecology", "status": "dropped"}] * 20)
    assert rates(table, "subject")[["low", "high"]].iloc[0].tolist() == pytest.approx([0, 0.1611], abs=5e-5)


def criteria(*rows: tuple[str, str, bool], critical: bool = True) -> list[dict[str, Any]]:
    about = {"id": "a", "criteria": "The response must name it.", "critical": critical}
    return [
        about | {"tutoring_skill": skill, "eval_dimension": dimension, "met": met, "why_not": "" if met else "It names nothing."}
        for skill, dimension, met in rows
    ]


def test_a_criterion_of_several_dimensions_counts_in_each() -> None:
    rows = criteria(("a", "truthfulness, style_tone", True), ("a", "truthfulness", False), ("a", "style_tone,truthfulness", True))
    found = {row["eval_dimension"]: (row["judged"], row["met"]) for row in rates(these(verdicts=rows), "eval_dimension").to_dict("records")}
    assert found == {"truthfulness": (3, 2), "style_tone": (2, 2)}


def test_the_criteria_that_fail_most_come_first() -> None:
    rows = criteria(("hard", "d", False), ("easy", "d", True), ("middle", "d", True), ("middle", "d", False))
    assert worst_first(these(verdicts=rows), "tutoring_skill")["tutoring_skill"].tolist() == ["hard", "middle", "easy"]


@pytest.mark.parametrize("by", ["subject", "level", "eval_dimension", "spoiling"])
def test_nothing_made_gives_an_empty_table_not_an_error(by: str) -> None:
    assert len(rates(these(), by)) == 0


# ── a run's statistics ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def of_four(settings: Settings) -> dict[str, Any]:
    """Kept, kept, dropped (2 of 4 critical pass), unjudged; quality scores 5, 4, 1."""
    samples = [a_sample(f"seed00{number}_var1", rubrics=rubrics_of(5, 5, 5, -5, 1)) for number in (1, 2, 3, 4)]
    evaluations = [
        an_evaluation(samples[0], quality_score=5, strengths=("concise", "warm_tone")),
        an_evaluation(samples[1], quality_score=4, strengths=("warm_tone",), failed=["r5"]),
        an_evaluation(samples[2], quality_score=1, weaknesses=("vague",), failed=["r1", "r4"]),
    ]
    return statistics(tables(write_run(settings, samples, evaluations)))


def test_made_is_kept_and_dropped_and_unjudged(of_four: dict[str, Any]) -> None:
    assert [of_four[f"{name}_samples"] for name in ("total", "kept", "removed", "unjudged")] == [4, 2, 1, 1]
    assert of_four["by_reason"] == {"ban_broken": 1, "not_judged": 1}


def test_keep_rate_is_of_the_made_and_the_judges_pass_rate_of_the_judged(of_four: dict[str, Any]) -> None:
    assert of_four["keep_rate"] == 0.5
    assert of_four["judge_pass_rate"] == pytest.approx(2 / 3, abs=1e-4)


def test_averages_are_over_the_judged(of_four: dict[str, Any]) -> None:
    """Critical pass rates 1, 1 and 2/4; scores 5, 4 and 1."""
    assert of_four["average_critical_pass_rate"] == pytest.approx(2.5 / 3, abs=1e-4)
    assert of_four["average_quality_score"] == pytest.approx(10 / 3, abs=1e-4)
    assert of_four["quality_score_distribution"] == {"1": 1, "2": 0, "3": 0, "4": 1, "5": 1}


def test_strengths_and_weaknesses_are_counted_most_frequent_first(of_four: dict[str, Any]) -> None:
    assert list(of_four["common_strengths"].items()) == [("warm_tone", 2), ("concise", 1)]
    assert of_four["common_weaknesses"] == {"vague": 1}


def test_what_nobody_judged_has_no_average(settings: Settings) -> None:
    found = statistics(tables(write_run(settings, [a_sample()])))
    assert (found["keep_rate"], found["judge_pass_rate"], found["average_quality_score"]) == (0.0, None, None)
    assert "average quality – of 5, average weighted score –" in str(found)


def test_the_average_quality_is_shown_where_bans_alone_leave_no_weighted_score(settings: Settings) -> None:
    sample = a_sample(rubrics=rubrics_of(-5, -5))
    found = statistics(tables(write_run(settings, [sample], [an_evaluation(sample, quality_score=4)])))
    assert "average quality 4.00 of 5, average weighted score –" in str(found)


def test_a_judge_that_judges_its_own_model_is_warned_of(settings: Settings) -> None:
    sample = a_sample(models={"scenario": "m", "gold": "m"})
    assert SAME_MODEL in statistics(tables(write_run(settings, [sample], [an_evaluation(sample, model="m")])))["warnings"]
    assert SAME_MODEL not in statistics(tables(write_run(settings, [sample], [an_evaluation(sample, model="n")])))["warnings"]


def test_a_very_high_keep_rate_is_warned_of_once_there_are_enough_samples(settings: Settings) -> None:
    samples = [a_sample(f"seed0{number}_var1") for number in range(10, 30)]
    assert any(
        "95%" in line
        for line in statistics(tables(write_run(settings, samples, [an_evaluation(sample) for sample in samples])))["warnings"]
    )
    assert statistics(tables(write_run(settings, samples[:4], [an_evaluation(sample) for sample in samples[:4]])))["warnings"] == []


def test_a_notice_of_the_embedded_model_stands_among_the_warnings(settings: Settings) -> None:
    update_manifest(Run(settings), "generation", values={"notice": "made by the embedded model"})
    assert "made by the embedded model" in statistics(tables(write_run(settings, [a_sample()])))["warnings"]


def test_statistics_of_two_dimensions_in_one_cell_are_by_dimension(settings: Settings) -> None:
    sample = a_sample(rubrics=[a_rubric(dimension="truthfulness, style_tone")])
    found = statistics(tables(write_run(settings, [sample], [an_evaluation(sample)])))
    assert {row["eval_dimension"] for row in found["by_criterion"]["eval_dimension"]} == {"truthfulness", "style_tone"}


# ── a run that was topped up ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def topped_up(settings: Settings) -> Tables:
    """In the first pass one of two is kept. The other is repaired and kept, and of three further samples two are kept."""
    origins = ("plan", "plan", "repair", "top_up", "top_up", "top_up")
    samples = [a_sample(f"s{number}", origin=origin) for number, origin in enumerate(origins)]
    return tables(write_run(settings, samples, [an_evaluation(each, failed=["r1"] if each.id in ("s1", "s5") else []) for each in samples]))


def test_counts_are_of_all_samples_and_the_first_pass_stands_beside_them(topped_up: Tables) -> None:
    found = statistics(topped_up)
    assert [found[f"{name}_samples"] for name in ("total", "kept", "removed")] == [6, 4, 2]
    assert found["keep_rate"] == pytest.approx(4 / 6, abs=1e-4)
    assert found["first_pass"] == {"made": 2, "kept": 1, "keep_rate": 0.5, "keep_rate_interval": [0.0945, 0.9055]}
    assert found["topped_up"]["added"] == {"made": 3, "kept": 2}
    assert found["topped_up"]["repaired"] == {"made": 1, "kept": 1}


def test_rates_by_group_by_criterion_and_of_the_judge_are_of_the_first_pass(topped_up: Tables) -> None:
    found = statistics(topped_up)
    assert [(row["made"], row["kept"]) for by in ("by_subject", "by_misconception_type", "by_cell") for row in found[by]] == [(2, 1)] * 3
    assert [(row["judged"], row["met"]) for row in found["by_criterion"]["tutoring_skill"]] == [(2, 1)]
    assert found["judge_pass_rate"] == found["judge"]["pass_rate"]["pass_rate"] == 0.5
    assert [step["left"] for step in found["funnel"]][-1] == 1


def test_rates_by_origin_are_of_all_samples(topped_up: Tables) -> None:
    assert {row["origin"]: (row["made"], row["kept"]) for row in statistics(topped_up)["by_origin"]} == {
        "plan": (2, 1), "repair": (1, 1), "top_up": (3, 2),
    }  # fmt: skip


def test_people_see_the_keep_rate_of_the_first_pass_and_a_line_for_the_top_up(topped_up: Tables) -> None:
    shown = str(statistics(topped_up)).splitlines()
    assert shown[:3] == [
        "6 made = 4 kept + 2 dropped + 0 unjudged",
        "keep rate of the first pass: 1 of 2, 50% (95 % interval 9% to 91%)",
        "topped up: 2 of 3 further samples and 1 of 1 repaired ones kept",
    ]


def test_a_run_that_was_not_topped_up_has_no_such_line(of_four: dict[str, Any]) -> None:
    assert of_four["topped_up"] is None
    assert of_four["first_pass"]["keep_rate"] == of_four["keep_rate"]
    assert "keep rate: 2 of 4" in str(of_four) and "first pass" not in str(of_four)
