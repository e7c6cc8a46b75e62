"""One attempt at a call against an endpoint. It does not retry, and it does not judge the answer."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from lib.llm.body import RESPONSES
from lib.llm.call import Asked, Call, RawReply, Transient
from lib.llm.dialects import Dialect, dialect_of
from lib.llm.problems import one_attempt
from lib.llm.provider import Provider
from lib.llm.window import RateLimit
from lib.llm.wire import LONGEST_NAME, unreadable_reply


class LiveTransport:
    """`timeout_s` bounds a whole attempt, from sending to the last byte of the answer.

    `heed(rate_limit)` is called for every answer, good or bad, because the headers show how much of the rate limit is left.
    """

    def __init__(self, client: Any, provider: Provider, *, timeout_s: float, heed: Callable[[RateLimit | None], None]) -> None:
        self.client, self.provider, self.timeout_s, self.heed = client, provider, timeout_s, heed
        self.dialect: Dialect = dialect_of(provider)
        self.report: Callable[[str], None] = lambda _: None
        self.remarks: list[str] = []

    def holds(self, key: str) -> bool:
        """Whether the reply is under way in a batch. A live call never is."""
        return False

    async def send(self, call: Call[Any], asked: Asked) -> RawReply:
        """Return the reply. Raises Transient, CallFailed (rejected), or ProviderError when no other call can succeed either."""
        started, secrets = time.monotonic(), self.provider.secrets
        responses: list[Any] = []
        RESPONSES.set(responses)
        try:
            async with one_attempt(self.provider, timeout_s=self.timeout_s):
                response = await self.dialect.post(self.client, self.dialect.parameters(call))
            reply = self.dialect.reply_of(response.http_response.content, secrets=secrets)
        except Transient as problem:
            if not any(begun.is_success for begun in responses) or problem.kind == "5xx":
                raise
            reply = unreadable_reply(problem.detail, secrets=secrets)  # its answer had begun, so it may have been billed
        finally:
            for begun in responses:
                self.heed(self.dialect.rate_limit(begun.headers))
        headers = responses[-1].headers
        request_id = self.provider.plain(headers.get("request-id") or headers.get("x-request-id", ""), longest=LONGEST_NAME)
        return replace(reply, request_id=request_id or reply.request_id, seconds=time.monotonic() - started)
