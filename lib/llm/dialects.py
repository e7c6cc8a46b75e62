"""The two ways in which an endpoint is asked: Anthropic's Messages, which the clouds take too, and OpenAI-compatible chat completions."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from lib.llm import completions, messages
from lib.llm.call import Call, RawReply
from lib.llm.provider import Provider
from lib.llm.window import RateLimit


@dataclass(frozen=True, slots=True)
class Dialect:
    """What differs between the two."""

    parameters: Callable[[Call[Any]], dict[str, Any]]  # of one request
    post: Callable[[Any, dict[str, Any]], Awaitable[Any]]  # client, parameters -> the SDK's raw response
    reply_of: Callable[..., RawReply]  # the body of an answer
    rate_limit: Callable[[Mapping[str, str]], RateLimit | None]
    format: str  # the parameter that asks for a structured output
    effort: str  # how an error names the parameter of the effort


def dialect_of(provider: Provider) -> Dialect:
    if not provider.speaks_completions:
        parts = messages.parameters, messages.post, messages.reply_of, messages.rate_limit
        return Dialect(*parts, messages.FORMAT, messages.EFFORT)
    parameters = partial(completions.parameters, is_own_host=provider.host.lower().partition(":")[0].endswith(completions.OWN_HOSTS))
    return Dialect(parameters, completions.post, completions.reply_of, completions.rate_limit, completions.FORMAT, completions.EFFORT)
