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
    _canaries: dict[tuple[str, bool], asyncio.Task[bool]] = field(default_factory=dict)

    async def seen(self, call: Call[Any]) -> Call[Any]:
        """Return the call as the endpoint takes it, after it has shown, once for each model, that it honours schemas.

        The effort is left out where the model takes none. Raises ProviderError when schemas are not honoured, and when no call can succeed.
        """
        if self.provider.is_local:
            return call
        about = call.model, bool(call.effort)
        if about not in self._canaries:
            self._canaries[about] = asyncio.create_task(self._takes_effort(call))
        return call if await asyncio.shield(self._canaries[about]) else replace(call, effort="")

    async def _takes_effort(self, call: Call[Any]) -> bool:
        """Send the canary unless an earlier pass did, and return whether the model takes an effort."""
        efforts = ["low", ""] if call.effort else [""]
        for effort in efforts:  # an earlier pass may have found it out
            if self.books.journal.find(self._canary(call, effort=effort).key(self.provider.id)).outcome:
                return bool(effort)
        for effort in efforts:
            try:
                await self._try(self._canary(call, effort=effort))
                if call.effort and not effort:
                    self.transport.remarks.append(f"{call.model} at {self.provider.host} takes no effort, so it is asked without one.")
                return bool(effort)
            except CallFailed as failed:
                if effort and self.live.dialect.effort in failed.detail:
                    continue
                if failed.reason == "rejected":
                    raise ProviderError(await self._refusal(call, failed.detail)) from None
                return True  # it shows nothing of the schema, and the call itself will fail in the same way or succeed
            except NotFound as problem:
                raise ProviderError(str(problem) + await self._models_like(call.model)) from None
        raise AssertionError("unreachable: the last effort returns or raises")

    def _canary(self, call: Call[Any], *, effort: str) -> Call[CanaryAnswer]:
        room = min(CANARY_TOKENS, call.max_tokens)
        canary = Call(slot="canary", stage="canary", model=call.model, prompt=QUESTION, answer=CanaryAnswer, max_tokens=room)
        return replace(canary, effort=effort)

    async def _try(self, canary: Call[CanaryAnswer]) -> None:
        """Send the canary and journal it. Raises CallFailed when it shows nothing, ProviderError when schemas are not honoured."""
        books = self.books.in_mode("live")
        asked = books.asked(canary, key=canary.key(self.provider.id))
        try:
            async with books.budget.reserve(asked.worst_usd), self.window.place():
                raw = books.paid(asked, await self.live.send(canary, asked))
        except Transient as problem:
            raise CallFailed("unavailable", problem.detail) from None
        outcome = reply_or_failure(canary, raw, replayed=False)
        paid = books.journal.find(asked.key).paid
        await books.journal.store(asked, raw, number=paid + 1, outcome=outcome.reason)
        if isinstance(outcome, CallFailed):
            if outcome.reason == "invalid_answer" and not raw.flaw:
                raise ProviderError(self._ignores(canary, raw))
            raise outcome

    def _ignores(self, canary: Call[Any], raw: RawReply) -> str:
        quoted = self.provider.plain(raw.text, longest=80) or "nothing"
        other = (
            ""
            if self.provider.house == "openai"
            else " Many servers honour them on their OpenAI route: set OPENAI_BASE_URL, PROVIDER=openai."
        )
        return (
            f"{self.provider.host} ignores structured outputs ({self.live.dialect.format}): asked for JSON of two fields, {canary.model} "
            f"answered: “{quoted}”. Nothing else was asked. Use an endpoint or a model that honours them.{other}"
        )

    async def _refusal(self, call: Call[Any], detail: str) -> str:
        return (
            f"{self.provider.host} takes no structured call to {call.model} ({detail.rstrip('.')}). Nothing else was asked. Check "
            f"{self.provider.model_names}, {self.provider.key_names}, and that the endpoint knows {self.live.dialect.format}."
            f"{await self._models_like(call.model)}"
        )

    async def _models_like(self, model: str) -> str:
        return await models_like(self.live.client, model, provider=self.provider, timeout_s=self.live.timeout_s)
