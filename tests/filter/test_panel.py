"""Several judges decide by majority, each in its own house; and copies may be judged with one call a criterion."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from lib.analyze.panel import krippendorff_alpha
from lib.analyze.trust import trust
from lib.filter.votes import by_judge, evaluation
from lib.generate.estimate import estimate
from lib.generate.inputs import read_plan
from lib.prompts.answers import JudgementAnswer, VerdictAnswer
from lib.run.files import read_jsonl
from lib.run.manifest import read_manifest
from lib.run.records import evaluations, planted_copies, recorded_failures
from lib.run.run import Run
from lib.schema import Evaluation
from lib.settings import Settings
from tests.answers import CRITERION, Request
from tests.build import a_sample, filter_run, generate, judge, make_run, rubrics_of, tables
from tests.provider import Provider

PANEL = "claude-sonnet-5-5,openai/strict,openai/lenient"


@pytest.fixture
def house(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    """A second house, which answers chat completions. `strict` finds nothing met, all others everything."""
    with Provider() as second:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{second.url}/v1")
        monkeypatch.setenv("OPENAI_API_KEY", "second-key")
        provider.settings.answer = second.settings.answer = verdicts_by_model
        yield second


def verdicts_by_model(request: Request) -> dict[str, Any] | None:
    if not is_judgement(request):
        return None
    met = request.body["model"] != "strict"
    given = [{"rubric_id": name, "reasoning": "So.", "evidence": "", "met": met} for name in CRITERION.findall(request.user_texts[-1])]
    return {"verdicts": given, "strengths": [], "weaknesses": [], "quality_score": 4 if met else 2}


def a_panel(settings: Settings, **changes: Any) -> Settings:
    return settings.model_copy(update={"judge_model": PANEL, "price_usd_per_mtok": "strict=1/1,lenient=1/1"} | changes)


def test_each_judge_is_asked_at_its_own_house_and_the_majority_decides_each_criterion(
    provider: Provider, house: Provider, settings: Settings
) -> None:
    run = Run(a_panel(settings))
    made, judged = make_run(run.settings)
    assert (made.done, judged.done) == (6, 6)
    asked = Counter(request.body["model"] for request in house.requests if request.body)
    assert asked["strict"] == asked["lenient"] == 7, "six samples and a planted failure"
    assert {request.key for request in house.requests} == {"second-key"}
    for found in evaluations(run):
        assert found.panel == ("claude-sonnet-5-5", "openai/strict", "openai/lenient")
        assert {verdict.votes for verdict in found.verdicts} == {(True, False, True)}
        assert all(verdict.met for verdict in found.verdicts), "two of three"
        assert (found.quality_score, found.model) == (4, "claude-sonnet-5-5, strict, lenient")


def test_statistics_hold_the_agreement_of_the_panel_and_what_each_judge_catches(house: Provider, settings: Settings) -> None:
    run = a_panel(settings)
    generate(run)
    filter_run(run)
    found = trust(tables(run)).panel
    assert found and found.unanimous.hits == 0 and found.unanimous.total == 6 * 6
    assert found.as_record()["judges"][1]["with_majority"] == 0.0
    assert found.alpha == pytest.approx(krippendorff_alpha({(True, False, True): 36}))
    assert [row["judge"] for row in found.rows()] == ["claude-sonnet-5-5", "openai/strict", "openai/lenient"]
    assert {line.model for line in read_manifest(Run(run)).judging.ledger if line.stage == "judge"} == {
        "claude-sonnet-5-5", "strict", "lenient",
    }  # fmt: skip


def test_a_judge_that_becomes_part_of_a_panel_is_not_asked_again(provider: Provider, house: Provider, settings: Settings) -> None:
    alone = settings.model_copy(update={"second_vote": False})
    make_run(alone)
    of_two_more = read_plan_and_estimate(a_panel(alone))
    before = provider.calls
    judge(a_panel(alone))
    assert provider.calls == before
    assert Counter(request.body["model"] for request in house.requests if request.body) == {"strict": 7, "lenient": 7}
    assert of_two_more == {"claude-sonnet-5-5": 0, "strict": 7, "lenient": 7}


def test_a_judge_is_not_asked_again_wherever_it_stands_in_the_panel(provider: Provider, house: Provider, settings: Settings) -> None:
    make_run(a_panel(settings))
    before = provider.calls, house.calls
    turned = a_panel(settings, judge_model="openai/lenient,openai/strict,claude-sonnet-5-5")
    assert set(read_plan_and_estimate(turned).values()) == {0}
    judge(turned)
    assert (provider.calls, house.calls) == before


def test_with_several_votes_each_judge_counts_once_by_its_own_majority() -> None:
    """Two of three judges find it met by 2 of 3 votes each, and the third by none: 4 of 9 votes, but 2 of 3 judges."""
    sample = a_sample(rubrics=rubrics_of(5))
    votes = (True, True, False) * 2 + (False,) * 3
    answers = [
        JudgementAnswer(
            verdicts=[VerdictAnswer(rubric_id="r1", reasoning="So.", evidence="", met=met)], strengths=[], weaknesses=[], quality_score=4
        )
        for met in votes
    ]
    found = evaluation(sample, answers, model="a, b, c", provider="p", panel=["a"] * 3 + ["b"] * 3 + ["c"] * 3)
    assert found.verdicts[0].met and found.verdicts[0].votes == votes
    assert [verdicts[0].met for verdicts in by_judge(found).values()] == [True, True, False]


def read_plan_and_estimate(settings: Settings) -> dict[str, int]:
    """Return the calls of each judge that are not paid for yet."""
    run = Run(settings)
    return {line.model: line.left[0] for line in estimate(run, read_plan(run)).stages if line.stage == "judge"}


def test_a_sample_that_one_judge_of_the_panel_cannot_judge_is_unjudged(house: Provider, settings: Settings) -> None:
    house.settings.fault_for = lambda request, _: "refusal" if request.body["model"] == "lenient" and is_judgement(request) else None
    run = a_panel(settings, min_call_success=0.0)
    generate(run)
    filter_run(run)
    assert not list(read_jsonl(Run(run).evaluations, Evaluation, made_by="02_filter"))
    assert tables(run).samples["reason"].tolist() == ["refusal"] * 6
    assert all("openai/lenient" in failure.detail for failure in recorded_failures(Run(run))), "the judge that refused is named"


def is_judgement(request: Request) -> bool:
    return "verdicts" in (request.schema or {}).get("properties", {})


def test_a_panel_is_not_asked_again_where_it_is_close(house: Provider, settings: Settings) -> None:
    """One of three finds every criterion failed, which would be close for a single judge."""
    make_run(a_panel(settings, second_vote=True))
    assert Counter(request.body["model"] for request in house.requests if request.body)["lenient"] == 7


def test_with_one_call_a_criterion_each_critical_criterion_of_a_copy_is_asked_for_alone(provider: Provider, settings: Settings) -> None:
    run = settings.model_copy(update={"one_criterion_a_call": True, "harmless_share": 0.1})
    make_run(run)
    copies = list(planted_copies(Run(run)))
    assert len(copies) == 2
    for copy in copies:
        critical = {verdict.rubric_id for verdict in copy.one_by_one}
        assert len(critical) == 5
    alone = [request for request in provider.requests if request.body and is_single(request.body)]
    assert len(alone) == 10
    assert {line.stage: line.calls for line in read_manifest(Run(run)).judging.ledger}["criterion"] == 10


def is_single(body: dict[str, Any]) -> bool:
    return len(CRITERION.findall(str(body["messages"][-1]["content"]))) == 1


# ── Krippendorff's alpha ─────────────────────────────────────────────────────────────────────────────────────────────


def test_alpha_is_that_of_krippendorffs_example_of_two_observers_and_ten_things() -> None:
    """Source: Krippendorff 2011, Computing Krippendorff's Alpha-Reliability, section A: 0.095."""
    one, other = [0, 1, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]
    votes = Counter((bool(first), bool(second)) for first, second in zip(one, other, strict=True))
    assert krippendorff_alpha(dict(votes)) == pytest.approx(0.095, abs=5e-4)


def test_alpha_is_one_where_all_agree_and_none_where_all_verdicts_are_the_same() -> None:
    assert krippendorff_alpha({(True, True, True): 5, (False, False, False): 2}) == 1
    assert krippendorff_alpha({(True, True, True): 5}) is None
    assert krippendorff_alpha({}) is None
