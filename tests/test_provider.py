"""The stand-in, driven by the real SDK over loopback, behaves as the Messages API is documented to."""

import asyncio
import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Literal

import anthropic
import pytest
from pydantic import BaseModel, ConfigDict, Field

from tests.provider import Provider, Request, latency_of

MODEL = "claude-haiku-5-5"
RESPONSE = "Look again at the sign of the slope before you divide; it tells which way the line leans, and why."
CRITERIA = '<criterion id="r3">A</criterion><criterion id="r1">B</criterion>'
JUDGED = f"<response>old</response>\n{CRITERIA}\n<response>{RESPONSE}</response>"


class Lesson(BaseModel):
    model_config = ConfigDict(extra="forbid")
    title: str = Field(min_length=10, max_length=40)
    steps: list[str] = Field(min_length=6, max_length=8)
    level: Literal[1, 2, 3]
    minutes: int = Field(ge=5, le=9)
    note: str | None = Field(max_length=12)


class Verdict(BaseModel):
    rubric_id: str
    evidence: str
    met: bool


class Evaluation(BaseModel):
    verdicts: list[Verdict]
    quality: Literal[1, 2, 3, 4, 5]


def asked(text: str = "Why?", *, answer: type[BaseModel] | None = Lesson, **changes: object) -> dict:
    body = {"model": MODEL, "max_tokens": 4000, "messages": [{"role": "user", "content": text}]}
    schema = answer and {"format": {"type": "json_schema", "schema": anthropic.transform_schema(answer)}}
    return body | ({"output_config": schema} if schema else {}) | changes


def run(provider: Provider, use: Callable, *, key: str = "test-key", retries: int = 0, timeout_s: float = 5) -> object:
    """Run `use(client)` with a client of its own, against the provider."""

    async def main() -> object:
        settings = {"base_url": provider.url, "api_key": key, "max_retries": retries, "timeout": timeout_s}
        async with anthropic.AsyncAnthropic(**settings) as client:
            return await use(client)

    return asyncio.run(main())


def ask(provider: Provider, body: dict, **client: object) -> anthropic.types.Message:
    return run(provider, lambda c: c.messages.create(**body), **client)


def ask_all(provider: Provider, bodies: list[dict], **client: object) -> list:
    async def use(c: anthropic.AsyncAnthropic) -> list:
        return await asyncio.gather(*(c.messages.create(**body) for body in bodies), return_exceptions=True)

    return run(provider, use, **client)


def text_of(message: anthropic.types.Message) -> str:
    return next(block.text for block in message.content if block.type == "text")


def test_an_answer_fits_the_schema_and_the_bounds_that_the_sdk_moved_into_descriptions() -> None:
    with Provider() as provider:
        replies = ask_all(provider, [asked(str(n)) for n in range(40)])
    lessons = [Lesson.model_validate_json(text_of(reply)) for reply in replies]
    assert len({lesson.steps[0] for lesson in lessons}) == 40


def test_the_same_request_gets_the_same_answer_also_from_another_server() -> None:
    with Provider() as one, Provider() as other:
        assert text_of(ask(one, asked())) == text_of(ask(one, asked())) == text_of(ask(other, asked()))
        assert (one.calls, one.stats()["repeated"], other.stats()["repeated"]) == (2, 1, 0)
        assert [(seen.path, seen.key, seen.status) for seen in other.requests] == [("/v1/messages", "test-key", 200)]


def test_verdicts_cover_each_criterion_once_and_quote_the_last_response() -> None:
    with Provider(p_true=0.5) as provider:
        bodies = [asked(f"{n} {JUDGED}", answer=Evaluation) for n in range(20)]
        verdicts = [Evaluation.model_validate_json(text_of(m)).verdicts for m in ask_all(provider, bodies)]
    assert all([v.rubric_id for v in vs] == ["r3", "r1"] for vs in verdicts)
    flat = [verdict for vs in verdicts for verdict in vs]
    assert all(v.evidence in RESPONSE and 8 <= len(v.evidence.split()) <= 15 for v in flat if v.met)
    assert {bool(v.evidence) for v in flat if not v.met} == {False}


def test_a_hook_answers_first_and_thinking_comes_before_the_text() -> None:
    def answer(request: Request) -> dict | str | None:
        return {"Why?": {"a": 1}, "How?": "plain"}.get(request.user_texts[-1])

    with Provider(answer=answer, thinking=True) as provider:
        replies = ask_all(provider, [asked("Why?"), asked("How?"), asked("Who?")])
    assert [block.type for block in replies[0].content] == ["thinking", "text"]
    assert [text_of(m) for m in replies[:2]] == ['{"a": 1}', "plain"]
    Lesson.model_validate_json(text_of(replies[2]))


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"extra_body": {"temperature": 1}}, anthropic.BadRequestError, "temperature: Extra inputs"),
        ({"extra_body": {"max_tokens": None}}, anthropic.BadRequestError, "max_tokens"),
        ({"messages": []}, anthropic.BadRequestError, "at least one message"),
        ({"model": "claude-old"}, anthropic.NotFoundError, "model: claude-old"),
        ({"model": "claude-plain"}, anthropic.BadRequestError, "structured outputs"),
        ({"output_config": {"format": {"type": "json_schema", "schema": Lesson.model_json_schema()}}},
         anthropic.BadRequestError, "is not supported"),
        ({"output_config": {"format": {"type": "json_schema", "schema": {"type": "array", "minItems": 2}}}},
         anthropic.BadRequestError, "minItems"),
        ({"output_config": {"format": {"type": "json_schema", "schema": {"type": "object", "properties": {}}}}},
         anthropic.BadRequestError, "additionalProperties"),
    ],
)  # fmt: skip
def test_what_the_real_api_rejects_is_rejected(changes: dict, error: type, words: str) -> None:
    with Provider(retired={"claude-old"}, no_structured_outputs={"claude-plain"}) as provider:
        with pytest.raises(error, match=words) as caught:
            ask(provider, asked(**changes))
        assert caught.value.request_id.startswith("req_")
        with pytest.raises(anthropic.AuthenticationError):
            ask(provider, asked(), key="wrong-key")


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("400", anthropic.BadRequestError),
        ("402", anthropic.PaymentRequiredError),
        ("403", anthropic.PermissionDeniedError),
        ("404", anthropic.NotFoundError),
        ("429", anthropic.RateLimitError),
        ("429_spend_limit", anthropic.EnforcedSpendLimitReachedError),
        ("500", anthropic.InternalServerError),
        ("503", anthropic.ServiceUnavailableError),
        ("529", anthropic.OverloadedError),
        ("drop", anthropic.APIConnectionError),
        ("hang", anthropic.APITimeoutError),
        ("spend_limit", anthropic.BadRequestError),
    ],
)
def test_a_scripted_fault_is_raised_by_the_sdk_and_the_next_attempt_succeeds(fault: str, error: type) -> None:
    with Provider(script=[fault, None, fault]) as provider:
        with pytest.raises(error) as caught:
            ask(provider, asked(), timeout_s=0.3 if fault == "hang" else 5)
        ask(provider, asked())
        assert provider.calls == 1
    if fault == "spend_limit":
        assert "You have reached your specified API usage limits" in str(caught.value)


@pytest.mark.parametrize(
    ("retry_after", "header", "value"),
    [(0.02, "retry-after", "0.02"), ("ms:20", "retry-after-ms", "20"), ("date:0", "retry-after", "GMT")],
)
def test_a_429_says_when_to_retry_in_the_asked_form(retry_after: float | str, header: str, value: str) -> None:
    with Provider(script=["429_retry_after"] * 2, retry_after=retry_after) as provider:
        with pytest.raises(anthropic.RateLimitError) as caught:
            ask(provider, asked())
        assert caught.value.response.headers[header].endswith(value)
        ask(provider, asked(), retries=1)
        assert provider.stats()["rejected"] == {"429": 2}


def test_replies_that_are_paid_for_but_useless() -> None:
    script = ["cut", "refusal", "empty", "invalid_json", "out_of_bounds"]
    with Provider(script=script, refusal_category="frontier_llm") as provider:
        cut, refusal, empty, invalid, out = [ask(provider, asked()) for _ in script]
        short = ask(provider, asked(max_tokens=10))
        assert provider.calls == 6
    assert (cut.stop_reason, short.stop_reason, short.usage.output_tokens) == ("max_tokens", "max_tokens", 10)
    assert (refusal.stop_reason, refusal.stop_details.category) == ("refusal", "frontier_llm")
    assert (empty.stop_reason, empty.content) == ("end_turn", [])
    for message in (cut, short, invalid):
        with pytest.raises(json.JSONDecodeError):
            json.loads(text_of(message))
    assert json.loads(text_of(out))["minutes"] > 9


def test_faults_come_at_their_rates_by_body_and_attempt_and_refusals_stay() -> None:
    bodies = [asked(str(n), answer=None) for n in range(100)]
    rates = {"529": 0.3, "refusal": 0.2}
    with Provider(faults=rates) as one, Provider(faults=rates) as other:
        first, second, elsewhere = ask_all(one, bodies), ask_all(one, bodies), ask_all(other, bodies[::-1])[::-1]
    kinds = [[getattr(m, "stop_reason", type(m).__name__) for m in reply] for reply in (first, second, elsewhere)]
    assert kinds[0] == kinds[2] != kinds[1]
    assert [k == "refusal" for k in kinds[0]] == [k == "refusal" for k in kinds[1]]
    assert 10 < kinds[0].count("OverloadedError") < 40 and 8 < kinds[0].count("refusal") < 35


def test_latencies_have_the_asked_mean_and_belong_to_the_body() -> None:
    drawn = [latency_of(str(n), mean_s=0.5, sigma=0.4) for n in range(20_000)]
    assert math.isclose(fmean(drawn), 0.5, rel_tol=0.02)
    assert latency_of("7", mean_s=0.5, sigma=0.4) == drawn[7]
    assert latency_of("7", mean_s=0.5, sigma=0) == 0.5


def test_capacity_and_settings_changed_while_running() -> None:
    bodies = [asked(str(n), answer=None) for n in range(12)]
    with Provider(latency_s=0.2, admit=5) as provider:
        limited = ask_all(provider, bodies)
        assert (provider.max_in_flight, provider.stats()["rejected"]) == (5, {"429": 7})
        assert sum("retry-after" in m.response.headers for m in limited if isinstance(m, anthropic.RateLimitError)) == 7
        provider.settings.admit, provider.settings.bucket_per_second, provider.settings.bucket_size = None, 0.01, 3
        bucket = ask_all(provider, bodies)
        failed = [m for m in bucket if isinstance(m, anthropic.RateLimitError)]
        assert len(failed) == 9
        assert failed[0].response.headers["anthropic-ratelimit-requests-limit"] == "3"
        with pytest.raises(ValueError, match="No such faults"):
            provider.settings.faults = {"529x": 0.1}


def test_a_marked_prefix_is_written_once_and_read_afterwards() -> None:
    system = [{"type": "text", "text": "x" * 4096, "cache_control": {"type": "ephemeral"}}]
    with Provider(cache_minimum=4000) as provider:
        first, second = (ask(provider, asked("y" * n, system=system)).usage for n in (400, 800))
        provider.settings.cache_minimum = 5000
        below = ask(provider, asked("y" * 400, system=system)).usage
    assert (first.cache_creation_input_tokens, first.cache_read_input_tokens, first.input_tokens) == (1024, 0, 100)
    assert (second.cache_creation_input_tokens, second.cache_read_input_tokens, second.input_tokens) == (0, 1024, 200)
    assert (below.cache_creation_input_tokens, below.cache_read_input_tokens, below.input_tokens) == (0, 0, 1124)


def test_models_say_their_lifecycle_and_capabilities() -> None:
    with Provider(retired={"claude-old"}, unknown_models={"gpt"}, no_structured_outputs={MODEL}) as provider:
        card = run(provider, lambda c: c.models.retrieve(MODEL))
        anthropic.types.ModelInfo.model_validate(card.model_dump())
        assert (card.lifecycle, card.capabilities.structured_outputs.supported, card.line) == ("active", False, "haiku")
        assert run(provider, lambda c: c.models.retrieve("claude-old")).lifecycle == "retired"
        with pytest.raises(anthropic.NotFoundError):
            run(provider, lambda c: c.models.retrieve("gpt"))
        provider.settings.models_endpoint = False
        with pytest.raises(anthropic.NotFoundError) as caught:
            run(provider, lambda c: c.models.retrieve(MODEL))
        assert caught.value.type is None


async def batch_results(client: anthropic.AsyncAnthropic, requests: list[dict], *, cancel: bool = False) -> dict:
    batch = await client.messages.batches.create(requests=requests)
    if cancel:
        await client.messages.batches.cancel(batch.id)
    async with asyncio.timeout(5):
        while (batch := await client.messages.batches.retrieve(batch.id)).processing_status != "ended":
            await asyncio.sleep(0.01)
    lines = [line async for line in await client.messages.batches.results(batch.id)]
    assert [line.custom_id for line in lines] != [request["custom_id"] for request in requests]
    assert batch.request_counts.processing == 0
    return {line.custom_id: line.result for line in lines}


def test_a_batch_answers_as_the_messages_endpoint_does() -> None:
    requests = [{"custom_id": f"c{n}", "params": asked(str(n))} for n in range(50)]
    requests[7]["params"].pop("max_tokens")
    with Provider(batch_delay_s=0.05, batch_faults={"errored": 0.2, "expired": 0.2}) as provider:
        results = run(provider, lambda c: batch_results(c, requests))
        again = run(provider, lambda c: batch_results(c, requests))
        done = next(n for n in range(50) if results[f"c{n}"].type == "succeeded")
        assert text_of(results[f"c{done}"].message) == text_of(ask(provider, requests[done]["params"]))
        listed = run(provider, lambda c: c.messages.batches.list()).data
        assert [batch.id for batch in listed] == ["msgbatch_000002", "msgbatch_000001"]
    assert {r.type for r in results.values()} == {"succeeded", "errored", "expired"}
    assert {name: r.type for name, r in results.items()} != {name: r.type for name, r in again.items()}
    assert results["c7"].error.error.message == "max_tokens: Field required"


def test_a_canceled_batch_keeps_what_was_done() -> None:
    requests = [{"custom_id": f"c{n}", "params": asked(str(n))} for n in range(10)]
    with Provider(batch_delay_s=60, batch_done_at_cancel=0.3) as provider:
        results = run(provider, lambda c: batch_results(c, requests, cancel=True))
    assert [r.type for r in results.values()].count("canceled") == 7


@pytest.mark.parametrize("ids", [["a", "a"], ["a b"], ["x" * 65], []])
def test_custom_ids_are_checked(ids: list[str]) -> None:
    requests = [{"custom_id": name, "params": asked()} for name in ids]
    with Provider() as provider, pytest.raises(anthropic.BadRequestError):
        run(provider, lambda c: c.messages.batches.create(requests=requests))


def test_a_batch_whose_reply_was_dropped_exists() -> None:
    with Provider(batch_script=["529", "drop"]) as provider:
        for error in (anthropic.OverloadedError, anthropic.APIConnectionError):
            with pytest.raises(error):
                run(provider, lambda c: c.messages.batches.create(requests=[{"custom_id": "a", "params": asked()}]))
        assert provider.stats()["batches"] == 1


def test_as_a_process_it_prints_its_url_counts_and_ends_with_its_stdin() -> None:
    command = [sys.executable, "-m", "tests.provider", "--latency", "0.01", "--sigma", "0.4", "--fault", "429=1"]
    root = Path(__file__).parents[1]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root) as process:
        url = json.loads(process.stdout.readline())["url"]
        provider = Provider()
        provider.url = url
        with pytest.raises(anthropic.RateLimitError):
            ask(provider, asked())
        stats = run(provider, lambda c: c.get("/_stats", cast_to=object))
        process.stdin.close()
        assert process.wait(timeout=5) == 0
    assert (stats["calls"], stats["rejected"]) == (0, {"429": 1})
