"""A scenario is verified before its response is paid for: what is wrong is dropped with its reason, and the verifier itself is measured."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from lib.analyze.verifier import verifier
from lib.commands.summary import summary
from lib.filter.topup import TopUp, top_up_samples
from lib.generate.estimate import estimate
from lib.generate.inputs import Plan
from lib.generate.verify import DROP_REASONS
from lib.llm.tally import RunFailed
from lib.prompts.answers import Kind, VerificationAnswer
from lib.prompts.rendering import verify_prompt
from lib.run.records import dropped_scenarios, made_samples, planted_explanations
from lib.run.run import Run
from lib.settings import Settings
from lib.taxonomy import MISCONCEPTION_TYPES
from tests.answers import CRITERION, MISTAKEN, RESPONSE, Request, answer_text, draw
from tests.build import a_scenario, a_slot, count, filter_run, generate, kit_topics, make_run, seeds_of, tables, validate_run
from tests.provider import Provider

Change = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.fixture
def verified(settings: Settings) -> Settings:
    """Settings for six samples of three calls each."""
    return settings.model_copy(update={"verify_scenarios": True, "planted_share": 0.0})


def verifier_that(change: Change) -> Callable[[Request], dict[str, Any] | None]:
    """Answer as the stand-in does, but change each verification."""

    def answer(request: Request) -> dict[str, Any] | None:
        if "own_answer" not in (request.schema or {})["properties"]:
            return None
        found: dict[str, Any] = json.loads(answer_text(request, p_true=1.0))
        return found | change(found)

    return answer


def unfair(*numbers: int) -> Change:
    """Return a change that finds these criteria unfair, by their place."""
    return lambda found: {
        "criteria": [
            each | {"fair": number not in numbers, "problem": "too much" if number in numbers else ""}
            for number, each in enumerate(found["criteria"])
        ]
    }


# ── what passes and what is dropped ──────────────────────────────────────────────────────────────────────────────────


def test_a_sample_takes_three_calls_of_which_the_second_goes_to_another_model(provider: Provider, verified: Settings) -> None:
    assert generate(verified).done == 6
    assert Counter(request.body["model"] for request in provider.requests if request.body) == {
        verified.model: 12,
        verified.verifier_model: 6,
    }
    found = [sample.metadata.verification for sample in made_samples(Run(verified))]
    assert all(each and each.equations == 1 and each.model == verified.verifier_model for each in found)


def test_the_verifier_is_told_neither_the_kind_nor_severities_nor_the_misconception() -> None:
    slot, scenario = a_slot(misconception_type="overgeneralization"), a_scenario(misconception="counts money already spent")
    kinds = {slot.model_copy(update={"misconception_type": kind.id}) for kind in MISCONCEPTION_TYPES}
    prompts = {verify_prompt(each, scenario, rubrics=()) for each in kinds}
    (prompt,) = prompts
    assert not any(word in prompt.user for word in ("counts money already spent", "critical", "overgeneralization"))


def test_the_verifier_can_name_every_kind_and_none() -> None:
    assert set(Kind.__args__) == {kind.id for kind in MISCONCEPTION_TYPES} | {"no_misconception"}  # type: ignore[attr-defined]
    assert VerificationAnswer.model_fields["own_answer"] is next(iter(VerificationAnswer.model_fields.values())), "it solves first"


@pytest.mark.parametrize(
    ("change", "reason", "says"),
    [
        ({"explanation_right": False, "explanation_problem": "the sign"}, "wrong_explanation", "the sign"),
        ({"explanation_agrees": False, "own_answer": "It is 7."}, "wrong_explanation", "own answer differs: It is 7."),
        ({"equations": [{"expression": "6*7", "claimed": "41", "tolerance": 0.0}]}, "wrong_number", "6*7 is not 41"),
        ({"beliefs": "unclear"}, "no_definite_belief", "unclear"),
        ({"beliefs": "several", "belief": "A, B"}, "no_definite_belief", "several (A, B)"),
        ({"beliefs": "none", "kind": "no_misconception"}, "no_definite_belief", "none"),
        ({"kind": "no_misconception"}, "other_kind", "No misconception"),
    ],
)
def test_each_fault_drops_the_scenario_with_its_reason_before_its_response_is_paid_for(
    provider: Provider, verified: Settings, change: dict[str, Any], reason: str, says: str
) -> None:
    provider.settings.answer = verifier_that(lambda _: change)
    with pytest.raises(RunFailed, match=f"The verifier dropped all 6 scenarios \\({reason}\\)"):
        generate(verified)
    dropped = list(dropped_scenarios(Run(verified)))
    assert {(one.reason, says in one.detail) for one in dropped} == {(reason, True)} and len(dropped) == 6
    assert provider.calls == 12
    assert reason in DROP_REASONS


def test_an_equation_that_cannot_be_calculated_drops_nothing_and_is_counted(provider: Provider, verified: Settings) -> None:
    odd = [{"expression": "the sum of all", "claimed": "7", "tolerance": 0.0}, {"expression": "3*4", "claimed": "12", "tolerance": 0.0}]
    provider.settings.answer = verifier_that(lambda _: {"equations": odd})
    generate(verified)
    found = [sample.metadata.verification for sample in made_samples(Run(verified))]
    assert {(each.equations, each.not_computed) for each in found if each} == {(1, 1)}


def test_an_unfair_criterion_is_taken_out_where_five_good_ones_stay(provider: Provider, verified: Settings) -> None:
    provider.settings.answer = verifier_that(unfair(5))
    generate(verified)
    for sample in made_samples(Run(verified)):
        assert sample.metadata.verification and len(sample.metadata.verification.criteria_removed) == 1
        assert len(sample.metadata.rubrics) >= 5 and "r6" not in [rubric.id for rubric in sample.metadata.rubrics]


@pytest.mark.parametrize("numbers", [(0, 1, 2), (0, 1, 2, 3)])
def test_where_too_few_good_criteria_stay_the_scenario_is_dropped(provider: Provider, verified: Settings, numbers: tuple[int, ...]) -> None:
    """At most eight criteria: without three critical ones only two of weight 5 or -5 are left."""
    provider.settings.answer = verifier_that(unfair(*numbers))
    with pytest.raises(RunFailed, match="unfair_criteria"):
        generate(verified)
    assert "r1: too much" in next(dropped_scenarios(Run(verified))).detail


def test_an_id_that_is_missing_from_the_verification_is_asked_for_once_more(provider: Provider, verified: Settings) -> None:
    provider.settings.answer = verifier_that(lambda found: {"criteria": found["criteria"][1:]})
    settings = verified.model_copy(update={"min_call_success": 0.0})
    failures = generate(settings).failures
    assert {(one.stage, one.reason) for one in failures} == {("verify", "invalid_answer")}
    assert "criteria missing for ['r1']" in failures[0].detail
    assert provider.calls == 18


# ── the counts ───────────────────────────────────────────────────────────────────────────────────────────────────────


def half_dropped(request: Request) -> dict[str, Any] | None:
    """Answer as the stand-in does, but find the explanations of half of the scenarios wrong."""
    return verifier_that(lambda found: {"explanation_right": len(found["own_answer"]) % 2 == 0, "explanation_problem": "wrong"})(request)


@pytest.fixture
def half(provider: Provider, verified: Settings) -> Settings:
    provider.settings.answer = half_dropped
    settings = verified.model_copy(update={"num_seeds": 6})
    made = generate(settings)
    filter_run(settings)
    assert made.done and sum(made.dropped.values()) and made.done + sum(made.dropped.values()) == 12
    return settings


def test_dropped_scenarios_are_no_failures_and_stand_in_the_funnel(half: Settings) -> None:
    found, dropped = count(half), len(list(dropped_scenarios(Run(half))))
    assert found["funnel"][0] == {"step": "wrong_explanation", "samples": 12, "dropped": dropped, "left": 12 - dropped}
    assert found["total_samples"] == 12 - dropped
    assert found["verifier"]["dropped"] == {"wrong_explanation": dropped}
    assert (found["verifier"]["verified"], found["verifier"]["passed"]) == (12, 12 - dropped)


def test_the_summary_adds_them_up(half: Settings) -> None:
    dropped = len(list(dropped_scenarios(Run(half))))
    validate_run(half)
    assert f"12 planned = {12 - dropped} made + {dropped} dropped by the verifier + 0 failed" in summary(Run(half))


def test_the_same_run_again_pays_nothing_and_writes_the_same_files(half: Settings, provider: Provider) -> None:
    run, calls = Run(half), provider.calls
    before = run.generated.read_bytes(), run.dropped_scenarios.read_bytes()
    generate(half)
    assert (run.generated.read_bytes(), run.dropped_scenarios.read_bytes(), provider.calls) == (*before, calls)


# ── the verifier is measured ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def planted(verified: Settings) -> Settings:
    """Settings for twenty samples. A quarter more than sixteen, so all of them, have their explanation verified in a wrong copy too."""
    return verified.model_copy(update={"num_seeds": 10, "planted_share": 0.05})


def test_explanations_made_wrong_on_purpose_measure_the_verifier(provider: Provider, planted: Settings) -> None:
    generate(planted)
    copies = planted_explanations(Run(planted))
    assert len(copies) == 20 and all(copy.explanation.startswith(MISTAKEN) for copy in copies)
    assert Counter(copy.misstating for copy in copies) == {"wrong_number": 10, "wrong_claim": 10}
    assert {copy.reason for copy in copies} == {"wrong_explanation"}
    filter_run(planted)
    found = verifier(tables(planted))
    assert sum(share.hits for share in found.caught.values()) == 20
    assert "wrong explanations caught by the verifier: 20 of 20, 100%" in str(found) and not found.warnings


def test_a_verifier_that_passes_everything_is_seen_for_what_it_is(provider: Provider, planted: Settings) -> None:
    provider.settings.answer = verifier_that(lambda _: {"explanation_right": True, "explanation_agrees": True})
    generate(planted)
    filter_run(planted)
    found = verifier(tables(planted))
    assert found.passed.hits == found.passed.total == 20
    assert any("caught only 0 of 20 wrong explanations" in warning for warning in count(planted)["warnings"])


def test_a_copy_that_is_dropped_for_another_reason_was_not_caught(provider: Provider, planted: Settings) -> None:
    def answer(request: Request) -> dict[str, Any] | None:
        more = {"beliefs": "several"} if MISTAKEN in request.user_texts[-1] else {}
        return verifier_that(lambda _: {"explanation_right": True, "explanation_agrees": True} | more)(request)

    provider.settings.answer = answer
    generate(planted)
    filter_run(planted)
    assert {copy.reason for copy in planted_explanations(Run(planted))} == {"no_definite_belief"}
    assert sum(share.hits for share in verifier(tables(planted)).caught.values()) == 0


def test_no_explanation_of_a_control_is_made_wrong(provider: Provider, planted: Settings) -> None:
    generate(planted.model_copy(update={"control_share": 1.0}))
    assert not [copy.id for copy in planted_explanations(Run(planted)) if copy.sample_id.startswith("control")]


def test_a_verifier_that_is_the_writer_is_warned_of(provider: Provider, verified: Settings) -> None:
    settings = verified.model_copy(update={"verifier_model": verified.model})
    generate(settings)
    filter_run(settings)
    assert any("The verifier is the same model as the writer" in warning for warning in count(settings)["warnings"])


def test_wrong_explanations_are_in_no_file_that_is_exported(provider: Provider, planted: Settings) -> None:
    generate(planted)
    filter_run(planted)
    run = Run(planted)
    for path in (run.generated, run.filtered, run.finetune):
        assert MISTAKEN not in path.read_text("utf-8")


# ── what it costs, and where it is off ───────────────────────────────────────────────────────────────────────────────


def test_the_estimate_holds_the_verification_and_its_measure(planted: Settings) -> None:
    settings = planted.model_copy(update={"provider": "anthropic"})
    calls = {
        row["stage"]: row["calls"] for row in estimate(Run(settings), Plan(settings, seeds_of(settings.seeds_csv), kit_topics())).rows()
    }
    assert (calls["verify"], calls["misstate"]) == ("40", "20")
    off = settings.model_copy(update={"verify_scenarios": False})
    stages = [row["stage"] for row in estimate(Run(off), Plan(off, seeds_of(off.seeds_csv), kit_topics())).rows()]
    assert "verify" not in stages and "misstate" not in stages


def test_without_verification_two_calls_make_a_sample(provider: Provider, settings: Settings) -> None:
    assert generate(settings).remarks == () and provider.calls == 12
    assert all(sample.metadata.verification is None for sample in made_samples(Run(settings)))


# ── controls ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_controls_are_made_verified_and_kept_apart(provider: Provider, verified: Settings) -> None:
    settings = verified.model_copy(update={"control_share": 1.0})
    generate(settings)
    made = list(made_samples(Run(settings)))
    assert Counter(sample.metadata.origin for sample in made) == {"plan": 6, "control": 6}
    filter_run(settings)
    found = count(settings)
    assert {row["misconception_type"]: row["made"] for row in found["controls"]} == {"student_is_right": 3, "open_question": 3}
    for by in ("by_subject", "by_misconception_type", "by_cell"):
        assert sum(row["made"] for row in found[by]) == 6
    assert {row["origin"]: row["made"] for row in found["by_origin"]} == {"control": 6, "plan": 6}


def test_a_control_in_which_the_student_is_wrong_is_dropped(provider: Provider, verified: Settings) -> None:
    provider.settings.answer = verifier_that(lambda _: {"beliefs": "one", "belief": "thinks that it falls"})
    settings = verified.model_copy(update={"control_share": 1.0})
    generate(settings)
    dropped = list(dropped_scenarios(Run(settings)))
    assert {(one.reason, one.origin) for one in dropped} == {("belief_in_control", "control")} and len(dropped) == 6
    assert "thinks that it falls" in dropped[0].detail


def test_a_control_has_prompts_of_its_own(provider: Provider, settings: Settings) -> None:
    generate(settings.model_copy(update={"control_share": 0.5}))
    systems = Counter(str(request.body["system"]) for request in provider.requests if request.body)
    assert sorted(systems.values()) == [3, 3, 6, 6]


# ── with topping up ──────────────────────────────────────────────────────────────────────────────────────────────────


def rarely_good(request: Request) -> dict[str, Any] | None:
    """Judge half of the responses as failing one criterion, and find half of the explanations wrong."""
    if "verdicts" not in (request.schema or {})["properties"]:
        return half_dropped(request)
    text = request.user_texts[-1]
    failed = "r1" if draw("judge", RESPONSE.findall(text)[-1]) < 0.5 else ""
    verdicts = [{"rubric_id": name, "reasoning": "R", "evidence": "", "met": name != failed} for name in CRITERION.findall(text)]
    return {"verdicts": verdicts, "strengths": [], "weaknesses": [], "quality_score": 4}


@pytest.fixture
def topped_up(provider: Provider, verified: Settings) -> Settings:
    provider.settings.answer = rarely_good
    settings = verified.model_copy(update={"num_seeds": 4, "control_share": 1.0, "top_up": True})
    make_run(settings)
    top_up_samples(Run(settings))
    count(settings)
    return settings


def test_scenarios_dropped_beyond_the_plan_go_when_the_plan_is_made_again(topped_up: Settings) -> None:
    run = Run(topped_up)
    plan, every = list(dropped_scenarios(run, beyond=False)), list(dropped_scenarios(run))
    assert 0 < len(plan) < len(every)
    validate_run(topped_up)
    assert "16 planned = " in summary(run)
    again = generate(topped_up)
    assert sum(again.dropped.values()) == len(plan) and not run.dropped_beyond.exists()
    filter_run(topped_up)
    validate_run(topped_up)
    assert f"{len(plan)} dropped by the verifier" in summary(run)


def test_a_repaired_sample_does_not_count_as_verified_once_more(topped_up: Settings) -> None:
    made = list(made_samples(Run(topped_up)))
    repaired = sum(sample.metadata.origin == "repair" for sample in made)
    assert repaired and count(topped_up)["verifier"]["passed"] == len(made) - repaired


def test_controls_are_neither_repaired_nor_count_toward_the_target(topped_up: Settings) -> None:
    made = list(made_samples(Run(topped_up)))
    assert not [sample.id for sample in made if sample.metadata.origin == "repair" and sample.id.startswith("control")]
    found = count(topped_up)
    assert {row["misconception_type"] for row in found["by_misconception_type"]} <= {kind.id for kind in MISCONCEPTION_TYPES}
    kept = {row["origin"]: row["kept"] for row in found["by_origin"]}
    done = top_up_samples(Run(topped_up))
    assert isinstance(done, TopUp) and done.kept == kept["plan"] + kept["repair"] + kept["top_up"]
