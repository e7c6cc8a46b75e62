"""The conclusions are sentences whose numbers come from the tables, and they name one next step."""

import re
from collections.abc import Sequence
from typing import Any

import pytest

from lib.analyze.conclusions import Conclusions, conclusions
from lib.analyze.losses import failing_criteria, to_read
from lib.analyze.next_step import ADVICE
from lib.run.manifest import update_manifest
from lib.run.run import Run
from lib.schema import Decision, Sample
from lib.settings import PROJECT_ROOT, Settings
from tests.analyze.test_statistics import criteria, these
from tests.build import a_planted, a_sample, an_evaluation, rubrics_of, tables, write_run


def made(count: int, **about: Any) -> list[Sample]:
    """Return samples of two subjects in turn, with two critical criteria each."""
    return [a_sample(f"s{n:02}", rubrics=rubrics_of(5, 5), subject=("ecology", "finance")[n % 2], **about) for n in range(count)]


def of(
    settings: Settings,
    samples: Sequence[Sample],
    *,
    failed: Sequence[str] = (),
    caught: int = 16,
    planted: int = 16,
    judge: str = "judge-1",
) -> Conclusions:
    """Return the conclusions on a run of these samples, of which those in `failed` fail a criterion."""
    evaluations = [an_evaluation(each, failed=["r1"] if each.id in failed else [], model=judge) for each in samples]
    last = list(samples)[::-1][:planted][::-1]  # those that pass, where some fail
    copies = [a_planted(each, failed=["r1"] if number < caught else []) for number, each in enumerate(last)]
    write_run(settings, samples, evaluations, planted=copies)
    update_manifest(Run(settings), "judging", values={"planted": {"total": len(copies)}})
    return conclusions(tables(settings))


def ids(*numbers: int) -> list[str]:
    return [f"s{number:02}" for number in numbers]


# ── subjects and kinds ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_subject_that_differs_is_named_with_its_counts_and_the_error_rate(settings: Settings) -> None:
    """Finance has the odd numbers: 6 of 20 kept, and 20 of 20 of ecology."""
    found = of(settings, made(40), failed=ids(*range(1, 28, 2))).groups
    assert "Kept less often: Finance (6 of 20 kept, of the rest 20 of 20, adjusted p < 0.001)" in found
    assert "Kept more often: Ecology" in found
    assert "at most 5% over all 2 comparisons together (Holm's method)" in found


def test_where_none_differs_it_says_what_would_have_been_seen(settings: Settings) -> None:
    """Of 40 with 20 kept, a subject of 20 needs p <= 0.025: at most 6 (p = 0.026 for one more would be too much) or at least 14."""
    found = of(settings, made(40), failed=ids(*range(0, 20))).groups
    assert "None of the 2 subjects differs from the rest by more than chance." in found
    assert re.search(r"A subject of 20 samples would have stood out with at most [56] or at least 1[45] of them kept, where 10 are", found)


def test_too_few_samples_are_not_compared(settings: Settings) -> None:
    assert of(settings, made(4)).groups == "4 samples are too few to compare subjects or kinds."


def test_where_all_are_kept_nothing_can_differ(settings: Settings) -> None:
    assert of(settings, made(40)).groups == "All samples are kept, so no subject and no kind differs from the rest."


# ── the judge ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_judge_is_told_by_what_it_caught_and_by_the_corrected_rate(settings: Settings) -> None:
    """Three quarters pass, 16 of 16 caught: nothing to correct in the estimate."""
    found = of(settings, made(40), failed=ids(*range(10))).judge
    assert "Of the planted failures whose original it passes it caught 16 of 16, 100% (95 % interval 81% to 100%)" in found
    assert "The judge passes 75.0%; corrected for its errors 75.0%" in found
    assert found.endswith("This assumes that it passes every good response.")


@pytest.mark.parametrize(
    ("planted", "says"),
    [(0, "Nothing is known of it, because no failure was planted and judged."), (3, "At least 16 must be planted to tell how good it is.")],
)
def test_where_nothing_can_be_told_of_the_judge_it_says_why(planted: int, says: str, settings: Settings) -> None:
    assert says in of(settings, made(40), planted=planted).judge


# ── losses ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_step_that_loses_most_is_named_with_three_samples_to_read(settings: Settings) -> None:
    found = of(settings, made(40), failed=ids(*range(10))).losses
    assert "30 of 40 are kept. The step that loses most is “critical rubrics failed”, with 10 of 10 lost samples." in found
    assert "Of the critical criteria, those on identifies misconception fail most often: 10 of 80." in found
    assert found.endswith("Read s00, s01, s02.")


def test_samples_to_read_are_first_of_all_those_in_which_the_skill_fails() -> None:
    samples = [{"id": name, "status": "dropped", "reason": "low_quality"} for name in "abcd"]
    verdicts = [
        row | {"id": name} for name, row in zip("acd", criteria(("x", "d", False), ("y", "d", False), ("x, y", "d", False)), strict=True)
    ]
    assert to_read(these(samples, verdicts), "low_quality", skill="y") == ["c", "d", "a"]


def test_what_a_gate_drops_is_told_without_the_judges_criteria(settings: Settings) -> None:
    samples = made(40)
    gated = [Decision(id=each.id, status="dropped", reason="length_far_off") for each in samples[:5]]
    write_run(settings, samples, [an_evaluation(each) for each in samples[5:]], gated=gated)
    found = conclusions(tables(settings)).losses
    assert found == "35 of 40 are kept. The step that loses most is “length far off”, with 5 of 5 lost samples. Read s00, s01, s02."


def test_where_nothing_is_lost_it_says_so(settings: Settings) -> None:
    assert of(settings, made(40)).losses == "Nothing was lost of 40 samples."


def test_the_skills_whose_criteria_fail_most_often_come_first_not_the_first_in_the_file() -> None:
    rows = criteria(("example", "d", False), ("often", "d", False), ("often", "d", False), ("often", "d", True), ("never", "d", True))
    found = failing_criteria(these(verdicts=rows))
    assert [(row["criteria on"], row["not met"]) for row in found] == [("often", "2 of 3"), ("example", "1 of 1")]
    assert (found[0]["for example"], found[0]["the judge"]) == ("a", "It names nothing.")


def test_what_was_topped_up_is_in_no_conclusion(settings: Settings) -> None:
    """All 40 of the first pass are kept. What was added later is dropped."""
    later = [a_sample(f"later{number}", rubrics=rubrics_of(5, 5), origin="top_up") for number in range(9)]
    found = of(settings, [*made(40), *later], failed=[each.id for each in later])
    assert (found.losses, found.rows()) == ("Nothing was lost of 40 samples.", [])


def test_lines_are_short_but_a_command_stays_on_one_line(settings: Settings) -> None:
    lines = str(of(settings, made(40), failed=ids(*range(30)))).splitlines()
    commands = [line for line in lines if line.startswith("  ")]
    assert len(commands) == 1 and commands[0].startswith("  make rerun FROM=") and commands[0].endswith("COMPARE_WITH=t")
    assert max(len(line) for line in lines if line not in commands) <= 110


# ── what to do next ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_few_samples_call_for_more_with_the_number_of_seeds(settings: Settings) -> None:
    """Two samples a seed: 50 seeds make 100."""
    found = of(settings, made(4)).next_step
    assert found.startswith("Make about 100 samples, because 4 are too few") and found.endswith(" RUN=t NUM_SEEDS=50")


def test_a_judge_that_judges_its_own_model_is_to_be_replaced(settings: Settings) -> None:
    assert "JUDGE_MODEL=<another model>" in of(settings, made(40), judge="writer-1").next_step


def test_a_judge_of_whom_nothing_is_known_is_to_be_measured(settings: Settings) -> None:
    assert "PLANTED_SHARE=0.05" in of(settings, made(40), planted=0).next_step


def test_a_judge_that_catches_too_little_is_to_be_replaced(settings: Settings) -> None:
    assert of(settings, made(40), caught=12).next_step.endswith("JUDGE_MODEL=<a stronger model>")


def test_a_low_keep_rate_calls_for_another_prompt_and_a_comparison(settings: Settings) -> None:
    found = of(settings, made(40), failed=ids(*range(30))).next_step
    assert "Only 10 of 40 are kept." in found and "edit lib/prompts/gold_system.md" in found
    assert "RUN=t_2 COMPARE_WITH=t" in found


def test_the_advice_never_suggests_a_lower_threshold(settings: Settings) -> None:
    """Four of five would let replies pass that turn the facts round."""
    assert "threshold" not in of(settings, made(40), failed=ids(*range(30))).next_step.lower()


def test_where_nearly_all_are_kept_somebody_is_to_read_a_dozen(settings: Settings) -> None:
    assert of(settings, made(40)).next_step.startswith("Nearly everything is kept. Read a dozen kept samples")


def test_a_run_in_order_is_to_be_validated_and_labelled(settings: Settings) -> None:
    found = of(settings, made(40), failed=ids(*range(8))).next_step
    assert "make validate RUN=t" in found and "label 30 samples" in found and "make review RUN=t" in found


def test_a_run_of_the_embedded_model_calls_for_another_model_before_all_else(settings: Settings) -> None:
    update_manifest(Run(settings), "generation", values={"notice": "made by the embedded model"})
    found = of(settings, made(4))
    assert "ANTHROPIC_API_KEY" in found.next_step
    assert found.judge == "Nothing can be said of it. made by the embedded model"


def test_every_setting_and_file_that_the_advice_names_exists(settings: Settings) -> None:
    advice = " ".join([*ADVICE.values(), of(settings, made(40), failed=ids(*range(30))).next_step])
    named = {name.lower() for name in re.findall(r"\b[A-Z]+_[A-Z_]+\b", advice)}
    assert named and named <= set(Settings.model_fields)
    assert all((PROJECT_ROOT / path).exists() for path in re.findall(r"(?:lib|data)/[\w/.]+\w", advice))
