"""OpenAI-compatible chat completions, over the real SDK and a real socket."""

import json
import os
import signal
import sqlite3
import time
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from lib.generate.seeds import SeedFile
from lib.generate.topics import Topics
from lib.llm import completions
from lib.llm.call import Call, ProviderError
from lib.llm.completions import parameters, reply_of
from lib.llm.endpoint import CanaryAnswer
from lib.llm.tally import RunFailed, Tally
from lib.prompts.rendering import Prompt
from lib.run.manifest import read_manifest
from lib.run.run import Run
from lib.settings import Settings
from tests.build import generate, make_run
from tests.provider import Provider

CALL = Call(slot="s", stage="gold", model="gpt-test", prompt=Prompt("Be short.", "Why?"), answer=CanaryAnswer, max_tokens=500, effort="low")
MESSAGE = {"role": "assistant", "content": '{"colour": "yellow", "is_fruit": true}'}


@pytest.fixture
def openai(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> Provider:
    """The loopback provider, of which only OpenAI's routes are named."""
    for name in ("ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("OPENAI_BASE_URL", f"{provider.url}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "test-key")
    return provider


@pytest.fixture
def theirs(settings: Settings) -> Settings:
    """The usual six samples, written and judged by models of another house."""
    models = {"model": "gpt-test", "judge_model": "gpt-test-mini", "verifier_model": "gpt-test-mini"}
    return settings.model_copy(update=models | {"price_usd_per_mtok": "2/10", "batch_poll_s": 0.02})


@pytest.fixture
def made(seed_file: SeedFile, topics: Topics) -> Callable[[Settings], Tally]:
    return lambda settings: generate(settings, seed_file, topics)


def completion(**changes: Any) -> bytes:
    usage = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
    body = {"id": "chatcmpl-1", "model": "gpt-test", "choices": [{"message": MESSAGE, "finish_reason": "stop"}], "usage": usage}
    return json.dumps(body | changes).encode()


def reply(**changes: Any) -> Any:
    return reply_of(completion(**changes), secrets=())


# ── the whole way ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_run_goes_through_and_names_who_made_it(openai: Provider, theirs: Settings) -> None:
    made, judged = make_run(theirs)
    assert (made.done, judged.done) == (6, 6)
    assert {request.path for request in openai.requests if request.method == "POST"} == {"/v1/chat/completions"}
    assert read_manifest(Run(theirs)).generation.provider == f"openai:{openai.url.removeprefix('http://')}"


def test_a_second_pass_replays_and_asks_nothing(openai: Provider, theirs: Settings, made: Callable[[Settings], Tally]) -> None:
    made(theirs)
    before = openai.calls
    assert made(theirs).asked == 0
    assert openai.calls == before


def test_a_writer_and_a_judge_of_two_houses_each_get_their_own_calls_key_and_price(
    provider: Provider, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Provider() as house:
        monkeypatch.setenv("JUDGE_BASE_URL", f"{house.url}/v1")
        monkeypatch.setenv("JUDGE_API_KEY", "judges-key")
        mixed = settings.model_copy(update={"judge_model": "Qwen/Qwen3-8B", "price_usd_per_mtok": "Qwen/Qwen3-8B=0/0"})
        made, judged = make_run(mixed)
        assert (made.done, judged.done) == (6, 6)
        assert (provider.calls, house.calls) == (12, 7)
        assert {request.key for request in house.requests} == {"judges-key"}
        assert {request.key for request in provider.requests} == {"test-key"}
    manifest = read_manifest(Run(mixed))
    assert manifest.judging.provider == f"openai:{house.url.removeprefix('http://')}" != manifest.generation.provider
    costs = {line.stage: line.cost_usd for line in manifest.judging.ledger}
    assert costs["gold"] > 0 == costs["judge"]


def test_the_body_of_a_batchs_answers_may_be_larger_than_any_single_answer(
    openai: Provider, theirs: Settings, made: Callable[[Settings], Tally], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lib.llm.body.MOST_BYTES", 20_000)
    assert made(theirs.model_copy(update={"mode": "batch"})).done == 6


def test_a_batch_that_fails_as_a_whole_is_one_line_and_the_next_run_makes_another(
    openai: Provider, theirs: Settings, made: Callable[[Settings], Tally]
) -> None:
    def spoil(http: web.Request, status: int, payload: Any) -> Any:
        if not (isinstance(payload, dict) and payload.get("object") == "batch"):
            return payload
        problem = {"data": [{"code": "token_limit_exceeded", "message": "Enqueued token limit reached."}]}
        return payload | {"status": "failed", "output_file_id": None, "error_file_id": None, "errors": problem}

    openai.settings.spoil = spoil
    batched = theirs.model_copy(update={"mode": "batch"})
    with pytest.raises(ProviderError, match=r"failed \(Enqueued token limit reached\)\. .*Run again to ask for the rest in a new batch"):
        made(batched)
    openai.settings.spoil = None
    assert made(batched).done == 6


def test_a_judge_may_go_in_batches_while_the_writer_is_live(openai: Provider, theirs: Settings) -> None:
    made, judged = make_run(theirs.model_copy(update={"judge_mode": "batch"}))
    assert (made.done, judged.done) == (6, 6)
    assert len(openai.completion_batches.made) == 1
    assert openai.calls == 12


# ── batches ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_batches_give_the_same_bytes_for_half_the_price(openai: Provider, theirs: Settings, made: Callable[[Settings], Tally]) -> None:
    batched = theirs.model_copy(update={"run": "b", "mode": "batch"})
    paid = [made(one).cost_usd for one in (theirs, batched)]
    assert Run(batched).generated.read_bytes() == Run(theirs).generated.read_bytes()
    assert paid[1] == pytest.approx(paid[0] / 2)


def test_what_did_not_succeed_in_a_batch_is_asked_again(openai: Provider, theirs: Settings, made: Callable[[Settings], Tally]) -> None:
    openai.settings.batch_faults = {"errored": 0.2, "expired": 0.2}
    assert made(theirs.model_copy(update={"mode": "batch", "min_call_success": 0.0})).done >= 4
    assert len(openai.completion_batches.made) > 2


def test_a_run_killed_while_its_batch_is_under_way_finds_it_by_its_mark(
    openai: Provider, theirs: Settings, made: Callable[[Settings], Tally]
) -> None:
    batched = theirs.model_copy(update={"mode": "batch"})
    openai.settings.batch_delay_s = 1.0
    if (child := os.fork()) == 0:  # pragma: no cover  # a process of its own, because only a process can be killed
        made(batched)
        os._exit(0)
    deadline = time.monotonic() + 20
    while not openai.completion_batches.made and time.monotonic() < deadline:
        pass
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with sqlite3.connect(Run(batched).journal) as journal:
        journal.execute("UPDATE shard SET batch_id = ''")  # as a kill between creating and naming would have left it
    journal.close()
    openai.settings.batch_delay_s = 0.0
    assert made(batched).done == 6
    asked = [len(batch.lines) for batch in openai.completion_batches.made.values()]
    assert (asked[0], sum(asked)) == (6, 12), "six scenarios and six responses, and no batch twice"


def test_a_batch_that_was_canceled_keeps_what_it_had_answered_and_the_next_run_asks_for_the_rest(
    openai: Provider, theirs: Settings, made: Callable[[Settings], Tally]
) -> None:
    def spoil(http: web.Request, status: int, payload: Any) -> Any:
        if http.path.endswith("/content"):
            return b"".join(payload.splitlines(keepends=True)[:2])
        is_batch = isinstance(payload, dict) and payload.get("object") == "batch"
        return payload | {"status": "cancelled"} if is_batch and payload["status"] == "completed" else payload

    openai.settings.spoil = spoil
    batched = theirs.model_copy(update={"mode": "batch"})
    with pytest.raises(ProviderError, match=r"cancelled\. What it had answered is kept"):
        made(batched)
    openai.settings.spoil = None
    assert made(batched).done == 6
    assert sum(len(batch.lines) for batch in openai.completion_batches.made.values()) == 6 + 4 + 6, "of six scenarios two were answered"


@pytest.mark.parametrize("status", [401, 402, 404])
def test_a_list_of_models_that_is_refused_does_not_keep_the_route_from_being_used(
    status: int, openai: Provider, theirs: Settings, made: Callable[[Settings], Tally]
) -> None:
    refused = web.json_response({"error": {"message": "no"}}, status=status)
    openai.settings.spoil = lambda http, _, payload: refused if http.path == "/v1/models" else payload
    assert made(theirs).done == 6


@pytest.mark.parametrize("route", ["openai", "anthropic"])
def test_where_there_are_no_batches_the_mode_is_one_clear_line(
    route: str, openai: Provider, theirs: Settings, made: Callable[[Settings], Tally], monkeypatch: pytest.MonkeyPatch
) -> None:
    openai.settings.has_batches = False
    monkeypatch.setenv("ANTHROPIC_BASE_URL", openai.url)
    with pytest.raises(ProviderError, match=r"127\.0\.0\.1:\d+ has no batches\. Set MODE=live"):
        made(theirs.model_copy(update={"mode": "batch", "provider": route}))
    assert openai.calls == 0


# ── what is sent ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_request_asks_for_the_schema_in_strict_mode() -> None:
    sent = parameters(CALL)
    assert sent["response_format"]["json_schema"]["strict"] is True
    assert sent["response_format"]["json_schema"]["schema"]["additionalProperties"] is False
    assert (sent["max_tokens"], sent["reasoning_effort"]) == (500, "low")
    assert [turn["role"] for turn in sent["messages"]] == ["system", "user"]


def test_openais_own_host_is_told_the_room_under_its_newer_name() -> None:
    assert parameters(CALL, is_own_host=True)["max_completion_tokens"] == 500
    assert "max_tokens" not in parameters(CALL, is_own_host=True)


# ── what comes back ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_cached_tokens_are_counted_apart() -> None:
    usage = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120, "prompt_tokens_details": {"cached_tokens": 64}}
    found = reply(usage=usage).usage
    assert (found.input, found.cache_read, found.output) == (36, 64, 20)


def test_reasoning_is_paid_for_whether_it_stands_among_the_completions_tokens_or_beside_them() -> None:
    among = {"prompt_tokens": 100, "completion_tokens": 520, "total_tokens": 620, "completion_tokens_details": {"reasoning_tokens": 500}}
    beside = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 620, "completion_tokens_details": {"reasoning_tokens": 500}}
    assert reply(usage=among).usage.output == reply(usage=beside).usage.output == 520


@pytest.mark.parametrize(("said", "meant"), [("stop", "end_turn"), ("length", "max_tokens"), ("content_filter", "refusal"), ("odd", "odd")])
def test_the_reason_of_the_end_is_read(said: str, meant: str) -> None:
    assert reply(choices=[{"message": MESSAGE, "finish_reason": said}]).stop_reason == meant


def test_a_refusal_is_a_refusal_although_it_ends_as_usual() -> None:
    refused = {"role": "assistant", "content": None, "refusal": "I can't help with that."}
    assert reply(choices=[{"message": refused, "finish_reason": "stop"}]).stop_reason == "refusal"


def test_an_answer_in_parts_is_read_without_its_thinking() -> None:
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, {"type": "text", "text": "{}"}]
    assert reply(choices=[{"message": {"content": parts}, "finish_reason": "stop"}]).text == "{}"


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=4), lambda inner: st.lists(inner, max_size=2))


@given(place=st.sampled_from(["id", "model", "choices", "usage", "error"]), value=JSON)
def test_any_json_in_place_of_any_field_is_a_reply_or_a_named_flaw(place: str, value: Any) -> None:
    try:
        assert isinstance(reply(**{place: value}).text, str)
    except completions.Transient as problem:
        assert place == "choices" or problem.detail


def test_an_error_under_status_200_is_tried_again_and_not_paid(
    openai: Provider, theirs: Settings, made: Callable[[Settings], Tally]
) -> None:
    """Gateways send one when the model's own server fails after they have begun to answer."""
    seen = set[str]()

    def spoil(http: web.Request, status: int, payload: Any) -> Any:
        if http.path != "/v1/chat/completions" or payload["id"] in seen or len(seen) > 2:
            return payload
        seen.add(payload["id"])
        return {"error": {"message": "upstream overloaded", "code": 502}}

    openai.settings.spoil = spoil
    done = made(theirs)
    assert (done.done, len(done.failures)) == (6, 0)


# ── limits and errors ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("reset", "seconds"), [("1s", 1), ("6m0s", 360), ("1h2m3.5s", 3723.5), ("250ms", 0.25)])
def test_the_rate_limits_reset_is_a_duration(reset: str, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lib.llm.completions.time.time", lambda: 1_000.0)
    names = {"remaining": "0", "limit": "60", "reset": reset}
    found = completions.rate_limit({f"x-ratelimit-{name}-requests": value for name, value in names.items()})
    assert found and (found.remaining, found.limit, found.reset_at) == (0, 60, pytest.approx(1_000 + seconds))


@pytest.mark.parametrize("headers", [{}, {"x-ratelimit-remaining-requests": "0"}])
def test_headers_without_a_limit_say_nothing(headers: dict[str, str]) -> None:
    assert completions.rate_limit(headers) is None


def test_after_a_429_the_wait_is_the_servers(openai: Provider, theirs: Settings, made: Callable[[Settings], Tally]) -> None:
    openai.settings.faults = {"429_retry_after": 0.2}
    assert made(theirs).done == 6
    assert openai.rejected["429"] > 0


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("401", r"The key is not accepted \(401: invalid x-api-key\)\. Check OPENAI_API_KEY"),
        ("402", r"Payment is required"),
        ("429_spend_limit", r"The account's spending limit is reached"),
    ],
)
def test_what_ends_the_run_is_one_line_that_names_the_houses_own_variables(
    fault: str, message: str, openai: Provider, theirs: Settings, made: Callable[[Settings], Tally]
) -> None:
    openai.settings.passes_canaries = False
    openai.settings.faults = {fault: 1.0}
    with pytest.raises(ProviderError, match=message):
        made(theirs)


def test_an_unknown_model_is_named_with_those_that_the_endpoint_lists(
    openai: Provider, theirs: Settings, made: Callable[[Settings], Tally]
) -> None:
    openai.settings.passes_canaries = False
    openai.settings.unknown_models = {"gpt-tset"}
    with pytest.raises(ProviderError, match=r"Not found \(404: .*Check that MODEL.*among them gpt-test"):
        made(theirs.model_copy(update={"model": "gpt-tset"}))
    assert openai.calls == 0


def test_a_failure_of_some_calls_is_recorded_as_with_the_other_route(
    openai: Provider, theirs: Settings, made: Callable[[Settings], Tally]
) -> None:
    openai.settings.faults = {"refusal": 1.0}
    with pytest.raises(RunFailed, match="6 × refusal"):
        made(theirs)
