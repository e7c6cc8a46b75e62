"""One attempt at a call against an Anthropic Messages endpoint. It does not retry, and it does not judge the answer."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lib.llm.body import RESPONSES
from lib.llm.budget import cacheable
from lib.llm.call import Asked, Call, RawReply, Transient, wire_schema
from lib.llm.problems import one_attempt
from lib.llm.provider import Provider
from lib.llm.wire import LONGEST_NAME, reply_of, unreadable_reply

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic


class LiveTransport:
    """`timeout_s` bounds a whole attempt, from sending to the last byte of the answer.

    `heed(headers)` is called for every answer, good or bad, because the headers show how much of the rate limit is left.
    """

    def __init__(
        self, client: "AsyncAnthropic", provider: Provider, *, timeout_s: float, heed: Callable[[Mapping[str, str]], None]
    ) -> None:
        self.client, self.provider, self.timeout_s, self.heed = client, provider, timeout_s, heed
        self.report: Callable[[str], None] = lambda _: None
        self.remarks: list[str] = []

    def holds(self, key: str) -> bool:
        """Whether the reply is under way in a batch. A live call never is."""
        return False

    async def send(self, call: Call[Any], *, max_tokens: int, asked: Asked) -> RawReply:
        """Return the reply. Raises Transient, CallFailed (rejected), or ProviderError when no other call can succeed either."""
        started, secrets = time.monotonic(), self.provider.secrets
        responses: list[Any] = []
        RESPONSES.set(responses)
        try:
            async with one_attempt(self.provider, timeout_s=self.timeout_s):
                response = await self.client.messages.with_raw_response.create(**request(call, max_tokens=max_tokens))
            reply = reply_of(response.http_response.content, secrets=secrets)
        except Transient as problem:
            if not any(begun.is_success for begun in responses):
                raise
            reply = unreadable_reply(problem.detail, secrets=secrets)  # its answer had begun, so it may have been billed
        finally:
            for begun in responses:
                self.heed(begun.headers)
        request_id = self.provider.plain(responses[-1].headers.get("request-id", ""), longest=LONGEST_NAME)
        return replace(reply, request_id=request_id or reply.request_id, seconds=time.monotonic() - started)


def request(call: Call[Any], *, max_tokens: int) -> dict[str, Any]:
    """Return the parameters of `messages.create`, live and in a batch. The shared instructions come first, so that they can be cached."""
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
