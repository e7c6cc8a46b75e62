"""A rubric that would fit any scenario can't tell a good reply from a bad one, so its sample is dropped before a judge is paid."""

import pytest

from lib.filter.general import general_rubric, is_general, scenario_words
from lib.generate.seeds import read_seeds
from lib.run.records import gate_decisions
from lib.run.run import Run
from lib.schema import Rubric, Sample
from lib.settings import PROJECT_ROOT, Settings
from tests.build import a_rubric, a_sample, gate, write_run

# The example criteria that such rubrics are usually asked for with.
GENERAL = (
    "The response must identify the student's misconception correctly.",
    "The response must explain why the student's reasoning is wrong.",
    "The response must guide the student towards the right answer step by step.",
    "The response must provide accurate information about the concept.",
)
OF_SCENARIO = "The response must make clear that money already spent on the bridge can't be had back."


def a_sample_with(*criteria: str) -> Sample:
    return a_sample(rubrics=[a_rubric(f"r{number}", criteria=text) for number, text in enumerate(criteria, start=1)])


@pytest.mark.parametrize("text", GENERAL)
def test_a_criterion_that_would_fit_any_scenario_is_general(text: str) -> None:
    assert is_general(a_rubric(criteria=text), scenario_words(a_sample()))


@pytest.mark.parametrize(
    "rubric",
    [
        a_rubric(criteria=OF_SCENARIO),
        a_rubric(criteria="The response must state that $E = mc^2$."),  # a formula, whatever its letters
        a_rubric(criteria="The response must name Newton as its author."),  # a name
        a_rubric(criteria="The response must state that 9 of them are lost."),
        a_rubric(criteria="The response must not affirm the student's mistake.", weight=-5),  # a ban may be general
        a_rubric(criteria="The response must be free of condescension.", dimension="emotional_component"),  # and so may tone
    ],
)
def test_a_ban_a_criterion_of_tone_and_one_with_some_content_are_not(rubric: Rubric) -> None:
    assert not is_general(rubric, scenario_words(a_sample()))


def test_a_sample_is_dropped_only_when_all_of_its_critical_demands_are_general() -> None:
    assert general_rubric(a_sample_with(*GENERAL)).startswith("none of its 4 critical demands names anything of the scenario")
    assert general_rubric(a_sample_with(*GENERAL, OF_SCENARIO)) == ""


def test_the_gate_drops_it_with_this_reason(settings: Settings) -> None:
    write_run(settings, [a_sample_with(*GENERAL)])
    gate(settings.model_copy(update={"length_tolerance": 100.0}))
    assert gate_decisions(Run(settings))["seed001_var1"].reason == "general_rubric"


def test_no_seed_of_the_kit_has_a_general_rubric() -> None:
    for seed in read_seeds(PROJECT_ROOT / "data" / "seeds.csv").seeds:
        about = {"question": seed.prompt, "explanation": seed.explanation, "follow_up": seed.follow_up, "misconception": "m", "topic": "t"}
        assert general_rubric(a_sample(rubrics=seed.rubrics, **about)) == "", seed.row
