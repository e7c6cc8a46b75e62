"""A call -> the parameters of OpenAI-compatible chat completions; an answer -> the reply; and what the headers say of the rate limit.

Source of the shapes: the types of the `openai` package, 3.57, and what the servers of other houses were seen to do.
"""

import re
import time
from collections.abc import Mapping
from typing import Any

from lib.errors import plain, without_secrets
from lib.llm.call import Call, RawReply, Transient, Usage, wire_schema
from lib.llm.window import RateLimit
from lib.llm.wire import BROKEN, LONGEST_NAME, Count, Text, Tokens, Unreadable, Wire, at, read, unreadable_reply

FORMAT = "response_format"  # the parameter that asks for a structured output
EFFORT = "reasoning_effort"  # how an error names the parameter of the effort
OWN_HOSTS = ("openai.com", "openai.azure.com")  # take `max_completion_tokens`; other servers know `max_tokens`
STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal"}
DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_-]")


def parameters(call: Call[Any], *, is_own_host: bool = False) -> dict[str, Any]:
    """Return the parameters of `chat.completions.create`, live and in a batch."""
    name = NOT_IN_A_NAME.sub("_", call.answer.__name__)
    schema = {"name": name, "schema": wire_schema(call.answer).schema, "strict": True}
    return {
        "model": call.model,
        "max_completion_tokens" if is_own_host else "max_tokens": call.max_tokens,
        "messages": [{"role": "system", "content": call.prompt.system}, {"role": "user", "content": call.prompt.user}],
        **({} if call.is_plain else {"response_format": {"type": "json_schema", "json_schema": schema}}),
        **({"reasoning_effort": call.effort} if call.effort else {}),
    }


async def post(client: Any, values: dict[str, Any]) -> Any:
    return await client.chat.completions.with_raw_response.create(**values)


class WirePart(Wire):
    type: Text = ""
    text: Text = ""


class WireChoice(Wire):
    content: str | list[WirePart] | None = at("message", "content", default=None)
    refusal: Text = at("message", "refusal")
    finish_reason: Text = ""

    @property
    def text(self) -> str:
        """The answer. Some servers send it in parts, with thinking among them."""
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content if part.type == "text")
        return self.content or ""


class WireCompletion(Wire):
    """An answer of `/v1/chat/completions`. Only `choices` must be there, unless the body is an error under status 200."""

    choices: list[WireChoice] | None = None
    prompt_tokens: Tokens | None = at("usage", "prompt_tokens", default=None)
    completion_tokens: Tokens | None = at("usage", "completion_tokens", default=None)
    total_tokens: Count = at("usage", "total_tokens", default=0)
    cached: Count = at("usage", "prompt_tokens_details", "cached_tokens", default=0)
    model: Text = ""
    id: Text = ""
    error: Text = at("error", "message")

    @property
    def usage(self) -> Usage | None:
        """The tokens as billed, or None when the answer does not name both counts.

        Where a server counts reasoning beside the completion's tokens and not among them, only the total holds it.
        """
        if self.prompt_tokens is None or self.completion_tokens is None:
            return None
        cached = min(self.cached, self.prompt_tokens)
        output = max(self.completion_tokens, self.total_tokens - self.prompt_tokens)
        return Usage(self.prompt_tokens - cached, output, cache_read=cached)


def reply_of(answer: Any, *, secrets: tuple[str, ...]) -> RawReply:
    """Return what is kept of an answer, which is bytes or decoded JSON. Raises Transient for an error that came with status 200."""
    try:
        found = read(WireCompletion, answer, secrets=secrets)
    except Unreadable as problem:
        return unreadable_reply(str(problem), secrets=secrets)
    if not found.choices:
        if found.error:  # a gateway has begun its answer before the model's server failed
            raise Transient("5xx", plain(found.error, secrets=secrets, longest=200))
        return unreadable_reply("it has no choices", secrets=secrets)
    choice = found.choices[0]
    reason = "refusal" if choice.refusal else STOP_REASONS.get(choice.finish_reason, choice.finish_reason)
    stop_reason, model, request_id = (plain(name, secrets=secrets, longest=LONGEST_NAME) for name in (reason, found.model, found.id))
    detail = choice.finish_reason if reason == "refusal" and not choice.refusal else ""
    flaw = "a broken character stands in the answer" if BROKEN in choice.text else ""
    text = without_secrets(choice.text, secrets)
    return RawReply(text, stop_reason, found.usage, model, request_id=request_id, stop_detail=detail, flaw=flaw)


def rate_limit(headers: Mapping[str, str]) -> RateLimit | None:
    """Return the rate limit of requests, or None when the headers do not name it. The reset is a duration such as "1m30s"."""
    try:
        remaining, limit = (float(headers[f"x-ratelimit-{name}-requests"]) for name in ("remaining", "limit"))
        parts = DURATION.findall(headers["x-ratelimit-reset-requests"])
        if not parts:
            return None
        return RateLimit(remaining, limit, reset_at=time.time() + sum(float(count) * SECONDS[unit] for count, unit in parts))
    except (KeyError, ValueError):
        return None
