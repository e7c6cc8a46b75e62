"""Before anything is paid for or replaced, what may not be meant is refused with the setting that says that it is."""

from pathlib import Path
from typing import Any

import pytest

from lib.errors import KitError
from lib.generate.estimate import Estimate, estimate
from lib.generate.guards import NotMeant
from lib.generate.inputs import Plan
from lib.generate.samples import generate_samples
from lib.generate.seeds import SeedFile, read_seeds
from lib.generate.topics import Topic, Topics
from lib.run.run import Run
from lib.settings import Settings
from tests.build import generate, kit_topics, make_run, seeds_of
from tests.provider import Provider


def refusal(settings: Settings, **changes: Any) -> str:
    with pytest.raises(KitError) as caught:
        generate(settings.model_copy(update=changes))
    return str(caught.value)


def estimated(settings: Settings) -> Estimate:
    return estimate(Run(settings), Plan(settings, seeds_of(settings.seeds_csv), kit_topics()))


# ── subjects ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_subjects_without_topics_are_refused_before_a_call_is_paid(provider: Provider, settings: Settings) -> None:
    said = refusal(settings, subjects=("physics", "math", "finance"))
    assert said.startswith("`subjects`: physics, math are not among the 28 subjects of this kit")
    assert "TOPICS_CSV" in said and "SUBJECTS_ANYWAY=true" in said
    assert not provider.requests


def test_they_are_used_when_that_is_said(provider: Provider, settings: Settings) -> None:
    changes = {"subjects": ("knitting",), "misconception_types": settings.misconception_types[:1], "subjects_anyway": True}
    assert generate(settings.model_copy(update=changes)).done == 6


def test_subjects_of_ones_own_with_topics_are_used(provider: Provider, settings: Settings, seed_file: SeedFile) -> None:
    topics: Topics = {"knitting": (Topic("purl"),)}
    plan = Plan(settings.model_copy(update={"subjects": ("knitting",)}), seed_file, topics)
    assert generate_samples(Run(plan.settings), plan).done == 6


# ── another plan ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"num_seeds": 1}, "num_seeds was 3 and is 1"),
        ({"samples_per_seed": 3}, "samples_per_seed was 2 and is 3"),
        ({"random_seed": 7}, "random_seed was 0 and is 7"),
        ({"subjects": ("finance", "ecology")}, "other subjects"),
    ],
)
def test_a_finished_plan_does_not_give_way_to_another(provider: Provider, settings: Settings, changes: dict[str, Any], why: str) -> None:
    generate(settings)
    before = Run(settings).generated.read_bytes()
    said = refusal(settings, **changes)
    assert f"holds 6 samples of another plan ({why})" in said and "REPLACE=true" in said
    assert Run(settings).generated.read_bytes() == before
    generate(settings.model_copy(update=changes | {"replace": True}))
    assert Run(settings).generated.read_bytes() != before


def test_a_plan_with_more_seeds_is_the_same_plan_and_pays_for_the_new_ones_only(provider: Provider, settings: Settings) -> None:
    generate(settings)
    assert generate(settings.model_copy(update={"num_seeds": 4})).asked == 4, "two samples of two calls"


def test_changed_seeds_make_another_plan(provider: Provider, settings: Settings, tmp_path: Path) -> None:
    own = tmp_path / "own.csv"
    own.write_bytes(Path(settings.seeds_csv).read_bytes())
    settings = settings.model_copy(update={"seeds_csv": str(own)})
    generate(settings)
    own.write_bytes(own.read_bytes().replace(b"e", b"i", 1))
    with pytest.raises(NotMeant, match="the seeds file is another one"):
        generate(settings, read_seeds(own))


def test_another_model_or_prompt_makes_the_same_plan_anew(provider: Provider, settings: Settings) -> None:
    generate(settings)
    assert generate(settings.model_copy(update={"model": "claude-haiku-5-5"})).done == 6


# ── money ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_run_that_would_cost_more_than_its_cap_is_refused_and_told_what_to_set(provider: Provider, settings: Settings) -> None:
    said = refusal(settings, num_seeds=40, budget_usd=2.0)
    assert "can't be finished within BUDGET_USD=2. It would cost $" in said and "Nothing was asked. Set BUDGET_USD=" in said
    assert not provider.requests


def test_a_cap_between_the_ends_of_the_estimate_is_taken(provider: Provider, settings: Settings) -> None:
    low, high = estimated(settings).cost_usd
    assert generate(settings.model_copy(update={"budget_usd": (low + high) / 2})).done == 6


def test_a_finished_run_is_replayed_whatever_the_cap(provider: Provider, settings: Settings) -> None:
    make_run(settings)
    assert generate(settings.model_copy(update={"budget_usd": 0.01})).asked == 0


def test_what_is_paid_already_is_not_asked_for_again(provider: Provider, settings: Settings) -> None:
    """The plan grows from six samples to eight."""
    make_run(settings)
    before, grown = estimated(settings), estimated(settings.model_copy(update={"num_seeds": 4}))
    assert before.left_usd[1] < 0.02 < before.cost_usd[1], "but for further votes where it is close, all is paid"
    assert 0 < grown.left_usd[0] < grown.cost_usd[0] / 2
    assert grown.spent_usd > 0 and "are spent" in str(grown)


def test_the_estimate_counts_the_calls_of_a_small_run_exactly(provider: Provider, settings: Settings) -> None:
    made, judged = make_run(settings)
    assert sum(stage.calls for stage in estimated(settings).stages) == made.asked + judged.asked


def test_scenarios_of_another_run_cost_nothing(provider: Provider, settings: Settings) -> None:
    generate(settings)
    again = settings.model_copy(update={"run": "again", "scenarios_from": "t"})
    assert [stage.stage for stage in estimated(again).stages if stage.stage in ("scenario", "verify")] == []


def test_the_time_is_that_of_the_calls_that_this_run_has_made(provider: Provider, settings: Settings) -> None:
    before = estimated(settings).minutes
    make_run(settings)
    assert estimated(settings).minutes[1] < 0.1 < before[1], "the provider of the tests answers at once"


def test_no_run_is_faster_than_the_calls_of_one_sample_in_a_row(provider: Provider, settings: Settings) -> None:
    """1,500, 400, 800 and 350 tokens at 100 a second, and a second before each: 16 + 5, then 9 and 4.5 for a spoiled copy."""
    wide = estimated(settings.model_copy(update={"max_concurrency": 5000}))
    assert wide.minutes[0] == pytest.approx((16 + 5 + 9 + (4.5 if any(stage.stage == "spoil" for stage in wide.stages) else 0)) / 60)


def test_replies_that_an_edited_prompt_makes_useless_are_not_counted_as_paid(
    provider: Provider, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(settings)
    monkeypatch.setattr("lib.generate.unpaid.template_sha256", lambda stage: "0" * 64)
    assert estimated(settings).left_usd[0] > 0
    assert "would cost $" in refusal(settings, budget_usd=0.3)


def test_replies_of_another_plan_are_not_counted_as_paid(provider: Provider, settings: Settings) -> None:
    make_run(settings)
    other = settings.model_copy(update={"random_seed": 9})
    assert estimated(other).left_usd[0] == pytest.approx(estimated(other).cost_usd[0])


def test_what_the_other_run_has_paid_is_free_for_a_run_with_its_scenarios(provider: Provider, settings: Settings) -> None:
    make_run(settings)
    again = settings.model_copy(update={"run": "again", "scenarios_from": "t", "budget_usd": 0.01})
    assert estimated(again).left_usd[0] == 0
    assert generate(again).asked == 0
