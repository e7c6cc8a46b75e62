"""A call -> the parameters of Anthropic's Messages API, and what its headers say of the rate limit."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from lib.llm.budget import cacheable
from lib.llm.call import Call, wire_schema
from lib.llm.window import RateLimit
from lib.llm.wire import reply_of

FORMAT = "output_config.format"  # the parameter that asks for a structured output
EFFORT = "effort"  # how an error names the parameter of the effort

__all__ = ["EFFORT", "FORMAT", "parameters", "post", "rate_limit", "reply_of"]


def parameters(call: Call[Any]) -> dict[str, Any]:
    """Return the parameters of `messages.create`, live and in a batch. The shared instructions come first, so that they can be cached."""
    output: dict[str, Any] = {} if call.is_plain else {"format": {"type": "json_schema", "schema": wire_schema(call.answer).schema}}
    if call.effort:
        output["effort"] = call.effort
    system: dict[str, Any] = {"type": "text", "text": call.prompt.system}
    if cacheable(call.prompt.system, call.model):
        system["cache_control"] = {"type": "ephemeral"}
    return {
        "model": call.model,
        "max_tokens": call.max_tokens,
        "system": [system],
        "messages": [{"role": "user", "content": call.prompt.user}],
        **({"output_config": output} if output else {}),
    }


async def post(client: Any, values: dict[str, Any]) -> Any:
    return await client.messages.with_raw_response.create(**values)


def rate_limit(headers: Mapping[str, str]) -> RateLimit | None:
    """Return the rate limit of requests, or None when the headers do not name it."""
    prefix = "anthropic-ratelimit-requests"
    try:
        reset_at = datetime.fromisoformat(headers[f"{prefix}-reset"]).timestamp()
        return RateLimit(float(headers[f"{prefix}-remaining"]), float(headers[f"{prefix}-limit"]), reset_at=reset_at)
    except (KeyError, ValueError):
        return None
