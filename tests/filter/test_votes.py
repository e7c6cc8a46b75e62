"""A close decision is judged again, seeded and counted; the majority decides, and a clear one costs no second vote."""

from collections import Counter
from typing import Any

import pytest

from lib.analyze.trust import trust
from lib.filter.votes import differ, evaluation, is_close, votes_of
from lib.prompts.answers import JudgementAnswer, VerdictAnswer
from lib.run.records import evaluations
from lib.run.run import Run
from lib.schema import Sample
from lib.settings import Settings
from tests.answers import CRITERION, Request
from tests.build import a_sample, filter_run, generate, judge, rubrics_of, tables
from tests.provider import Provider

SAMPLE = a_sample(rubrics=rubrics_of(5, 5, 5, 5, -5, 1))


def said(*failed: str, score: Any = 4, weaknesses: tuple[str, ...] = (), sample: Sample = SAMPLE) -> JudgementAnswer:
    verdicts = [
        VerdictAnswer(rubric_id=rubric.id, reasoning="So it is.", evidence="", met=rubric.id not in failed)
        for rubric in sample.metadata.rubrics
    ]
    return JudgementAnswer.model_validate({"verdicts": verdicts, "strengths": [], "weaknesses": list(weaknesses), "quality_score": score})


@pytest.mark.parametrize(
    ("answer", "close"),
    [
        (said(), False),
        (said("r6"), False),  # minor
        (said("r1"), True),  # exactly one
        (said("r5"), True),  # the ban
        (said("r1", "r2", score=3), False),
        (said("r1", "r2", score=2), False),
        (said(score=2), True),  # the criteria say good, the score says bad
        (said(weaknesses=("factual_error",)), True),
        (said("r1", "r2", "r3", score=4), True),  # the criteria say bad, the score says good
    ],
)
def test_a_judgement_is_close_when_one_critical_criterion_fails_or_score_and_criteria_disagree(
    answer: JudgementAnswer, close: bool
) -> None:
    if answer == said("r1", "r2"):
        answer = said("r1", "r2", score=3)
    assert is_close(SAMPLE, answer) == close


def test_two_answers_differ_by_critical_criteria_or_by_finding_the_response_bad() -> None:
    assert not differ(SAMPLE, (said("r1"), said("r1", "r6")))
    assert differ(SAMPLE, (said("r1"), said("r2")))
    assert differ(SAMPLE, (said(), said(score=2)))
    assert not differ(SAMPLE, (said(score=3), said(score=5)))


def test_the_majority_decides_and_of_two_that_are_divided_on_a_minor_criterion_the_first() -> None:
    def met(*answers: JudgementAnswer) -> dict[str, bool]:
        found = evaluation(SAMPLE, answers, model="m", provider="p")
        assert votes_of(found) == len(answers)
        return {verdict.rubric_id: verdict.met for verdict in found.verdicts}

    assert met(said("r1"), said(), said())["r1"]
    assert not met(said("r1"), said(), said("r1"))["r1"]
    assert not met(said("r6"), said())["r6"] and met(said(), said("r6"))["r6"]


# ── over the wire ────────────────────────────────────────────────────────────────────────────────────────────────────


class Wavering:
    """A judge that fails the first criterion of each sample in the first so many votes, and passes it afterwards."""

    def __init__(self, failing: int) -> None:
        self.failing, self.votes = failing, Counter[str]()

    def __call__(self, request: Request) -> dict[str, Any] | None:
        if "verdicts" not in (request.schema or {})["properties"]:
            return None
        text = request.user_texts[-1]
        response, ids = text[text.index("<response>") :], CRITERION.findall(text)
        self.votes[response] += 1
        verdicts = [
            {"rubric_id": name, "reasoning": "", "evidence": "", "met": name != "r1" or self.votes[response] > self.failing} for name in ids
        ]
        return {"verdicts": verdicts, "strengths": [], "weaknesses": [], "quality_score": 4}


def judged_by(provider: Provider, settings: Settings, judging: Wavering) -> Settings:
    settings = settings.model_copy(update={"second_vote": True, "planted_share": 0.0})
    generate(settings)
    provider.settings.answer = judging
    filter_run(settings)
    return settings


@pytest.mark.parametrize(("failing", "votes", "kept"), [(0, 1, 6), (1, 3, 6), (2, 2, 0)])
def test_a_close_decision_gets_a_second_vote_and_a_third_where_the_two_differ(
    provider: Provider, settings: Settings, failing: int, votes: int, kept: int
) -> None:
    """One that never fails is clear; one that fails once is outvoted; one that fails twice is confirmed."""
    judging = Wavering(failing)
    settings = judged_by(provider, settings, judging)
    assert set(judging.votes.values()) == {votes}
    assert {votes_of(each) for each in evaluations(Run(settings))} == {votes}
    assert int(tables(settings).kept.hits) == kept


def test_second_votes_are_counted_and_shown_as_such(provider: Provider, settings: Settings) -> None:
    settings = judged_by(provider, settings, Wavering(1))
    assert "6 of these samples and copies were close and judged again, 6 of them a third time" in str(judge(settings))
    found = trust(tables(settings))
    assert (found.voted_again.hits, found.voted_again.total) == (6, 6)
    assert "close, and judged again: 6 of 6" in str(found)


def test_each_vote_is_seeded_and_replayed(provider: Provider, settings: Settings) -> None:
    settings = judged_by(provider, settings, Wavering(1))
    before, calls = Run(settings).evaluations.read_bytes(), provider.calls
    judge(settings)
    assert (Run(settings).evaluations.read_bytes(), provider.calls) == (before, calls)


def test_with_several_votes_from_the_start_there_is_no_second_vote(provider: Provider, settings: Settings) -> None:
    judging = Wavering(1)
    judged_by(provider, settings.model_copy(update={"votes": 3}), judging)
    assert set(judging.votes.values()) == {3}


def test_second_votes_can_be_left_out(provider: Provider, settings: Settings) -> None:
    generate(settings)
    judging = Wavering(1)
    provider.settings.answer = judging
    filter_run(settings.model_copy(update={"planted_share": 0.0}))
    assert set(judging.votes.values()) == {1}
