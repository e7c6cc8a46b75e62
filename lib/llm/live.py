"""One attempt at a call against an Anthropic Messages endpoint. No retries here, no judgement of the answer."""

import json
import time
from collections.abc import Callable, Mapping
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
    """`heed` is shown the headers of every answer, good or bad: they say how much of the rate limit is left."""

    def __init__(self, client: "AsyncAnthropic", *, heed: Callable[[Mapping[str, str]], None]) -> None:
        self.client, self.heed = client, heed
        self.report: Callable[[str], None] = lambda _: None

    async def send(self, call: Call[Any], *, max_tokens: int, key: str) -> RawReply:
        """Raises Transient, CallFailed (rejected), or ProviderError when no other call can succeed either."""
        import anthropic

        started = time.monotonic()
        try:
            response = await self.client.messages.with_raw_response.create(**request(call, max_tokens=max_tokens))
            self.heed(response.headers)
            message = json.loads(response.http_response.content)
            return raw_reply(message, request_id=response.request_id or "", seconds=time.monotonic() - started)
        except anthropic.APITimeoutError as error:
            raise Transient("timeout", str(error)) from None
        except anthropic.APIConnectionError as error:
            raise Transient("connection", repr(error.__cause__ or error)) from None
        except anthropic.APIStatusError as error:
            self.heed(error.response.headers)
            raise problem_of(error) from None
        except (ValueError, KeyError, TypeError) as error:
            raise Transient("connection", f"the endpoint's answer is no message ({error!r})") from None


def request(call: Call[Any], *, max_tokens: int) -> dict[str, Any]:
    """Return the parameters of `messages.create`, live and in a batch. Shared instructions stand first; long enough, they are cached."""
    output: dict[str, Any] = {"format": {"type": "json_schema", "schema": wire_schema(call.answer).schema}}
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


def raw_reply(message: dict[str, Any], *, request_id: str = "", seconds: float = 0.0) -> RawReply:
    """Return what is kept of a message as it came: its text blocks (a thinking block may stand first), why it stopped, what it used."""
    usage = message["usage"]
    return RawReply(
        text="".join(block["text"] for block in message["content"] or [] if block["type"] == "text"),
        stop_reason=message["stop_reason"] or "",
        stop_detail=str((message.get("stop_details") or {}).get("category") or ""),
        usage=Usage(
            usage["input_tokens"],
            usage["output_tokens"],
            usage.get("cache_read_input_tokens") or 0,
            usage.get("cache_creation_input_tokens") or 0,
        ),
        model=message["model"],
        request_id=request_id or message["id"],
        seconds=seconds,
    )


def problem_of(error: Any) -> Exception:
    """Return what an HTTP error of the SDK means: ProviderError, Transient, or CallFailed (rejected)."""
    if fatal := fatal_error(error):
        return fatal
    status = error.status_code
    if error.response.headers.get("x-should-retry") == "false":
        return CallFailed("unavailable", f"{status}, and the provider says not to try again: {str(error.message)[:200]}")
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
