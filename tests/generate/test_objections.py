"""What a scenario must be is enforced: its writer is told once what is wrong, and then it counts as an invalid answer."""

import sqlite3
from collections import Counter
from typing import Any

import pytest

from lib.generate.objections import is_compound, objection_for
from lib.prompts.answers import ScenarioAnswer
from lib.run.records import made_samples, recorded_failures
from lib.run.run import Run
from lib.settings import Settings
from tests.answers import Request, answer_text
from tests.build import STUDENT, a_rubric_answer, a_scenario, a_slot, generate
from tests.provider import Provider

BAN = a_rubric_answer("critical_negative", criteria="The response must not say that they count.")
SLOT = a_slot(student=STUDENT.model_copy(update={"words": (20, 40)}))
GOOD: dict[str, Any] = {
    "explanation": "Only what is still to be spent counts. " * 15,  # 120 words
    "follow_up": "So the nine million are gone, and " * 4 + "is that right?",  # 31 words
    "rubrics": [*(a_rubric_answer() for _ in range(4)), BAN, a_rubric_answer("not_critical")],
}


def objection(**changes: Any) -> str:
    return objection_for(SLOT)(a_scenario(**GOOD | changes))


def test_a_scenario_as_it_must_be_meets_no_objection() -> None:
    assert objection() == ""


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"explanation": "Too short."}, "the explanation has 2 words, and 80 to 220 were asked for"),
        ({"explanation": "word " * 400}, "the explanation has 400 words"),
        ({"follow_up": "Is it?"}, "the follow-up has 2 words, and 20 to 40 were asked for"),
        ({"follow_up": "So it is gone, and " * 5 + "that is that."}, "holds no question mark, and this student asks"),
        ({"follow_up": "Wait, " + GOOD["follow_up"]}, "begins with “Wait”"),
        ({"follow_up": "I’m confused: " + GOOD["follow_up"]}, "begins with “I’m confused”"),
        (
            {"rubrics": [a_rubric_answer() for _ in range(6)]},
            "6 criteria are critical, and exactly 4 must be; 0 criteria are critical_negative",
        ),
        ({"rubrics": [*GOOD["rubrics"][:4], a_rubric_answer("critical_negative"), BAN]}, "2 criteria are critical_negative"),
        (
            {"rubrics": [*GOOD["rubrics"][:5], a_rubric_answer("not_critical", criteria="It should be short.")]},
            "criterion 6 does not begin",
        ),
        (
            {"rubrics": [*GOOD["rubrics"][:5], a_rubric_answer("not_critical", criteria="The response must name it and explain why.")]},
            "criterion 6 joins two demands (“The response must name it and explain why.”)",
        ),
    ],
)
def test_each_rule_has_its_objection(changes: dict[str, Any], says: str) -> None:
    assert says in objection(**changes)


def test_a_student_who_asks_nothing_may_not_ask() -> None:
    slot = SLOT.model_copy(update={"student": SLOT.student.model_copy(update={"has_question": False})})
    assert "holds a question mark, and this student does not ask" in objection_for(slot)(a_scenario(**GOOD))


@pytest.mark.parametrize(
    ("criterion", "compound"),
    [
        ("The response must state that 7 is prime and that 9 is not.", True),
        ("The response must identify the sign and correct it.", True),
        ("The response must show the step, and also explain it.", True),
        ("The response must name the law; it applies to gases.", True),
        ("The response must say that supply and demand both shift.", False),
        ("The response must name the loop `for (i = 0; i < n; i++)`.", False),
        ("The response must make clear that supply and demand both shift.", False),
        ("The response must make clear that 3 and 5 divide it, because 15 does.", False),
        ("The response must not affirm that A holds and that B follows.", False),
        ("The response must understand the brand and the state of it.", False),
    ],
)
def test_two_demands_in_one_are_told_from_two_things_in_one_demand(criterion: str, compound: bool) -> None:
    assert is_compound(criterion) == compound


# ── over the wire ────────────────────────────────────────────────────────────────────────────────────────────────────


def without_a_ban(request: Request) -> str | None:
    """Return a scenario with a fifth critical criterion in place of the ban."""
    if "rubrics" not in (request.schema or {})["properties"]:
        return None
    return answer_text(request, p_true=1.0).replace('"critical_negative"', '"critical"')


def test_the_writer_is_told_once_with_its_answer_and_the_objection(provider: Provider, settings: Settings) -> None:
    provider.settings.answer = lambda request: None if "# An earlier answer" in request.user_texts[-1] else without_a_ban(request)
    assert generate(settings).done == 6
    again = [request for request in provider.requests if "# An earlier answer" in str(request.body)]
    assert len(again) == 6 and provider.calls == 18
    told = Request(again[0].body, "").user_texts[-1]
    assert "<earlier_answer>" in told and "The objection: 5 criteria are critical, and exactly 4 must be" in told
    assert all(sum(rubric.weight < 0 for rubric in sample.metadata.rubrics) == 1 for sample in made_samples(Run(settings)))


def test_a_scenario_that_stays_wrong_is_paid_for_twice_and_recorded(provider: Provider, settings: Settings) -> None:
    provider.settings.answer = without_a_ban
    settings = settings.model_copy(update={"min_call_success": 0.0})
    assert generate(settings).done == 0
    failures = recorded_failures(Run(settings))
    assert provider.calls == 12 and Counter((one.stage, one.reason) for one in failures) == {("scenario", "invalid_answer"): 6}
    assert "5 criteria are critical" in failures[0].detail


def test_a_corrected_answer_is_replayed_under_the_first_question(provider: Provider, settings: Settings) -> None:
    provider.settings.answer = lambda request: None if "# An earlier answer" in request.user_texts[-1] else without_a_ban(request)
    generate(settings)
    before = provider.calls
    assert generate(settings).replayed == 12
    assert provider.calls == before


def test_scenarios_of_the_stand_in_are_as_they_must_be(provider: Provider, settings: Settings) -> None:
    """All tests rest on this: one answer for each question."""
    generate(settings)
    assert provider.calls == 12
    assert all(isinstance(sample.metadata.question, str) for sample in made_samples(Run(settings)))
    assert ScenarioAnswer.model_fields.keys() >= {"question", "explanation", "follow_up", "rubrics"}


def test_a_run_that_ended_before_the_writer_was_told_pays_for_the_second_answer_only(provider: Provider, settings: Settings) -> None:
    """What the first answer was objected to for is known from the journal."""
    provider.settings.answer = lambda request: None if "# An earlier answer" in request.user_texts[-1] else without_a_ban(request)
    generate(settings)
    with sqlite3.connect(Run(settings).journal) as journal:
        journal.execute("DELETE FROM reply WHERE stage = 'scenario' AND number = 2")
        journal.execute("DELETE FROM reply WHERE stage = 'gold'")
    before = provider.calls
    assert generate(settings).done == 6
    asked = [request for request in provider.requests if request.body][before:]
    assert provider.calls == before + 12 and sum("# An earlier answer" in str(request.body) for request in asked) == 6


def test_the_objection_is_remembered_when_the_second_answer_was_of_no_use_either(provider: Provider, settings: Settings) -> None:
    provider.settings.answer = lambda request: None if "# An earlier answer" in request.user_texts[-1] else without_a_ban(request)
    generate(settings)
    with sqlite3.connect(Run(settings).journal) as journal:
        journal.execute("UPDATE reply SET text = 'prose', outcome = 'invalid_answer' WHERE stage = 'scenario' AND number = 2")
        journal.execute("DELETE FROM reply WHERE stage = 'gold'")
    before = len(provider.requests)
    assert generate(settings).done == 6
    scenarios = [request for request in provider.requests[before:] if request.body and "rubrics" in str(request.body["output_config"])]
    assert len(scenarios) == 6 and all("# An earlier answer" in str(request.body) for request in scenarios)
