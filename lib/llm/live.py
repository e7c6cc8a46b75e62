"""One attempt at a call against an Anthropic Messages endpoint. No retries here, no judgement of the answer."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from lib.llm.budget import cacheable
from lib.llm.call import Call, CallFailed, RawReply, Usage, wire_schema
from lib.llm.provider import fatal_error

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic


@dataclass
class Transient(Exception):
    """It may work when tried again. `kind`: 429, 529, 5xx, connection, timeout."""

    kind: str
    detail: str
    retry_after_s: float | None = None


class LiveTransport:
    def __init__(self, client: "AsyncAnthropic") -> None:
        self.client = client
        self.report: Callable[[str], None] = lambda _: None

    async def send(self, call: Call[Any], *, max_tokens: int, key: str) -> RawReply:
        """Raises Transient, CallFailed (rejected), or ProviderError when no other call can succeed either."""
        import anthropic

        started = time.monotonic()
        try:
            message = await self.client.messages.create(**request(call, max_tokens=max_tokens))
        except anthropic.APITimeoutError as error:
            raise Transient("timeout", str(error)) from None
        except anthropic.APIConnectionError as error:
            raise Transient("connection", repr(error.__cause__ or error)) from None
        except anthropic.APIStatusError as error:
            raise problem_of(error) from None
        except anthropic.APIResponseValidationError as error:
            raise Transient("connection", f"not a message: {error}") from None
        return raw_reply(message, seconds=time.monotonic() - started)


def request(call: Call[Any], *, max_tokens: int) -> dict[str, Any]:
    """Return the parameters of `messages.create`, live and in a batch. Shared instructions stand first; long enough, they are cached."""
    output: dict[str, Any] = {"format": {"type": "json_schema", "schema": wire_schema(call.answer)}}
    if call.effort:
        output["effort"] = call.effort
    system: dict[str, Any] = {"type": "text", "text": call.prompt.system}
    if cacheable(call.prompt.system, call.model):
        system["cache_control"] = {"type": "ephemeral"}
    return {
        "model": call.model,
        "max_tokens": max_tokens,
        "system": [system],
        "messages": [{"role": "user", "content": call.prompt.user}],
        "output_config": output,
    }


def raw_reply(message: Any, *, seconds: float = 0.0) -> RawReply:
    """Return what is kept of an SDK message: its text blocks (a thinking block may stand first), why it stopped, what it used."""
    usage = message.usage
    details = getattr(message, "stop_details", None)
    return RawReply(
        text="".join(block.text for block in message.content or [] if block.type == "text"),
        stop_reason=message.stop_reason or "",
        stop_detail=str(getattr(details, "category", "") or "") if details else "",
        usage=Usage(usage.input_tokens, usage.output_tokens, usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0),
        model=message.model,
        request_id=getattr(message, "_request_id", None) or message.id,
        seconds=seconds,
    )


def problem_of(error: Any) -> Exception:
    """Return what an HTTP error of the SDK means: ProviderError, Transient, or CallFailed (rejected)."""
    if fatal := fatal_error(error):
        return fatal
    status = error.status_code
    if status in (408, 409, 429) or status >= 500:
        kind = str(status) if status in (429, 529) else "5xx"
        return Transient(kind, f"{status}: {str(error.message)[:200]}", retry_after_s(error.response.headers))
    return CallFailed("rejected", f"{status}: {str(error.message)[:300]}")


def retry_after_s(headers: Any) -> float | None:
    """Return the wait that the provider asks for, in seconds: from `retry-after-ms`, or `retry-after` in seconds or as a date."""
    try:
        if milliseconds := headers.get("retry-after-ms"):
            return max(0.0, float(milliseconds) / 1000)
        if not (value := headers.get("retry-after")):
            return None
        try:
            return max(0.0, float(value))
        except ValueError:
            return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError):
        return None
