"""An open endpoint: who answers, with its prices, its window of calls and its transports, and whether it honours schemas."""

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pydantic import BaseModel

from lib.llm.answers import reply_or_failure
from lib.llm.batch import BatchTransport
from lib.llm.books import Books
from lib.llm.call import Call, CallFailed, NotFound, ProviderError, RawReply, Transient
from lib.llm.live import LiveTransport
from lib.llm.models import models_like
from lib.llm.provider import Provider
from lib.llm.window import Window
from lib.prompts.rendering import Prompt

Transport = LiveTransport | BatchTransport
CANARY_TOKENS = 2_000  # room for thinking
CANARIES = 3  # that are sent when one shows nothing
LONGEST_WAIT_S = 20.0  # between two canaries
QUESTION = Prompt("You answer in one short sentence.", "Is a ripe lemon yellow or green, and is it a fruit?")


class CanaryAnswer(BaseModel):  # the question asks for prose, so only an endpoint that honours the schema gives this JSON
    """The colour of a lemon, and whether it is a fruit."""

    colour: Literal["yellow", "green"]
    is_fruit: bool


@dataclass(slots=True, eq=False, kw_only=True)
class Endpoint:
    """Where calls are sent, with all that they share there. `live` sends the canary also where the transport makes batches."""

    provider: Provider
    books: Books
    window: Window
    transport: Transport
    live: LiveTransport
    _canaries: dict[tuple[str, str], asyncio.Task[bool]] = field(default_factory=dict)

    async def seen(self, call: Call[Any]) -> Call[Any]:
        """Return the call as the endpoint takes it, without an effort where the model takes none. Raises as `takes` does.

        A call for plain text needs no canary.
        """
        return call if call.is_plain or await self.takes(call.model, effort=call.effort) else replace(call, effort="")

    async def takes(self, model: str, *, effort: str) -> bool:
        """Send the canary, once for each model and effort, and return whether the model takes this effort.

        Raises ProviderError when schemas are not honoured, and when no call can succeed.
        """
        if self.provider.is_local:
            return True
        if (model, effort) not in self._canaries:
            self._canaries[model, effort] = asyncio.create_task(self._takes(model, effort=effort))
        return await asyncio.shield(self._canaries[model, effort])

    async def _takes(self, model: str, *, effort: str) -> bool:
        try:
            await self._send(_canary(model, effort=effort))
        except CallFailed as failed:
            if effort and failed.reason == "rejected" and self.live.dialect.effort in failed.detail:
                await self.takes(model, effort="")
                self.transport.remarks.append(f"{model} at {self.provider.host} takes no effort “{effort}”, so it is asked without one.")
                return False
            if failed.reason == "rejected":
                raise ProviderError(await self._refusal(model, failed.detail)) from None
        except NotFound as problem:
            raise NotFound(str(problem) + await self._models_like(model)) from None
        return True  # also where it shows nothing of the schema, because the call itself will then fail in the same way or succeed

    async def _send(self, canary: Call[CanaryAnswer]) -> None:
        """Send the canary until it shows something, unless the journal has it from an earlier pass. Raises as `_try` does."""
        if self.books.journal.find(canary.key(self.provider.id)).outcome:
            return
        for attempt in range(1, CANARIES + 1):
            try:
                return await self._try(canary)
            except Transient as problem:
                if attempt == CANARIES:
                    raise CallFailed("unavailable", problem.detail) from None
                await asyncio.sleep(min(LONGEST_WAIT_S, problem.retry_after_s if problem.retry_after_s is not None else attempt))

    async def _try(self, canary: Call[CanaryAnswer]) -> None:
        """Send the canary once and journal it.

        Raises Transient or CallFailed when it shows nothing, and ProviderError when the answer is none, or not what the schema asks for.
        """
        books = self.books.in_mode("live")
        asked = books.asked(canary, key=canary.key(self.provider.id))
        async with books.budget.reserve(asked.worst_usd), self.window.place():
            raw = books.paid(asked, await self.live.send(canary, asked))
        outcome, paid = reply_or_failure(canary, raw, replayed=False), books.journal.find(asked.key).paid
        await books.journal.store(asked, raw, number=paid + 1, outcome=outcome.reason)
        if raw.flaw and paid + 1 < CANARIES:
            raise Transient("connection", raw.flaw)
        if isinstance(outcome, CallFailed):
            if raw.flaw:
                raise ProviderError(f"{self.provider.host}: {raw.flaw}. Nothing else was asked. Check {self.provider.url_name}.")
            if outcome.reason == "invalid_answer":
                raise ProviderError(self._ignores(canary, raw))
            raise outcome

    def _ignores(self, canary: Call[Any], raw: RawReply) -> str:
        quoted = self.provider.plain(raw.text, longest=80) or "nothing"
        return (
            f"{self.provider.host} ignores structured outputs ({self.live.dialect.format}): asked for JSON of two fields, {canary.model} "
            f"answered: “{quoted}”. Nothing else was asked. Use an endpoint or a model that honours them.{self._other_route}"
        )

    @property
    def _other_route(self) -> str:
        """A sentence on the route of the same server that may honour schemas, or ""."""
        if self.provider.house == "openai":
            return ""
        is_of_judge_alone = self.provider.model_names == "JUDGE_MODEL"
        setting = "JUDGE_PROVIDER=openai" if is_of_judge_alone else "OPENAI_BASE_URL and PROVIDER=openai"
        return f" Many servers honour them on their OpenAI route: set {setting}."

    async def _refusal(self, model: str, detail: str) -> str:
        return (
            f"{self.provider.host} takes no structured call to {model} ({detail.rstrip('.')}). Nothing else was asked. Check "
            f"{self.provider.model_names}, {self.provider.key_names}, and that the endpoint knows {self.live.dialect.format}."
            f"{await self._models_like(model)}"
        )

    async def _models_like(self, model: str) -> str:
        return await models_like(self.live.client, model, provider=self.provider, timeout_s=self.live.timeout_s)


@dataclass(frozen=True, slots=True)
class Model:
    """A model that answers calls, and its endpoint."""

    endpoint: Endpoint
    name: str


def _canary(model: str, *, effort: str) -> Call[CanaryAnswer]:
    canary = Call(slot="canary", stage="canary", model=model, prompt=QUESTION, answer=CanaryAnswer, max_tokens=CANARY_TOKENS)
    return replace(canary, effort=effort)
