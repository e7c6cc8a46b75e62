"""Requests of the unmodified Anthropic SDK go in over loopback; replies, faults and limits like the API's come out.

In a test: `with Provider(admit=20, faults={"429": 0.02}) as provider:` and `AsyncAnthropic(base_url=provider.url)`.
As a process: `python -m tests.provider --latency 0.5 --fault 529=0.02` prints {"url": ...} and ends with its stdin.
The settings are the fields of `Settings`, changed while running through `provider.settings.name = value`. No streaming,
no tools. Wire shapes: the types of anthropic 2.12. Attempts are counted per body, capacity rejections not among them.
OpenAI's routes give the same answers: `AsyncOpenAI(base_url=provider.url + "/v1")`.
"""

import argparse
import asyncio
import json
import math
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from functools import partial
from itertools import count
from random import Random
from statistics import NormalDist

from aiohttp import web

from tests.answers import Request, answer_text, as_blocks, cached_prefix, digest, draw, prose, usage_of
from tests.clouds import Clouds
from tests.completions import CompletionBatches, as_completion, as_error, as_messages

KNOWN_PARAMETERS = frozenset(
    "model messages max_tokens system output_config thinking metadata stop_sequences service_tier cache_control"
    " container diagnostics inference_geo speed tool_choice tools stream".split()
)
UNSUPPORTED_KEYWORDS = frozenset(
    "minLength maxLength pattern minimum maximum exclusiveMinimum exclusiveMaximum multipleOf maxItems".split()
)
UNCOUNTED = web.RequestKey("uncounted", bool)  # of a canary that is answered at once
OPENAI_ROUTES = ("/v1/chat/completions", "/v1/files", "/v1/batches")
MAX_TOKENS, MAX_BATCH, CUSTOM_ID = 64_000, 100_000, re.compile(r"^[a-zA-Z0-9_-]{1,64}$")
HTTP_FAULTS = {  # name: (status, error type, message)
    "400": (400, "invalid_request_error", "messages: Input could not be processed"),
    "401": (401, "authentication_error", "invalid x-api-key"),
    "402": (402, "billing_error", "Your credit balance is too low to access the Anthropic API."),
    "403": (403, "permission_error", "Your API key does not have permission to use the specified resource."),
    "404": (404, "not_found_error", "Not found"),
    "429": (429, "rate_limit_error", "This request would exceed your organization's rate limit."),
    "429_retry_after": (429, "rate_limit_error", "This request would exceed your organization's rate limit."),
    "429_spend_limit": (429, "rate_limit_error", "Your organization has crossed its monthly API usage threshold."),
    "500": (500, "api_error", "Internal server error"),
    "503": (503, "api_error", "Service unavailable"),
    "529": (529, "overloaded_error", "Overloaded"),
    "spend_limit": (400, "invalid_request_error", "You have reached your specified API usage limits. You will regain"
                    " access on 2026-12-01 at 00:00 UTC."),
}  # fmt: skip
REPLY_FAULTS = frozenset({"cut", "refusal", "invalid_json", "out_of_bounds", "empty"})  # answered 200, and paid for
FAULTS = HTTP_FAULTS.keys() | REPLY_FAULTS | {"drop", "hang"}


@dataclass(frozen=True, slots=True)
class Exchange:
    """What was asked and answered; status None means no answer."""

    time_s: float
    method: str
    path: str
    body: object
    key: str | None
    status: int | None


@dataclass(slots=True)
class Settings:
    """Shares and rates are in 0..1. A fault is one of FAULTS; an unknown name is a ValueError."""

    latency_s: float = 0.0  # the mean of a lognormal
    sigma: float = 0.0
    answer: Callable[[Request], dict | str | None] | None = None
    p_true: float = 0.93
    thinking: bool = False
    faults: dict[str, float] = field(default_factory=dict)
    script: list[str | None] = field(default_factory=list)  # by arrival; when used up, `faults` apply
    fault_for: Callable[[Request, int], str | None] | None = None  # attempts count from 1; replaces script and faults
    refusal_category: str | None = "general_harms"
    retry_after: float | str | None = 0.1  # seconds, "date:<s>" or "ms:<ms>"; on capacity 429s and "429_retry_after"
    admit: int | None = None  # most requests in flight
    bucket_per_second: float | None = None
    bucket_size: float | None = None  # default: one second's worth, at least 1
    cache_minimum: int = 4096  # characters
    retired: frozenset[str] | set[str] = frozenset()
    unknown_models: frozenset[str] | set[str] = frozenset()
    listed_models: tuple[str, ...] = ("gpt-test", "gpt-test-mini", "Qwen/Qwen3-8B")  # by GET /v1/models
    no_structured_outputs: frozenset[str] | set[str] = frozenset()
    retires_at: dict[str, str] = field(default_factory=dict)  # model: RFC 3339 time; makes it `deprecated`
    models_endpoint: bool = True
    has_batches: bool = True
    takes_effort: bool = True
    passes_canaries: bool = True  # a canary is answered well at once, free, and is neither counted nor recorded
    batch_delay_s: float = 0.0
    batch_faults: dict[str, float] = field(default_factory=dict)  # "errored", "expired"
    batch_script: list[str | None] = field(default_factory=list)  # for POST /batches; "drop" still makes it
    spoil: Callable[["web.Request", int, object], object] | None = None  # last of all: see `spoiled`
    batch_done_at_cancel: float = 0.0  # share of a canceled batch that had been answered already
    record: bool = True  # keep `provider.requests`

    def __setattr__(self, name: str, value: object) -> None:
        unknown = {*value} - FAULTS - {None} if name in ("faults", "script", "batch_script") else None
        if unknown:
            raise ValueError(f"No such faults: {sorted(unknown)}. There are: {sorted(FAULTS)}.")
        object.__setattr__(self, name, list(value) if name.endswith("script") else value)


class ApiError(Exception):
    """Becomes an answer in the real API's error shape."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status, self.kind, self.headers = status, kind, {}
        self.details: dict | None = None

    def body(self, request_id: str) -> dict:
        error = {"type": self.kind, "message": str(self)} | ({"details": self.details} if self.details else {})
        return {"type": "error", "error": error, "request_id": request_id}


class Unanswered(Exception):
    """The connection is closed without a reply."""


invalid = partial(ApiError, 400, "invalid_request_error")
not_found = partial(ApiError, 404, "not_found_error")


def latency_of(body_hash: str, *, mean_s: float, sigma: float) -> float:
    """Return this body's latency in seconds, from a lognormal whose mean is `mean_s`; the same every time."""
    if not mean_s:
        return 0.0
    z = NormalDist().inv_cdf(draw("latency", body_hash))
    return mean_s * math.exp(sigma * z - sigma**2 / 2)


def drawn_fault(body_hash: str, *, attempt: int, rates: dict[str, float]) -> str | None:
    """Return the fault of this attempt; a refusal is a property of the body, all others of the attempt."""
    if draw("refusal", body_hash) < rates.get("refusal", 0):
        return "refusal"
    return chosen(draw("fault", body_hash, attempt), rates={k: v for k, v in rates.items() if k != "refusal"})


def chosen(share: float, *, rates: dict[str, float]) -> str | None:
    """Return the name in whose part of 0..1 the share falls."""
    for name, rate in rates.items():
        share -= rate
        if share < 0:
            return name
    return None


def http_error(fault: str, *, retry_after: float | str | None) -> ApiError:
    error = ApiError(*HTTP_FAULTS[fault])
    if fault == "429_spend_limit":
        error.details = {"error_code": "enforced_spend_limit_reached"}
    if fault == "429_retry_after" and retry_after is not None:
        form, _, amount = str(retry_after).rpartition(":")
        error.headers = {"retry-after-ms" if form == "ms" else "retry-after": amount}
        if form == "date":
            error.headers = {"retry-after": formatdate(time.time() + float(amount), usegmt=True)}
    return error


def problem_with(body: object) -> str | None:
    """Return why the real API would answer this body of /v1/messages with 400, or None."""
    if not isinstance(body, dict):
        return "Input should be a valid dictionary"
    if missing := [name for name in ("model", "messages", "max_tokens") if name not in body]:
        return f"{missing[0]}: Field required"
    if unknown := sorted(body.keys() - KNOWN_PARAMETERS):
        return f"{unknown[0]}: Extra inputs are not permitted"
    if body.get("stream"):
        return "stream: this stand-in does not stream"
    if not isinstance(body["max_tokens"], int) or not 1 <= body["max_tokens"] <= MAX_TOKENS:
        return f"max_tokens: {body['max_tokens']} is not in 1..{MAX_TOKENS}"
    return turns_problem(body) or output_problem(body.get("output_config") or {})


def turns_problem(body: dict) -> str | None:
    turns = body["messages"]
    if not isinstance(turns, list) or not turns:
        return "messages: at least one message is required"
    for n, turn in enumerate(turns):
        if not isinstance(turn, dict) or turn.get("role") not in ("user", "assistant", "system"):
            return f"messages.{n}.role: Input should be 'user' or 'assistant'"
        if not turn.get("content") or not all(map(is_block, as_blocks(turn["content"]))):
            return f"messages.{n}: messages must have non-empty content"
    if not isinstance(system := body.get("system", ""), str | list) or not all(map(is_block, as_blocks(system))):
        return "system: Input should be a string or a list of non-empty text blocks"
    return None


def is_block(block: object) -> bool:
    return isinstance(block, dict) and (block.get("type") not in (None, "text") or bool(block.get("text")))


def output_problem(output_config: dict) -> str | None:
    if unknown := sorted(output_config.keys() - {"effort", "format"}):
        return f"output_config.{unknown[0]}: Extra inputs are not permitted"
    if output_config.get("effort") not in (None, "low", "medium", "high", "xhigh", "max"):
        return "output_config.effort: Input should be 'low', 'medium', 'high', 'xhigh' or 'max'"
    if not (wanted := output_config.get("format")):
        return None
    if wanted.get("type") != "json_schema" or not isinstance(wanted.get("schema"), dict):
        return "output_config.format: Input should be {'type': 'json_schema', 'schema': {...}}"
    problem = schema_problem(wanted["schema"])
    return problem and f"output_config.format.schema: {problem}"


def schema_problem(schema: dict) -> str | None:
    kind = schema.get("type")
    if unsupported := sorted(schema.keys() & UNSUPPORTED_KEYWORDS):
        return f"For '{kind}' type, property '{unsupported[0]}' is not supported"
    if schema.get("minItems", 0) > 1:
        return "For 'array' type, 'minItems' values other than 0 or 1 are not supported"
    if kind == "object" and schema.get("additionalProperties") is not False:
        return "For 'object' type, 'additionalProperties' must be explicitly set to false"
    parts = [*schema.get("properties", {}).values(), *schema.get("$defs", {}).values(), *schema.get("anyOf", [])]
    parts += [*schema.get("allOf", []), *([schema["items"]] if isinstance(schema.get("items"), dict) else [])]
    return next(filter(None, map(schema_problem, parts)), None)


def model_card(model: str, *, settings: Settings) -> dict:
    """Return what GET /v1/models/{model} answers, in the shape of anthropic.types.ModelInfo."""
    yes, no = {"supported": True}, {"supported": False}
    ends = "2026-01-01T00:00:00Z" if model in settings.retired else settings.retires_at.get(model)
    return {
        "type": "model", "id": model, "display_name": model.replace("-", " ").title(),
        "created_at": "2025-06-01T00:00:00Z", "deprecated_at": ends and "2025-12-01T00:00:00Z", "retires_at": ends,
        "lifecycle": "retired" if model in settings.retired else "deprecated" if ends else "active",
        "line": next((line for line in ("haiku", "sonnet", "opus") if line in model), None),
        "max_tokens": MAX_TOKENS, "max_input_tokens": 200_000,
        "capabilities": {
            "batch": yes, "citations": yes, "code_execution": yes, "image_input": yes, "pdf_input": yes,
            "context_management": yes,
            "effort": yes | dict.fromkeys(("low", "medium", "high", "xhigh", "max"), yes),
            "server_tools": yes | {"code_execution": yes, "web_search": yes},
            "structured_outputs": no if model in settings.no_structured_outputs else yes,
            "thinking": yes | {"types": {"adaptive": yes, "between_tools": no, "disabled": yes, "enabled": yes}},
        },
    }  # fmt: skip


@dataclass(slots=True)
class Bucket:
    """A token bucket, full at the start; its rate and size may change between calls."""

    tokens: float = math.inf
    filled_at_s: float = 0.0

    def take(self, *, per_second: float, size: float) -> bool:
        now = time.monotonic()
        self.tokens = min(size, self.tokens + (now - self.filled_at_s) * per_second)
        self.filled_at_s = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True

    def headers(self, *, per_second: float, size: float) -> dict[str, str]:
        tokens = min(size, self.tokens)
        full_at = datetime.now(UTC) + timedelta(seconds=(size - tokens) / per_second)
        amounts = {"limit": f"{size:g}", "remaining": str(int(tokens)), "reset": rfc3339(full_at)}
        return {f"anthropic-ratelimit-requests-{name}": amount for name, amount in amounts.items()}


def rfc3339(moment: datetime | None) -> str | None:
    return moment and moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(slots=True)
class Batch:
    """One Message Batch, from its creation to its results."""

    id: str
    requests: list[dict]
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    canceling: asyncio.Event = field(default_factory=asyncio.Event)
    canceled_at: datetime | None = None
    ended_at: datetime | None = None
    results: list[dict] = field(default_factory=list)

    def described(self, *, url: str) -> dict:
        counts = Counter(line["result"]["type"] for line in self.results if self.ended_at)
        kinds = {kind: counts[kind] for kind in ("succeeded", "errored", "canceled", "expired")}
        status = "ended" if self.ended_at else "canceling" if self.canceled_at else "in_progress"
        return {
            "id": self.id, "type": "message_batch", "processing_status": status, "archived_at": None,
            "request_counts": {"processing": len(self.requests) - counts.total(), **kinds},
            "created_at": rfc3339(self.created_at), "expires_at": rfc3339(self.created_at + timedelta(hours=24)),
            "ended_at": rfc3339(self.ended_at), "cancel_initiated_at": rfc3339(self.canceled_at),
            "results_url": f"{url}/v1/messages/batches/{self.id}/results" if self.ended_at else None,
        }  # fmt: skip


class Batches:
    """The batch endpoints; each request is answered as by /v1/messages, when `batch_delay_s` has passed."""

    def __init__(self, provider: "Provider") -> None:
        self._provider, self._made, self._running = provider, {}, set()

    def __len__(self) -> int:
        return len(self._made)

    async def create(self, http: web.Request, body: object) -> dict:
        requests = body.get("requests") if isinstance(body, dict) else None
        if not isinstance(requests, list) or not 1 <= len(requests) <= MAX_BATCH:
            raise invalid(f"requests: between 1 and {MAX_BATCH} requests are required")
        ids = [str(request.get("custom_id", "")) for request in requests]
        if bad := [n for n, name in enumerate(ids) if not CUSTOM_ID.fullmatch(name)]:
            raise invalid(f"requests.{bad[0]}.custom_id: String should match pattern '{CUSTOM_ID.pattern}'")
        if len(set(ids)) < len(ids):
            raise invalid("requests: custom_id must be unique within a batch")
        fault = next(iter(self._provider.settings.batch_script), None)
        del self._provider.settings.batch_script[:1]
        if fault in HTTP_FAULTS:
            raise http_error(fault, retry_after=self._provider.settings.retry_after)
        batch = self._started(requests)
        if fault == "drop":
            raise Unanswered("drop")
        return batch.described(url=self._provider.url)

    def _started(self, requests: list[dict]) -> Batch:
        batch = Batch(f"msgbatch_{len(self) + 1:06d}", requests)
        self._made[batch.id] = batch
        task = asyncio.create_task(self._run(batch))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return batch

    async def _run(self, batch: Batch) -> None:
        settings = self._provider.settings
        try:
            await asyncio.wait_for(batch.canceling.wait(), settings.batch_delay_s)
        except TimeoutError:
            pass
        done = int(len(batch.requests) * settings.batch_done_at_cancel) if batch.canceled_at else len(batch.requests)
        for n, request in enumerate(batch.requests):
            result = self._provider.batch_result(request.get("params")) if n < done else {"type": "canceled"}
            batch.results.append({"custom_id": request["custom_id"], "result": result})
            await asyncio.sleep(0)  # a batch of thousands must not hold up the other endpoints
        Random(batch.id).shuffle(batch.results)
        batch.ended_at = datetime.now(UTC)

    def _named(self, http: web.Request) -> Batch:
        if (name := http.match_info["batch_id"]) not in self._made:
            raise not_found(f"Message batch {name} not found.")
        return self._made[name]

    async def retrieve(self, http: web.Request, body: object) -> dict:
        return self._named(http).described(url=self._provider.url)

    async def cancel(self, http: web.Request, body: object) -> dict:
        batch = self._named(http)
        if not batch.ended_at:
            batch.canceled_at = batch.canceled_at or datetime.now(UTC)
            batch.canceling.set()
        return batch.described(url=self._provider.url)

    async def results(self, http: web.Request, body: object) -> str:
        batch = self._named(http)
        if not batch.ended_at:
            raise not_found(f"Message batch {batch.id} has no available results yet.")
        return "".join(json.dumps(line) + "\n" for line in batch.results)

    async def listing(self, http: web.Request, body: object) -> dict:
        ids = list(self._made)[::-1]
        if after := http.query.get("after_id"):
            ids = ids[ids.index(after) + 1 :] if after in ids else []
        page = ids[: int(http.query.get("limit", 20))]
        described = [self._made[name].described(url=self._provider.url) for name in page]
        edges = {"first_id": page[0] if page else None, "last_id": page[-1] if page else None}
        return {"data": described, "has_more": len(page) < len(ids), **edges}


class Provider:
    """The server. As a context manager it runs on its own loop in a daemon thread."""

    def __init__(self, **settings: object) -> None:
        self.url = ""
        self.reset(**settings)

    def reset(self, **settings: object) -> None:
        """Forget all that was asked and answered, and take these settings; the URL stays."""
        self.settings = Settings(**settings)
        self.requests: list[Exchange] = []
        self.calls = self.in_flight = self.max_in_flight = 0
        self.rejected: Counter[str] = Counter()  # POST /v1/messages by status, "drop", "abandoned" by the client
        self.usage: Counter[str] = Counter()  # tokens of all messages answered 200, batches included
        self.batches, self.completion_batches = Batches(self), CompletionBatches(self)
        self._bucket, self._cache, self._serials = Bucket(), set(), count(1)
        self._attempts, self._batch_attempts, self._answered = Counter(), Counter(), Counter()

    def stats(self) -> dict:
        """Return the counters; `repeated` counts the bodies paid for more than once, by whichever way."""
        repeated = sum(times > 1 for times in list(self._answered.values()))
        return {
            "calls": self.calls, "rejected": dict(self.rejected), "max_in_flight": self.max_in_flight,
            "repeated": repeated, "batches": len(self.batches), "usage": dict(self.usage), "cpu_s": time.process_time(),
        }  # fmt: skip

    async def messages(self, http: web.Request, body: object) -> dict:
        if self.settings.passes_canaries and is_canary(body):
            http[UNCOUNTED] = True
            return canary_message(body)
        self._take_capacity()
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        try:
            return await self._reply(self._accepted(body))
        finally:
            self.in_flight -= 1

    async def _completions(self, http: web.Request, body: object) -> dict:
        return as_completion(await self.messages(http, as_messages(body)))

    async def _model_list(self, http: web.Request, body: object) -> dict:
        return {"object": "list", "data": [{"id": name, "object": "model"} for name in self.settings.listed_models]}

    def _take_capacity(self) -> None:
        settings = self.settings
        is_full = settings.admit is not None and self.in_flight >= settings.admit
        if is_full or (self._rate and not self._bucket.take(**self._rate)):
            raise http_error("429_retry_after", retry_after=settings.retry_after)

    @property
    def _rate(self) -> dict[str, float]:
        per_second = self.settings.bucket_per_second
        return {"per_second": per_second, "size": self.settings.bucket_size or max(1, per_second)} if per_second else {}

    def _accepted(self, body: object) -> Request:
        if problem := problem_with(body):
            raise invalid(problem)
        if body["model"] in {*self.settings.retired, *self.settings.unknown_models}:
            raise not_found(f"model: {body['model']}")
        if not self.settings.takes_effort and (body.get("output_config") or {}).get("effort"):
            raise invalid("This model does not support the effort parameter (reasoning_effort).")
        request = Request(body, digest(body))
        if request.schema and body["model"] in self.settings.no_structured_outputs:
            raise invalid(f"output_config.format: '{body['model']}' does not support structured outputs")
        return request

    async def _reply(self, request: Request) -> dict:
        settings, fault = self.settings, self._fault(request)
        if fault in HTTP_FAULTS:
            raise http_error(fault, retry_after=settings.retry_after)
        if fault == "hang":
            await asyncio.Event().wait()  # never set: this handler is canceled when the client gives up
        prefix = cached_prefix(request, minimum=settings.cache_minimum)
        is_hit = prefix[0] in self._cache  # looked up on arrival, written on reply: early parallel requests all miss
        await asyncio.sleep(latency_of(request.body_hash, mean_s=settings.latency_s, sigma=settings.sigma))
        if fault == "drop":
            raise Unanswered("drop")
        return self._message(request, fault=fault, prefix=prefix, is_hit=is_hit)

    def _fault(self, request: Request) -> str | None:
        settings = self.settings
        self._attempts[request.body_hash] += 1
        attempt = self._attempts[request.body_hash]
        if settings.fault_for:
            fault = settings.fault_for(request, attempt)
            if fault is not None and fault not in FAULTS:
                raise ValueError(f"No such fault: {fault!r}. There are: {sorted(FAULTS)}.")
            return fault
        if settings.script:
            return settings.script.pop(0)
        return drawn_fault(request.body_hash, attempt=attempt, rates=settings.faults)

    def _message(self, request: Request, *, fault: str | None, prefix: tuple[str, str, int], is_hit: bool) -> dict:
        """Return the message, and count it as paid for."""
        model, limit = request.body["model"], request.body["max_tokens"]
        thought = prose(Random(request.body_hash), shortest=80, longest=200) if self.settings.thinking else ""
        text, stop_reason = self._text(request, fault=fault)
        usage = usage_of(request, prefix=prefix, is_hit=is_hit, thought=thought, text=text)
        if stop_reason == "max_tokens":
            usage["output_tokens"] = limit
        blocks = [{"type": "thinking", "thinking": thought, "signature": digest(thought)}] if thought else []
        blocks += [{"type": "text", "text": text, "citations": None}] if fault != "empty" else []
        details = {"type": "refusal", "category": self.settings.refusal_category, "explanation": None}
        if prefix[0]:
            self._cache.add(prefix[0])
        self._answered[request.body_hash] += 1
        self.usage.update({name: tokens for name, tokens in usage.items() if isinstance(tokens, int)})
        return {
            "id": f"msg_{next(self._serials):08d}", "type": "message", "role": "assistant", "model": model,
            "content": blocks, "stop_reason": stop_reason, "stop_sequence": None, "usage": usage,
            "stop_details": details if stop_reason == "refusal" else None,
        }  # fmt: skip

    def _text(self, request: Request, *, fault: str | None) -> tuple[str, str]:
        """Return (text, stop_reason); what does not fit into `max_tokens` is cut, as it would be."""
        if fault == "refusal":
            return "I can't help with that.", "refusal"
        text = self.settings.answer(request) if self.settings.answer else None
        if text is None:
            text = answer_text(request, p_true=self.settings.p_true, break_bounds=fault == "out_of_bounds")
        text = text if isinstance(text, str) else json.dumps(text)
        limit = request.body["max_tokens"] * 4
        if fault == "cut" or len(text) > limit:
            return text[: min(len(text) // 2, limit)], "max_tokens"
        return text[: len(text) // 2] if fault == "invalid_json" else text, "end_turn"

    def batch_result(self, params: object) -> dict:
        """Return one request's result; of `faults`, those answered 200 apply in batches too."""
        try:
            request = self._accepted(params)
        except ApiError as error:
            return {"type": "errored", "error": error.body(self._request_id())}
        self._batch_attempts[request.body_hash] += 1
        share = draw("batch", request.body_hash, self._batch_attempts[request.body_hash])
        kind = chosen(share, rates=self.settings.batch_faults)
        if kind == "errored":
            return {"type": kind, "error": ApiError(*HTTP_FAULTS["500"]).body(self._request_id())}
        if kind:
            return {"type": kind}
        rates = {name: rate for name, rate in self.settings.faults.items() if name in REPLY_FAULTS}
        fault = drawn_fault(request.body_hash, attempt=self._batch_attempts[request.body_hash], rates=rates)
        prefix = cached_prefix(request, minimum=self.settings.cache_minimum)
        message = self._message(request, fault=fault, prefix=prefix, is_hit=prefix[0] in self._cache)
        return {"type": "succeeded", "message": message}

    async def _model(self, http: web.Request, body: object) -> dict:
        model = http.match_info["model"]
        if model in self.settings.unknown_models:
            raise not_found(f"model: {model}")
        return model_card(model, settings=self.settings)

    def _request_id(self) -> str:
        return f"req_{next(self._serials):08d}"

    def _route(self, handler: Callable[[web.Request, object], Awaitable[dict | str]]) -> Callable:
        """Return the handler with what all endpoints share: key, JSON, error shape, headers, record."""

        async def respond(http: web.Request) -> web.Response:
            body, request_id, headers = None, self._request_id(), {}
            try:
                key_checked(http)
                body = await parts_of(http) if http.content_type == "multipart/form-data" else parsed(await http.read())
                status, payload = 200, await handler(http, body)
            except ApiError as error:
                status, payload, headers = error.status, error.body(request_id), error.headers
                payload = as_error(payload) if http.path in OPENAI_ROUTES else payload
            except web.HTTPException as error:
                return web.Response(status=error.status, text=error.text, content_type="application/json")
            except Unanswered as reason:
                self._note(http, body, status=None, outcome=str(reason))
                if http.transport:
                    http.transport.close()
                return web.Response()
            except asyncio.CancelledError:
                self._note(http, body, status=None, outcome="abandoned")
                raise
            self._note(http, body, status=status, outcome=str(status))
            payload = await spoiled(None if http.get(UNCOUNTED) else self.settings.spoil, http, status, payload)
            if isinstance(payload, web.StreamResponse):
                return payload
            headers |= {"request-id": request_id} | (self._bucket.headers(**self._rate) if self._rate else {})
            kind, text = ("x-jsonl", payload) if isinstance(payload, str | bytes) else ("json", json.dumps(payload))
            raw = text if isinstance(text, bytes) else text.encode()
            return web.Response(status=status, body=raw, content_type=f"application/{kind}", headers=headers)

        return respond

    def _note(self, http: web.Request, body: object, *, status: int | None, outcome: str) -> None:
        if http.get(UNCOUNTED):
            return
        if self.settings.record:
            asked = {"method": http.method, "path": http.path, "body": body, "key": key_of(http)}
            self.requests.append(Exchange(time_s=time.time(), status=status, **asked))
        if http.path not in ("/v1/messages", "/v1/chat/completions"):
            return
        self.calls += status == 200
        if status != 200:
            self.rejected[outcome] += 1

    def _application(self) -> web.Application:
        async def stats(http: web.Request) -> web.Response:
            return web.json_response(self.stats())

        async def card(http: web.Request) -> web.Response:
            if not self.settings.models_endpoint:
                return web.json_response({"detail": "Not Found"}, status=404)
            return await model(http)

        application = web.Application(client_max_size=256 * 2**20)
        model, clouds = self._route(self._model), Clouds(self)
        application.add_routes([
            web.post("/v1/messages", self._route(self.messages)),
            web.get("/v1/models/{model}", card),
            web.get("/v1/models", self._route(self._model_list)),
            web.post("/v1/chat/completions", self._route(self._completions)),
            *self._batch_routes(),
            web.post("/model/{model}/invoke", self._route(clouds.bedrock)),
            web.post("/projects/p/locations/{region}/publishers/anthropic/models/{model}:rawPredict", self._route(clouds.vertex)),
            web.post("/foundry/v1/messages", self._route(clouds.foundry)),
            web.post("/token", clouds.token),
            web.get("/_stats", stats),
        ])  # fmt: skip
        return application

    def _batch_routes(self) -> list[web.RouteDef]:
        def late(owner: str, name: str) -> Callable:
            """Return the handler of the batches that are there when it is called, because `reset` makes new ones."""

            async def handle(http: web.Request, body: object) -> object:
                if not self.settings.has_batches:
                    raise not_found("Not Found")
                return await getattr(getattr(self, owner), name)(http, body)

            return self._route(handle)

        one, theirs = "/v1/messages/batches/{batch_id}", "completion_batches"
        return [
            web.post("/v1/messages/batches", late("batches", "create")),
            web.get("/v1/messages/batches", late("batches", "listing")),
            web.get(one, late("batches", "retrieve")),
            web.get(one + "/results", late("batches", "results")),
            web.post(one + "/cancel", late("batches", "cancel")),
            web.post("/v1/files", late(theirs, "upload")),
            web.get("/v1/files/{file_id}/content", late(theirs, "content")),
            web.post("/v1/batches", late(theirs, "create")),
            web.get("/v1/batches", late(theirs, "listing")),
            web.get("/v1/batches/{batch_id}", late(theirs, "retrieve")),
        ]

    async def serve(self, *, started: Callable[[str], object], until: asyncio.Event) -> None:
        """Serve on a free port of 127.0.0.1, tell `started` the URL, and stop when `until` is set."""
        runner = web.AppRunner(self._application(), access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0, backlog=4096).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            started(self.url)
            await until.wait()
        finally:
            await runner.cleanup()

    def __enter__(self) -> "Provider":
        started: Future[str] = Future()

        async def main() -> None:
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            await self.serve(started=started.set_result, until=self._stop)

        self._thread = threading.Thread(target=asyncio.run, args=(main(),), daemon=True, name="provider")
        self._thread.start()
        started.result(timeout=10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(timeout=10)


async def spoiled(spoil: Callable | None, http: web.Request, status: int, payload: object) -> object:
    """Return what `spoil` makes of an answer: JSON, bytes as they are, or a whole response; it may be a coroutine."""
    made = spoil(http, status, payload) if spoil else payload
    return await made if isinstance(made, Awaitable) else made


def key_of(http: web.Request) -> str | None:
    return http.headers.get("authorization", "").removeprefix("Bearer ") or http.headers.get("x-api-key")


def key_checked(http: web.Request) -> None:
    if key_of(http) is None:
        raise ApiError(401, "authentication_error", "x-api-key header is required")
    if key_of(http) == "wrong-key":
        raise ApiError(401, "authentication_error", "invalid x-api-key")


def is_canary(body: object) -> bool:
    request = Request(body, "") if isinstance(body, dict) else None
    return request is not None and (request.schema or {}).get("title") == "CanaryAnswer"


def canary_message(body: dict) -> dict:
    usage = {"input_tokens": 0, "output_tokens": 0}
    text = json.dumps({"colour": "yellow", "is_fruit": True})
    return {
        "id": "msg_canary", "type": "message", "role": "assistant", "model": body["model"], "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn", "stop_sequence": None, "usage": usage,
    }  # fmt: skip


async def parts_of(http: web.Request) -> dict:
    """Return the fields of a form, a file as its bytes."""
    form = await http.post()
    return {name: part.file.read() if isinstance(part, web.FileField) else part for name, part in form.items()}


def parsed(raw: bytes) -> object:
    try:
        return json.loads(raw) if raw else None
    except ValueError as problem:
        raise invalid(f"The request body is not valid JSON: {problem}") from problem


def rate(text: str) -> tuple[str, float]:
    name, _, share = text.partition("=")
    return name, float(share)


def command_line(arguments: list[str]) -> dict:
    """Return the settings named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.provider", argument_default=argparse.SUPPRESS)
    numbers = "latency sigma p-true bucket-per-second bucket-size batch-delay batch-done-at-cancel"
    for name in numbers.split():
        target = name.replace("-", "_") + ("_s" if name in ("latency", "batch-delay") else "")
        parser.add_argument("--" + name, dest=target, type=float)
    parser.add_argument("--fault", dest="faults", type=rate, action="append", metavar="NAME=RATE")
    parser.add_argument("--batch-fault", dest="batch_faults", type=rate, action="append", metavar="NAME=RATE")
    parser.add_argument("--admit", type=int)
    parser.add_argument("--cache-minimum", type=int, metavar="CHARACTERS")
    parser.add_argument("--retry-after", metavar="SECONDS|date:SECONDS|ms:MILLISECONDS")
    parser.add_argument("--thinking", action="store_true")
    parser.add_argument("--no-models-endpoint", dest="models_endpoint", action="store_false")
    for name in ("retired", "unknown-models", "no-structured-outputs"):
        parser.add_argument("--" + name, nargs="+", metavar="MODEL")
    settings = vars(parser.parse_args(arguments))
    return settings | {name: dict(settings[name]) for name in ("faults", "batch_faults") if name in settings}


async def serve_until_stdin_closes(settings: dict) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def wait_for_end() -> None:
        sys.stdin.buffer.read()
        loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=wait_for_end, daemon=True).start()
    await Provider(record=False, **settings).serve(started=lambda url: print(json.dumps({"url": url}), flush=True), until=stop)


if __name__ == "__main__":
    asyncio.run(serve_until_stdin_closes(command_line(sys.argv[1:])))
