"""Nothing that comes over the wire is trusted: no key is shown, no reply of another shape ends a run, no answer is waited for for ever."""

import asyncio
import gzip
import json
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lib.errors import KitError
from lib.llm.call import ProviderError
from lib.llm.ledger import ledger
from lib.llm.tally import Tally
from lib.run.run import Run
from lib.settings import Settings
from tests import build
from tests.provider import Provider

KEY = "sk-ant-0123456789-secret"
ESCAPE = "\x1b[31mred"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())) | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@contextmanager
def within(seconds: int) -> Iterator[None]:
    """Fail instead of waiting for ever."""

    def give_up(*_: object) -> None:
        raise AssertionError(f"still waiting after {seconds} s")

    previous = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)


@pytest.fixture
def one(settings: Settings) -> Settings:
    """Settings of a run of one sample: two calls, a scenario and its gold response."""
    return settings.model_copy(update={"num_seeds": 1, "samples_per_seed": 1, "min_call_success": 0.0, "timeout_s": 5.0})


@pytest.fixture
def generate() -> Callable[[Settings], Tally]:
    def generated(settings: Settings) -> Tally:
        with within(30):
            return build.generate(settings)

    return generated


def answered(change: Callable[[Any], Any]) -> Callable[[web.Request, int, Any], Any]:
    """Return a `spoil` that changes the messages that are answered, and nothing else."""
    return lambda http, status, payload: change(payload) if http.path == "/v1/messages" and status == 200 else payload


def with_field(message: Any, path: tuple[str | int, ...], value: Any) -> Any:
    """Return the message with `value` at `path`."""
    if not path:
        return value
    copy = list(message) if isinstance(message, list) else dict(message)
    copy[path[0]] = with_field(copy[path[0]], path[1:], value)  # type: ignore[index,call-overload]
    return copy


def spent_usd(settings: Settings) -> float:
    return sum(line.cost_usd for line in ledger(Run(settings).journal))


def outcomes(settings: Settings) -> list[tuple[str, str]]:
    with sqlite3.connect(Run(settings).journal) as journal:
        return journal.execute("SELECT stage, outcome FROM reply WHERE stage != 'canary' ORDER BY stage DESC, number").fetchall()


# ── keys ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("around", ["{} ", "{}\n", "\t{}\r\n"])
def test_white_space_around_a_key_is_no_part_of_it(
    around: str, provider: Provider, one: Settings, generate: Callable[[Settings], Tally], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", around.format(KEY))
    assert generate(one).done == 1
    assert {exchange.key for exchange in provider.requests} == {KEY}


@pytest.mark.parametrize("key", [KEY + "\nx", KEY + " x", KEY + "é", KEY + "\x00"[:0] + "\x7f"])
@pytest.mark.parametrize("width", [4, 50])
def test_what_can_be_no_key_is_refused_by_its_name_and_not_shown(
    key: str, width: int, provider: Provider, one: Settings, generate: Callable[[Settings], Tally], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", key)
    with pytest.raises(ProviderError, match="ANTHROPIC_API_KEY") as problem:
        generate(one.model_copy(update={"max_concurrency": width}))
    assert KEY not in str(problem.value)
    assert not provider.requests


def repeats_the_key(place: str) -> Callable[[web.Request, int, Any], Any]:
    """Return a `spoil` that repeats the caller's key, and orders a terminal about, in one place of an answer."""
    said = f"you sent {KEY} {ESCAPE}"

    def spoil(http: web.Request, status: int, payload: Any) -> Any:
        if http.path != "/v1/messages":
            return payload
        if place.isdigit():
            body = {"type": "error", "error": {"type": "api_error", "message": said}}
            return web.json_response(body, status=int(place))
        if place == "html":
            return web.Response(status=502, text=f"<html>{said}</html>", content_type="text/html")
        if place == "category":
            return payload | {"stop_reason": "refusal", "stop_details": {"type": "refusal", "category": said}}
        if place == "text":
            return payload | {"content": [{"type": "text", "text": said}]}
        if place == "escaped":
            escaped = "".join(f"\\u{ord(letter):04X}" for letter in KEY)
            return with_field(payload, ("content", 0, "text"), payload["content"][0]["text"].replace("the", escaped))
        if place == "gold":
            return with_field(payload, ("content", 0, "text"), payload["content"][0]["text"].replace("the", KEY))
        return payload | {place: said}

    return spoil


@pytest.mark.parametrize(
    "place",
    ["400", "401", "403", "404", "413", "429", "500", "529", "html", "category", "text", "gold", "escaped", "model", "id", "stop_reason"],
)
def test_a_key_that_the_server_repeats_is_neither_shown_nor_stored(
    place: str,
    provider: Provider,
    one: Settings,
    generate: Callable[[Settings], Tally],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setattr("lib.llm.ask.ATTEMPTS_TO_REACH", 2)
    provider.settings.spoil = repeats_the_key(place)
    said = ""
    try:
        said = str(generate(one))
    except KitError as error:
        said = str(error)
    said += "".join(capfd.readouterr())
    written = b"".join(path.read_bytes() for path in Run(one).dir.rglob("*") if path.is_file())
    assert KEY not in said
    assert KEY.encode() not in written
    assert "\x1b" not in said


@pytest.mark.parametrize("before", [0, 90, 115, 395])
def test_a_key_is_taken_out_before_a_long_answer_is_cut(
    before: int, provider: Provider, one: Settings, generate: Callable[[Settings], Tally], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    provider.settings.spoil = answered(lambda _: b"x" * before + KEY.encode())
    said = generate(one).failures[0].detail
    assert KEY[:10] not in said
    written = b"".join(path.read_bytes() for path in Run(one).dir.rglob("*") if path.is_file())
    assert KEY[:10].encode() not in written


@pytest.mark.parametrize("odd", ["create", "list", "retrieve"])
def test_a_key_in_an_odd_answer_about_batches_is_not_shown(
    odd: str, provider: Provider, one: Settings, generate: Callable[[Settings], Tally], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setattr("lib.llm.batch_wire.TRIES", 1)
    monkeypatch.setattr("lib.llm.batch_wire.MOST_SILENT_POLLS", 2)

    def spoil(http: web.Request, status: int, payload: Any) -> Any:
        if "/batches" not in http.path:
            return payload
        what = "create" if http.method == "POST" else "list" if "limit" in http.query else "retrieve"
        nothing = b"{}" if what == "create" else {"data": []} if what == "list" else payload
        return KEY.encode() if what == odd else payload if odd == "retrieve" else nothing

    provider.settings.spoil = spoil
    with pytest.raises(ProviderError) as problem:
        generate(one.model_copy(update={"mode": "batch", "batch_poll_s": 0.01}))
    assert "[key removed]" in str(problem.value)
    assert KEY[:10] not in str(problem.value)


def test_no_redirect_is_followed(provider: Provider, one: Settings, generate: Callable[[Settings], Tally]) -> None:
    with Provider() as other:
        target = f"{other.url}/v1/messages"
        provider.settings.spoil = lambda http, status, payload: web.Response(status=307, headers={"location": target})
        with pytest.raises(ProviderError, match=r"redirects to 127\.0\.0\.1:\d+ .* set ANTHROPIC_BASE_URL"):
            generate(one)
        assert not other.requests


def test_of_the_base_url_only_host_and_port_are_shown(
    one: Settings, generate: Callable[[Settings], Tally], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://someone:passw0rd-long@127.0.0.1:9/private-path?token=t0ken-long")
    with pytest.raises(ProviderError, match=r"^127\.0\.0\.1:9 can't be reached") as problem:
        generate(one)
    assert not any(secret in str(problem.value) for secret in ("someone", "passw0rd", "private-path", "t0ken"))


def test_a_header_value_that_cannot_be_sent_is_refused_by_its_variables_name_and_not_shown(
    provider: Provider, one: Settings, generate: Callable[[Settings], Tally], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", f"X-Token: {KEY}\x01more")
    with pytest.raises(ProviderError, match="ANTHROPIC_CUSTOM_HEADERS") as problem:
        generate(one)
    assert KEY not in str(problem.value)


def test_a_password_is_not_shown_in_the_form_in_which_it_is_sent(
    provider: Provider, one: Settings, generate: Callable[[Settings], Tally], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", provider.url.replace("http://", "http://user:passw0rd-long@"))
    provider.settings.spoil = lambda http, _, payload: (
        web.json_response({"error": http.headers.get("authorization")}, status=400) if http.path == "/v1/messages" else payload
    )
    assert "dXNlcjpwYXNzdzByZC1sb25n" not in generate(one).failures[0].detail  # user:passw0rd-long in base64


@pytest.mark.parametrize("url", ["ftp://host", "host:8000", "http://", "http://host:port", "http://a b", "http://host\nx: y"])
def test_a_base_url_that_is_no_web_address_is_refused_by_its_name(
    url: str, one: Settings, generate: Callable[[Settings], Tally], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", url)
    with pytest.raises(ProviderError, match="ANTHROPIC_BASE_URL is no web address"):
        generate(one)


@pytest.mark.parametrize(
    ("name", "value"),
    [("ALL_PROXY", "socks5://user:passw0rd@127.0.0.1:9"), ("HTTPS_PROXY", "nonsense://x"), ("SSL_CERT_FILE", "/no/such/file")],
)
def test_a_proxy_or_certificate_that_cannot_be_used_is_refused_by_its_variables_name(
    name: str, value: str, provider: Provider, one: Settings, generate: Callable[[Settings], Tally], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ProviderError, match=name) as problem:
        generate(one)
    assert "passw0rd" not in str(problem.value)


@pytest.mark.parametrize("content", ["ANTHROPIC_API_KEY=k".encode("utf-16"), b"# caf\xe9\nANTHROPIC_API_KEY=k\n"])
def test_an_env_file_that_is_not_utf8_is_refused_by_its_path(
    content: bytes, tmp_path: Path, one: Settings, generate: Callable[[Settings], Tally], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lib.llm.environment.PROJECT_ROOT", tmp_path)
    (tmp_path / ".env").write_bytes(content)
    with pytest.raises(ProviderError, match=r"\.env is not UTF-8"):
        generate(one)


# ── replies ──────────────────────────────────────────────────────────────────────────────────────────────────────────

MESSAGE_FIELDS: list[tuple[str | int, ...]] = [
    (), ("id",), ("type",), ("model",), ("content",), ("content", 0), ("content", 0, "type"), ("content", 0, "text"), ("stop_reason",),
    ("stop_details",), ("usage",), ("usage", "input_tokens"), ("usage", "output_tokens"), ("usage", "cache_read_input_tokens"),
]  # fmt: skip
RUNS = count()


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from(MESSAGE_FIELDS), value=JSON, mode=st.sampled_from(["live", "batch"]))
def test_any_json_in_place_of_any_field_of_a_reply_ends_in_a_sample_or_a_recorded_failure(
    path: tuple[str | int, ...], value: Any, mode: str, provider: Provider, one: Settings, generate: Callable[[Settings], Tally]
) -> None:
    """With its cost, and after no more than three answers to each of the two calls. A provider may bill more than was asked for, too."""
    provider.settings.spoil = in_answers(lambda message: with_field(message, path, value))
    provider.requests.clear()
    one = one.model_copy(update={"run": f"r{next(RUNS)}", "mode": mode, "batch_poll_s": 0.01, "budget_usd": 1e5})
    made = generate(one)
    posted = [exchange for exchange in provider.requests if exchange.method == "POST"]
    assert made.done + len(made.failures) == 1
    assert all(failure.reason in ("invalid_answer", "refusal", "truncated") for failure in made.failures)
    assert 1 <= len(posted) <= 6
    assert 0 < spent_usd(one) <= one.budget_usd
    assert made.cost_usd == pytest.approx(spent_usd(one))


def in_answers(change: Callable[[Any], Any]) -> Callable[[web.Request, int, Any], Any]:
    """Return a `spoil` that changes every message, live or among a batch's results."""

    def spoil(http: web.Request, status: int, payload: Any) -> Any:
        if http.path == "/v1/messages":
            return json.dumps(change(payload)).encode()
        if not http.path.endswith("/results"):
            return payload
        lines = [json.loads(line) for line in payload.splitlines()]
        changed = [with_field(line, ("result", "message"), change(line["result"]["message"])) for line in lines]
        return "".join(json.dumps(line) + "\n" for line in changed)

    return spoil


@pytest.mark.parametrize(
    "body", [b"", b"<html>busy</html>", b"{}", b"[" * 200_000, b'{"content": 1}', b"\xff\xfe", b'{"usage": 1e999}', b"null"]
)
def test_a_200_that_is_no_message_is_paid_for_at_most_three_times_at_its_reserved_price(
    body: bytes, provider: Provider, one: Settings, generate: Callable[[Settings], Tally]
) -> None:
    provider.settings.spoil = answered(lambda _: body)
    made = generate(one)
    assert [failure.reason for failure in made.failures] == ["invalid_answer"]
    assert "is no message" in made.failures[0].detail
    assert provider.calls == 3
    assert outcomes(one) == [("scenario", "invalid_answer")] * 3
    assert spent_usd(one) == pytest.approx(made.cost_usd)
    assert spent_usd(one) > 3 * 8000 * 20 / 1e6  # 8,000 tokens of output at $20 a million, and the prompt, three times


def test_a_reply_that_does_not_say_what_it_used_is_used_and_costs_what_was_reserved(
    provider: Provider, one: Settings, generate: Callable[[Settings], Tally]
) -> None:
    provider.settings.spoil = answered(lambda message: {name: part for name, part in message.items() if name != "usage"})
    assert generate(one).done == 1
    assert spent_usd(one) > 2 * 8000 * 20 / 1e6


@pytest.mark.parametrize("usage", [{}, {"output_tokens": 5}, {"prompt_tokens": 9, "completion_tokens": 5}])
def test_counts_under_other_names_are_no_reason_to_throw_an_answer_away(
    usage: dict[str, int], provider: Provider, one: Settings, generate: Callable[[Settings], Tally]
) -> None:
    provider.settings.spoil = answered(lambda message: message | {"usage": usage})
    assert generate(one).done == 1
    assert provider.calls == 2
    assert spent_usd(one) > 2 * 8000 * 20 / 1e6


@pytest.mark.parametrize("width", [4, 50])
def test_an_answer_that_breaks_off_is_paid_for_at_most_three_times_at_its_reserved_price(
    width: int, provider: Provider, one: Settings, generate: Callable[[Settings], Tally]
) -> None:
    async def cut(http: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-length": "900"})
        await response.prepare(http)
        await response.write(b'{"content": [')
        assert http.transport
        http.transport.close()
        return response

    provider.settings.spoil = lambda http, _, payload: cut(http) if http.path == "/v1/messages" else payload
    made = generate(one.model_copy(update={"max_concurrency": width}))
    assert [(failure.reason, "broke off" in failure.detail) for failure in made.failures] == [("invalid_answer", True)]
    assert provider.calls == 3
    assert made.cost_usd == pytest.approx(spent_usd(one)) and spent_usd(one) > 3 * 8000 * 20 / 1e6


def test_an_error_whose_body_is_broken_is_not_paid_for(provider: Provider, one: Settings, generate: Callable[[Settings], Tally]) -> None:
    numbers = count()
    error = web.Response
    provider.settings.spoil = lambda http, _, payload: (
        error(status=502, body=b"busy", headers={"content-encoding": "br"})
        if http.path == "/v1/messages" and not next(numbers)
        else payload
    )
    assert generate(one).done == 1
    assert [outcome for _, outcome in outcomes(one)] == ["ok", "ok"]


def test_room_for_an_answer_doubles_after_it_was_cut_off(provider: Provider, one: Settings, generate: Callable[[Settings], Tally]) -> None:
    provider.settings.faults = {"cut": 1.0}
    generate(one)
    bodies = [each.body for each in provider.requests if each.path == "/v1/messages"]
    assert [body["max_tokens"] for body in bodies if isinstance(body, dict)] == [8_000, 16_000, 21_000]


def test_a_path_in_the_base_url_is_not_shown_when_the_server_repeats_it(
    provider: Provider, one: Settings, generate: Callable[[Settings], Tally], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", f"{provider.url}/t0ken-in-a-path")
    provider.settings.spoil = None
    with pytest.raises(ProviderError) as problem:
        generate(one)
    assert "t0ken" not in str(problem.value)


@pytest.mark.parametrize("tokens", [-1, -(10**12), 10**10, 2**63, 1e400, "many", 1.5])
def test_a_count_of_tokens_that_cannot_be_is_not_billed_as_it_stands(
    tokens: Any, provider: Provider, one: Settings, generate: Callable[[Settings], Tally]
) -> None:
    provider.settings.spoil = answered(lambda message: with_field(message, ("usage", "output_tokens"), tokens))
    made = generate(one)
    assert [failure.reason for failure in made.failures] == ["invalid_answer"]
    assert 0 < made.cost_usd < one.budget_usd


def test_one_odd_reply_among_many_costs_only_its_own_sample(
    provider: Provider, settings: Settings, generate: Callable[[Settings], Tally]
) -> None:
    numbers = count()
    half = answered(lambda message: with_field(message, ("content", 0, "text"), "\ud800") if next(numbers) < 3 else message)
    provider.settings.spoil = half
    made = generate(settings.model_copy(update={"max_concurrency": 1, "min_call_success": 0.0}))
    assert (made.done, len(made.failures)) == (5, 1)
    with sqlite3.connect(Run(settings).journal) as journal:
        assert journal.execute("SELECT text FROM reply WHERE outcome = 'invalid_answer'").fetchall() == [("\ufffd",)] * 3


@pytest.mark.parametrize(
    ("stop_reason", "reason", "calls"),
    [
        ("model_context_window_exceeded", "truncated", 1),
        ("pause_turn", "invalid_answer", 1),
        ("tool_use", "invalid_answer", 1),
        ("max_tokens", "truncated", 3),
    ],
)
def test_a_reply_that_stopped_early_is_named_for_its_stop_reason_and_repeated_only_where_that_can_help(
    stop_reason: str, reason: str, calls: int, provider: Provider, one: Settings, generate: Callable[[Settings], Tally]
) -> None:
    provider.settings.spoil = answered(lambda message: message | {"stop_reason": stop_reason, "content": []})
    made = generate(one)
    assert [failure.reason for failure in made.failures] == [reason]
    assert provider.calls == calls
    assert reason == "truncated" or stop_reason in made.failures[0].detail


@pytest.mark.parametrize("form", ["```json\n{}\n```", "Here it is:\n{}\nI hope it helps.", "[{}]"])
def test_json_among_other_text_is_found(form: str, provider: Provider, one: Settings, generate: Callable[[Settings], Tally]) -> None:
    def wrapped(message: Any) -> Any:
        return with_field(message, ("content", 0, "text"), form.replace("{}", message["content"][0]["text"]))

    provider.settings.spoil = answered(wrapped)
    assert generate(one).done == 1
    assert provider.calls == 2


# ── time and size ────────────────────────────────────────────────────────────────────────────────────────────────────


def dripping(body: bytes) -> Callable[[web.Request, int, Any], Any]:
    """Return a `spoil` that sends its answer a byte at a time, each well within the time for one."""

    async def spoil(http: web.Request, status: int, payload: Any) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "application/json"})
        await response.prepare(http)
        for byte in body:
            await response.write(bytes([byte]))
            await asyncio.sleep(0.2)
        return response

    return spoil


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/models"])
def test_the_time_limit_bounds_the_whole_answer(
    path: str, provider: Provider, one: Settings, generate: Callable[[Settings], Tally], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lib.llm.ask.ATTEMPTS_TO_REACH", 1)
    drip = dripping(b" " * 300)
    provider.settings.spoil = lambda http, status, payload: drip(http, status, payload) if http.path.startswith(path) else payload
    started = time.monotonic()
    try:
        failures = generate(one.model_copy(update={"timeout_s": 1.0})).failures
    except ProviderError as error:
        assert path == "/v1/models" and "can't be reached" in str(error)
    else:
        assert [failure.reason for failure in failures] == ["invalid_answer"]  # it had begun, so it may be billed
        assert "no whole answer within 1 s" in failures[0].detail
        assert spent_usd(one) > 3 * 8000 * 20 / 1e6
    assert time.monotonic() - started < 10


def test_a_line_of_a_batchs_results_that_does_not_come_is_not_waited_for_without_end(
    provider: Provider, one: Settings, generate: Callable[[Settings], Tally], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lib.llm.batch_wire.TRIES", 1)
    drip = dripping(b" " * 300)
    provider.settings.spoil = lambda http, status, payload: drip(http, status, payload) if http.path.endswith("/results") else payload
    started = time.monotonic()
    made = generate(one.model_copy(update={"mode": "batch", "batch_poll_s": 0.05, "timeout_s": 1.0}))
    assert [failure.reason for failure in made.failures] == ["unavailable"]
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("encoding", ["gzip", "identity", "br"])
@pytest.mark.parametrize("width", [4, 50])
def test_a_body_larger_than_any_answer_is_not_read_to_its_end(
    encoding: str, width: int, provider: Provider, one: Settings, generate: Callable[[Settings], Tally]
) -> None:
    large = b'{"content": [], "x": "' + b"x" * 100_000_000
    body = gzip.compress(large, 1) if encoding == "gzip" else large[:20_000_000]
    headers = {"content-encoding": encoding, "content-type": "application/json"}
    provider.settings.spoil = answered(lambda _: web.Response(body=body, headers=headers))
    made = generate(one.model_copy(update={"max_concurrency": width}))
    assert [failure.reason for failure in made.failures] == ["invalid_answer"]
    assert "compressed" in made.failures[0].detail if encoding == "br" else "larger than 8 MB" in made.failures[0].detail
    assert provider.calls == 3


def test_a_compressed_answer_is_read_although_none_was_asked_for(
    provider: Provider, one: Settings, generate: Callable[[Settings], Tally]
) -> None:
    def compressed(message: Any) -> web.Response:
        headers = {"content-encoding": "gzip", "content-type": "application/json"}
        return web.Response(body=gzip.compress(json.dumps(message).encode()), headers=headers)

    provider.settings.spoil = answered(compressed)
    assert generate(one).done == 1


# ── the models' pages ────────────────────────────────────────────────────────────────────────────────────────────────

MODEL_FIELDS: list[tuple[str | int, ...]] = [
    (), ("lifecycle",), ("retires_at",), ("capabilities",), ("capabilities", "structured_outputs"),
    ("capabilities", "structured_outputs", "supported"),
]  # fmt: skip


@hypothesis_settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from(MODEL_FIELDS), value=JSON.filter(lambda value: value is not False and value != "retired"))
def test_a_models_page_of_another_shape_is_taken_at_its_word(
    path: tuple[str | int, ...], value: Any, provider: Provider, one: Settings, generate: Callable[[Settings], Tally]
) -> None:
    provider.settings.spoil = lambda http, _, payload: with_field(payload, path, value) if http.path.startswith("/v1/models/") else payload
    assert generate(one.model_copy(update={"run": f"m{next(RUNS)}"})).done == 1


@pytest.mark.parametrize("ends", ["2199-01-01T00:00:00", "2199-01-01", "in spring"])
def test_a_models_end_without_a_time_zone_is_taken_as_utc_and_other_text_is_ignored(
    ends: str, provider: Provider, one: Settings, generate: Callable[[Settings], Tally]
) -> None:
    provider.settings.spoil = lambda http, _, payload: payload | {"retires_at": ends} if http.path.startswith("/v1/models/") else payload
    assert any("01 January 2199" in remark for remark in generate(one).remarks) == (ends != "in spring")


@pytest.mark.parametrize("body", [{"error": {}}, {"error": {"type": "not_found", "message": "no"}}, {"detail": "Not Found"}, "<html>"])
def test_only_a_404_of_anthropics_own_shape_means_that_a_model_is_unknown(
    body: Any, provider: Provider, one: Settings, generate: Callable[[Settings], Tally]
) -> None:
    def spoil(http: web.Request, status: int, payload: Any) -> Any:
        return web.json_response(body, status=404) if http.path.startswith("/v1/models/") else payload

    provider.settings.spoil = spoil
    assert generate(one).done == 1


# ── answers that are no HTTP ─────────────────────────────────────────────────────────────────────────────────────────

RAW_ANSWERS = {
    "no status": b"HTTP/1.1 abc nonsense\r\n\r\n",
    "another protocol": b"SSH-2.0-OpenSSH_9\r\n",
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "a huge header": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000 + b"\r\ncontent-length: 2\r\n\r\n{}",
    "a limit that is no number": b"HTTP/1.1 200 OK\r\nanthropic-ratelimit-requests-remaining: 0\r\n"
    b"anthropic-ratelimit-requests-reset: 0001-01-01\r\nanthropic-ratelimit-requests-limit: nan\r\ncontent-length: 2\r\n\r\n{}",
    "an endless wait": b"HTTP/1.1 429 Slow\r\nretry-after: 1e999\r\ncontent-length: 2\r\n\r\n{}",
    "too short a body": b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{}",
    "a broken chunk": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    "status 600": b"HTTP/1.1 600 Odd\r\ncontent-length: 0\r\n\r\n",
    "an error of brackets": b"HTTP/1.1 400 Bad\r\ncontent-length: 100000\r\n\r\n" + b"[" * 100_000,
    "broken compression": b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc",
    "a stream of events": b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 11\r\n\r\nevent: x\n\n\n",
}


@pytest.mark.parametrize("width", [4, 50])  # the two transports
@pytest.mark.parametrize("name", RAW_ANSWERS)
def test_an_answer_that_is_hardly_http_is_a_recorded_failure(
    name: str, width: int, provider: Provider, one: Settings, generate: Callable[[Settings], Tally], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lib.llm.ask.LONGEST_WAIT_S", 0.01)
    monkeypatch.setattr("lib.llm.ask.PLACE_HELD_S", 0.01)
    monkeypatch.setattr("lib.llm.ask.ATTEMPTS_TO_REACH", 2)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)

    async def spoil(http: web.Request, status: int, payload: Any) -> Any:
        if http.path != "/v1/messages":
            return payload
        assert http.transport
        http.transport.write(RAW_ANSWERS[name])  # type: ignore[attr-defined]
        http.transport.close()
        return web.Response()

    provider.settings.spoil = spoil
    made = generate(one.model_copy(update={"max_concurrency": width}))
    assert [failure.reason in ("unavailable", "invalid_answer", "rejected") for failure in made.failures] == [True]
    assert KEY not in made.failures[0].detail
