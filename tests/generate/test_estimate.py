"""What a run will take, and what of it is still to be paid, is known before anything is spent."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from lib.generate.estimate import Estimate, estimate
from lib.generate.inputs import Plan
from lib.generate.minutes import minutes, seconds_a_call, steps_of
from lib.generate.usage import StageEstimate
from lib.llm.ledger import Mean, means
from lib.prompts import rendering
from lib.prompts.rendering import Stage
from lib.run.run import Run
from lib.settings import Settings
from tests.build import generate, kit_topics, make_run, seeds_of
from tests.generate.test_verify import half_dropped
from tests.provider import Provider


@pytest.fixture
def whole(settings: Settings) -> Settings:
    """Settings for six samples with everything that a plan can ask for, but further votes."""
    return settings.model_copy(update={"verify_scenarios": True, "planted_share": 1.0, "control_share": 0.5})


def estimated(settings: Settings) -> Estimate:
    return estimate(Run(settings), Plan(settings, seeds_of(settings.seeds_csv), kit_topics()))


def planned(settings: Settings) -> dict[str, int]:
    return {stage.stage: stage.calls for stage in estimated(settings).stages}


def left(settings: Settings) -> dict[str, int]:
    return {stage.stage: stage.left[1] for stage in estimated(settings).stages if stage.left[1]}


def made(settings: Settings) -> dict[str, int]:
    """Return the calls that the run's journal holds."""
    with closing(sqlite3.connect(Run(settings).journal)) as connection:
        return dict(connection.execute("SELECT stage, COUNT(*) FROM reply WHERE stage != 'canary' GROUP BY stage"))


# ── calls ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("random_seed", range(3))
def test_as_many_calls_are_made_as_were_estimated(random_seed: int, provider: Provider, whole: Settings) -> None:
    """Of nine samples, three of them controls, and six planted failures, whose kinds the random seed deals."""
    settings = whole.model_copy(update={"random_seed": random_seed})
    expected = planned(settings)
    make_run(settings)
    assert made(settings) == expected


def test_a_planted_failure_that_the_kit_spoils_itself_needs_no_call(settings: Settings) -> None:
    """Seven failures are one of each kind, of which a model writes four. (With random seed 0, the first sample can't have its kind.)"""
    changes = {"num_seeds": 7, "samples_per_seed": 1, "planted_share": 1.0, "provider": "anthropic", "random_seed": 1}
    seven = settings.model_copy(update=changes)
    assert planned(seven) == {"scenario": 7, "gold": 7, "judge": 14, "spoil": 4}


def test_scenarios_of_another_run_are_not_asked_for(provider: Provider, whole: Settings) -> None:
    provider.settings.answer = half_dropped
    generate(whole)
    dropped = sum(1 for _ in Run(whole).dropped_scenarios.open())
    again = whole.model_copy(update={"run": "again", "scenarios_from": whole.run, "planted_share": 0.0})
    assert 0 < dropped < 9
    assert planned(again) == {"gold": 9 - dropped, "judge": 9 - dropped}
    make_run(again)
    assert planned(again).keys() == made(again).keys()


def test_slots_that_the_other_run_lacks_are_asked_for(provider: Provider, settings: Settings) -> None:
    generate(settings)
    larger = settings.model_copy(update={"run": "again", "num_seeds": 5, "scenarios_from": settings.run, "planted_share": 0.0})
    assert planned(larger) == {"scenario": 4, "gold": 10, "judge": 10}


def test_the_ids_are_those_of_the_plans_slots(whole: Settings) -> None:
    plan = Plan(whole, seeds_of(whole.seeds_csv), kit_topics())
    assert [*plan.ids, *plan.control_ids] == [slot.id for slot in plan]


# ── what is still to be paid ─────────────────────────────────────────────────────────────────────────────────────────


def test_before_a_run_all_of_its_cost_is_left(settings: Settings, provider: Provider) -> None:
    found = estimated(settings)
    assert found.left_usd == pytest.approx(found.cost_usd) and found.left_usd[0] > 0
    assert found.spent_usd == 0


def test_after_a_run_nothing_is_left(provider: Provider, whole: Settings) -> None:
    make_run(whole)
    found = estimated(whole)
    assert found.left_usd == (0, 0)
    assert found.spent_usd > 0


def test_after_notebook_1_judging_is_left(provider: Provider, whole: Settings) -> None:
    expected = planned(whole)
    generate(whole)
    assert left(whole) == {stage: expected[stage] for stage in ("judge", "spoil")}


def test_a_larger_plan_leaves_what_is_new(provider: Provider, settings: Settings) -> None:
    make_run(settings)
    larger = settings.model_copy(update={"num_seeds": 5, "planted_share": 0.0})
    assert left(larger) == {"scenario": 4, "gold": 4, "judge": 4}


def test_what_the_verifier_dropped_needs_no_more_calls(provider: Provider, whole: Settings) -> None:
    provider.settings.answer = half_dropped
    settings = whole.model_copy(update={"min_call_success": 0.0})
    make_run(settings)
    assert 0 < made(settings)["gold"] < 9
    assert left(settings) == {}


def test_what_a_model_refused_needs_no_more_calls(provider: Provider, settings: Settings) -> None:
    provider.settings.faults = {"refusal": 0.3}
    settings = settings.model_copy(update={"min_call_success": 0.0, "planted_share": 0.0})
    make_run(settings)
    assert made(settings)["judge"] < 6
    assert left(settings) == {}


def test_an_answer_that_could_not_be_used_is_still_to_be_paid(provider: Provider, settings: Settings) -> None:
    settings = settings.model_copy(update={"min_call_success": 0.0, "planted_share": 0.0})
    provider.settings.fault_for = lambda request, _attempt: "invalid_json" if "verdicts" not in str(request.schema) else None
    generate(settings)
    assert left(settings) == {"scenario": 6, "gold": 6, "judge": 6}


@pytest.mark.parametrize(
    ("changes", "stages"),
    [
        ({"judge_model": "claude-haiku-4-5"}, {"judge"}),
        ({"judge_effort": "high"}, {"judge"}),
        ({"gold_effort": "high"}, {"gold", "spoil", "judge"}),
        ({"random_seed": 1}, {"scenario", "gold", "spoil", "judge"}),
        ({"max_tokens": 4_000, "budget_usd": 7.0}, set()),
    ],
)
def test_replies_to_what_is_no_longer_asked_do_not_count(
    changes: dict[str, object], stages: set[str], provider: Provider, settings: Settings
) -> None:
    settings = settings.model_copy(update={"planted_share": 1.0})
    make_run(settings)
    assert set(left(settings.model_copy(update=changes))) == stages


def test_after_an_edit_of_the_judges_prompt_its_verdicts_are_to_be_paid_again(
    provider: Provider, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings.model_copy(update={"planted_share": 0.0})
    make_run(settings)
    folder = tmp_path / "prompts"
    folder.mkdir()
    for path in rendering.TEMPLATES.glob("*.md"):
        (folder / path.name).write_text(path.read_text("utf-8") + ("\nBe strict.\n" if path.name == "judge_system.md" else ""), "utf-8")
    monkeypatch.setattr(rendering, "TEMPLATES", folder)
    assert left(settings) == {"judge": 6}


def test_what_is_left_decides_whether_the_budget_may_end_first() -> None:
    stage = StageEstimate("gold", "m", 10, 0, (0, 0), (4.0, 8.0), least=10, left=(5, 5))
    found = Estimate((stage,), (1, 1), "", is_local=False, samples=10, budget_usd=7.0, spent_usd=3.0)
    assert found.left_usd == (2.0, 4.0)
    assert found.remarks == []
    assert "budget_usd = 6.9 may not be enough" in replace(found, budget_usd=6.9).remarks[0]


# ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

SECONDS: dict[Stage, tuple[float, float]] = {
    "scenario": (20, 40), "verify": (10, 20), "gold": (10, 20), "misstate": (5, 10), "spoil": (5, 10), "judge": (10, 20),
    "criterion": (5, 10),
}  # fmt: skip


def calls_of(**calls: int) -> dict[Stage, int]:
    return {stage: calls.get(stage, 0) for stage in SECONDS}


def test_many_calls_take_as_long_as_they_do_side_by_side() -> None:
    """(300 × 20 + 300 × 10 + 300 × 10) ÷ 10 = 1,200 s, and 300 × 10 ÷ 10 = 300 s, together 25 minutes."""
    calls = calls_of(scenario=300, verify=300, gold=300, judge=300)
    assert minutes(calls, SECONDS, steps=steps_of(calls, judges_again=False), widths=dict.fromkeys(calls, 10)) == (25, 50)


def test_few_calls_take_as_long_as_those_of_one_sample_one_after_the_other() -> None:
    """A sample waits for 20 + 10 + 10 + 5 + 10 (the copy is verified too) and then for 5 + 10 + 10 (judged again) seconds: 80 s."""
    calls = calls_of(scenario=3, verify=4, gold=3, misstate=1, spoil=1, judge=5)
    low, high = minutes(calls, SECONDS, steps=steps_of(calls, judges_again=True), widths=dict.fromkeys(calls, 50))
    assert (low * 60, high * 60) == (80, 160)


def test_measured_seconds_take_the_place_of_the_usual_ones() -> None:
    usual: dict[Stage, tuple[float, float]] = {"gold": (400, 3_000), "judge": (800, 2_500)}
    found = seconds_a_call(usual, seen={"gold": Mean(500, seconds=8.0), "judge": Mean(500, seconds=0.0)}, local=())
    assert found["gold"] == pytest.approx((6.4, 10)), "four fifths to five quarters of 8 s"
    assert found["judge"] == pytest.approx((1 + 8, 1 + 2_500 / 60)), "a batch's reply has no seconds of its own"


def test_the_mean_seconds_are_those_of_live_calls(provider: Provider, settings: Settings) -> None:
    generate(settings)
    with closing(sqlite3.connect(Run(settings).journal)) as connection, connection:
        connection.execute("UPDATE reply SET seconds = CASE slot WHEN 'seed001_var1' THEN 3 WHEN 'seed002_var1' THEN 5 ELSE 0 END")
    found = means(Run(settings).journal)
    assert found["scenario", settings.model].seconds == 4
    assert "tokens and time as measured in this run" in str(estimated(settings))


def test_in_batches_the_time_is_that_of_batches_that_wait_for_one_another(settings: Settings) -> None:
    """For scenario, response, spoiled copy and verdict."""
    batched = settings.model_copy(update={"mode": "batch", "provider": "anthropic", "planted_share": 1.0})
    assert "4 batches one after the other" in str(estimated(batched))


@pytest.mark.parametrize(
    ("span", "text"),
    [
        ((0.1, 0.4), "less than a minute"),
        ((0.4, 1.2), "up to 1 minute "),
        ((0.6, 1.2), "about 1 minute "),
        ((3.6, 8.2), "about 4 to 8 minutes"),
        ((900, 1_500), "about 15 to 25 hours"),
    ],
)
def test_the_time_is_shown_in_a_unit_that_one_can_grasp(span: tuple[float, float], text: str) -> None:
    assert text in str(Estimate((), span, "", is_local=True, samples=1, budget_usd=1.0))


def test_one_sample_and_one_call_are_shown_in_the_singular() -> None:
    stage = StageEstimate("gold", "m", 1, 0, (0, 0), (1.0, 2.0), least=1, left=(1, 1))
    assert str(Estimate((stage,), (1, 1), "", is_local=False, samples=1, budget_usd=9.0)).startswith("1 sample: 1 call, $1.00 to $2.00")
