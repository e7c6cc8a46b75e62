"""One tiny structured call, before anything else is paid for at an endpoint, shows whether it honours schemas."""

import sqlite3
from collections.abc import Callable
from typing import Any

import pytest

from lib.generate.seeds import SeedFile
from lib.generate.topics import Topics
from lib.llm.call import ProviderError
from lib.llm.ledger import ledger
from lib.llm.tally import Tally
from lib.run.run import Run
from lib.settings import Settings
from tests.build import gate, generate, judge
from tests.provider import Provider, is_canary

PROSE = "A ripe lemon is yellow, and it is indeed a fruit."


@pytest.fixture
def watched(provider: Provider) -> Provider:
    """The provider, which answers a canary as it does any other call."""
    provider.settings.passes_canaries = False
    return provider


@pytest.fixture
def made(seed_file: SeedFile, topics: Topics) -> Callable[[Settings], Tally]:
    return lambda settings: generate(settings, seed_file, topics)


def asked_of(provider: Provider) -> list[bool]:
    """Return, of each call in order, whether it is a canary."""
    return [is_canary(request.body) for request in provider.requests if request.method == "POST"]


def test_it_is_the_first_call_and_there_is_one_for_each_model(
    watched: Provider, settings: Settings, made: Callable[[Settings], Tally]
) -> None:
    made(settings)
    assert asked_of(watched)[:2] == [True, True], "the judge's too, before the writer is paid"
    assert sum(asked_of(watched)) == 2
    gate(settings)
    judge(settings)
    assert sum(asked_of(watched)) == 2


def test_it_is_paid_for_journalled_and_never_sent_again(watched: Provider, settings: Settings, made: Callable[[Settings], Tally]) -> None:
    done = made(settings)
    lines = [line for line in ledger(Run(settings).journal) if line.stage == "canary"]
    assert [line.model for line in lines] == ["claude-opus-5-5", "claude-sonnet-5-5"]
    assert all(0 < line.cost_usd < 0.01 for line in lines)
    assert done.cost_usd == pytest.approx(sum(one.cost_usd for one in ledger(Run(settings).journal)))
    with sqlite3.connect(Run(settings).journal) as journal:
        journal.execute("DELETE FROM reply WHERE stage = 'gold'")
    journal.close()
    before = sum(asked_of(watched))
    assert made(settings).asked == 6
    assert sum(asked_of(watched)) == before


def test_an_endpoint_that_ignores_the_schema_is_one_clear_line_and_nothing_else_is_asked(
    watched: Provider, settings: Settings, made: Callable[[Settings], Tally]
) -> None:
    watched.settings.answer = lambda _: PROSE
    with pytest.raises(
        ProviderError, match=r"ignores structured outputs \(output_config\.format\).*answered: “A ripe lemon.*PROVIDER=openai"
    ):
        made(settings)
    assert asked_of(watched) == [True]


def test_of_a_judge_with_an_address_of_its_own_the_judges_setting_is_named(
    provider: Provider, settings: Settings, made: Callable[[Settings], Tally], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Provider(answer=lambda _: PROSE, passes_canaries=False) as house:
        monkeypatch.setenv("JUDGE_BASE_URL", house.url)
        with pytest.raises(ProviderError, match=r"on their OpenAI route: set JUDGE_PROVIDER=openai\."):
            made(settings.model_copy(update={"judge_model": "claude-haiku-5-5"}))
    assert provider.calls == 0, "the writer is not paid before the judge has shown that it honours schemas"


def test_json_that_does_not_fit_the_schema_is_ignoring_it_too(
    watched: Provider, settings: Settings, made: Callable[[Settings], Tally]
) -> None:
    watched.settings.answer = lambda _: {"answer": "yellow"}
    with pytest.raises(ProviderError, match="ignores structured outputs"):
        made(settings)


def test_a_server_that_refuses_the_parameter_is_one_clear_line(
    watched: Provider, settings: Settings, made: Callable[[Settings], Tally]
) -> None:
    watched.settings.faults = {"400": 1.0}
    with pytest.raises(ProviderError, match=r"takes no structured call to claude-opus-5-5 \(400: .*Check MODEL"):
        made(settings)


def test_a_model_that_takes_no_effort_is_asked_without_one(
    watched: Provider, settings: Settings, made: Callable[[Settings], Tally]
) -> None:
    watched.settings.takes_effort = False
    done = made(settings)
    assert (done.done, len(done.failures)) == (6, 0)
    assert "takes no effort" in done.remarks[0]
    assert made(settings).asked == 0
    bodies: list[Any] = [request.body for request in watched.requests if request.method == "POST" and request.status == 200]
    assert all("effort" not in body["output_config"] for body in bodies)


def test_an_effort_that_an_earlier_canary_did_not_ask_for_is_tried_and_sent(
    watched: Provider, settings: Settings, made: Callable[[Settings], Tally]
) -> None:
    made(settings.model_copy(update={"scenario_effort": "", "gold_effort": ""}))
    made(settings.model_copy(update={"scenario_effort": "", "gold_effort": "high"}))
    efforts = {(request.body["output_config"].get("effort")) for request in watched.requests if request.method == "POST"}
    assert "high" in efforts


def test_a_page_of_html_in_place_of_answers_is_one_line_after_three_canaries(
    watched: Provider, settings: Settings, made: Callable[[Settings], Tally]
) -> None:
    watched.settings.spoil = lambda http, status, payload: b"<html>log in</html>" if http.path == "/v1/messages" else payload
    with pytest.raises(ProviderError, match=r"answer is no message.*Nothing else was asked"):
        made(settings)
    assert asked_of(watched) == [True] * 3


@pytest.mark.parametrize("fault", ["500", "cut", "refusal"])
def test_where_it_shows_nothing_the_calls_themselves_are_made(
    fault: str, watched: Provider, settings: Settings, made: Callable[[Settings], Tally]
) -> None:
    watched.settings.fault_for = lambda request, _: fault if is_canary(request.body) else None
    assert made(settings).done == 6


def test_it_respects_the_budget(watched: Provider, settings: Settings, made: Callable[[Settings], Tally], cap_alone: None) -> None:
    with pytest.raises(Exception, match="over_budget"):
        made(settings.model_copy(update={"budget_usd": 0.0001}))
    assert watched.calls == 0


def test_in_batches_it_is_a_live_call(watched: Provider, settings: Settings, made: Callable[[Settings], Tally]) -> None:
    watched.settings.answer = lambda _: PROSE
    with pytest.raises(ProviderError, match="ignores structured outputs"):
        made(settings.model_copy(update={"mode": "batch", "batch_poll_s": 0.02}))
    assert len(watched.batches) == 0
