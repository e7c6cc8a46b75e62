"""One attempt at a call against an Anthropic Messages endpoint. No retries here, no judgement of the answer."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from lib.llm.body import BEGUN, BodyError
from lib.llm.budget import cacheable
from lib.llm.call import Asked, Call, RawReply, Transient, wire_schema
from lib.llm.problems import cause_of, problem_of
from lib.llm.provider import Provider
from lib.llm.wire import Unreadable, WireMessage, raw_reply, read, unreadable_reply

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic


class LiveTransport:
    """`heed` gets the headers of every answer, good or bad, because they say how much of the rate limit is left.

    `timeout_s` bounds a whole attempt, from sending to the last byte of the answer.
    """

    def __init__(
        self, client: "AsyncAnthropic", provider: Provider, *, timeout_s: float, heed: Callable[[Mapping[str, str]], None]
    ) -> None:
        self.client, self.provider, self.timeout_s, self.heed = client, provider, timeout_s, heed
        self.report: Callable[[str], None] = lambda _: None
        self.remarks: list[str] = []

    def holds(self, key: str) -> bool:
        """Whether the reply was bought before and is under way. Live, none is."""
        return False

    async def send(self, call: Call[Any], *, max_tokens: int, asked: Asked) -> RawReply:
        """Raises Transient, CallFailed (rejected), or ProviderError when no other call can succeed either."""
        import anthropic

        started, secrets = time.monotonic(), self.provider.all_secrets
        begun: list[int] = []
        BEGUN.set(begun)
        try:
            async with asyncio.timeout(self.timeout_s):
                response = await self.client.messages.with_raw_response.create(**request(call, max_tokens=max_tokens))
        except (anthropic.APITimeoutError, TimeoutError):
            late = f"no whole answer within {self.timeout_s:g} s"
            if begun:
                return unreadable_reply(late, secrets=secrets, seconds=time.monotonic() - started)
            raise Transient("timeout", late) from None
        except anthropic.APIConnectionError as error:
            if isinstance(error.__cause__, BodyError):  # an answer came, and may have been billed
                return unreadable_reply(str(error.__cause__), secrets=secrets, seconds=time.monotonic() - started)
            raise Transient("connection", cause_of(error, self.provider)) from None
        except anthropic.APIStatusError as error:
            self.heed(error.response.headers)
            raise problem_of(error, self.provider) from None
        self.heed(response.headers)
        came: Any = {"secrets": secrets, "request_id": response.request_id or "", "seconds": time.monotonic() - started}
        try:
            return raw_reply(read(WireMessage, response.http_response.content, secrets=secrets), **came)
        except Unreadable as problem:
            return unreadable_reply(str(problem), **came)


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
