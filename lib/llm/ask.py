"""`ask(stage, id, prompt, answer)` returns a reply, from the journal when it is there, or else from the provider within the budget.

A new reply is in the journal before it is used.
"""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from pydantic import BaseModel

from lib.llm.addresses import SETTINGS_OF, stages_asked
from lib.llm.answers import reply_or_failure
from lib.llm.budget import Budget
from lib.llm.call import Asked, Call, CallFailed, RawReply, Reply, Transient, no_objection
from lib.llm.endpoint import Endpoint, Model
from lib.llm.journal import Journal
from lib.llm.loop import Stopping
from lib.llm.provider import Provider
from lib.prompts.rendering import Prompt, Stage
from lib.settings import Settings

A = TypeVar("A", bound=BaseModel)
ATTEMPTS_TO_REACH = 10  # at the provider, for one reply
ANSWERS_TO_PAY = 3  # for one call, when answers are cut off or invalid
LONGEST_WAIT_S = 60.0  # even when `retry-after` asks for more, because the next attempt shows whether the limit still holds
PLACE_HELD_S = 1.0  # after a 429
MOST_TOKENS = 21_000  # above 21,333 the SDK wants streaming


class Asker:
    """The `ask` function with the state that all calls share: endpoints, journal, budget, and the stop button."""

    def __init__(
        self, models: Mapping[Stage, Sequence[Model]], *, journal: Journal, budget: Budget, settings: Settings, stopping: Stopping
    ) -> None:
        self.models, self.journal, self.budget, self.stopping = models, journal, budget, stopping  # several models are a panel
        self.settings = settings
        self._endpoints = list(dict.fromkeys(model.endpoint for group in models.values() for model in group))
        self.replayed = self.asked = 0  # calls that the journal answered, and calls that it could not answer
        width = max(endpoint.window.width for endpoint in self._endpoints)
        self.workers = width + width // 4  # samples under way at once; more than calls in flight, since some wait for the disk
        self._replayable: set[tuple[str, str]] | None = None  # (slot, stage), read from the journal when first needed
        self._all_seen: asyncio.Task[None] | None = None

    def provider(self, stage: Stage) -> Provider:
        """Return who answers the calls of a stage, or those of a panel's first judge."""
        return self.models[stage][0].endpoint.provider

    def mode(self, stage: Stage) -> str:
        """Return "live" or "batch"."""
        return self.models[stage][0].endpoint.books.access.mode

    @property
    def is_free(self) -> bool:
        """Whether all calls are answered on this machine."""
        return all(endpoint.provider.is_local for endpoint in self._endpoints)

    @property
    def in_flight(self) -> tuple[int, int]:
        """The live calls that are under way at the endpoint that has most of them, and how many there may be."""
        windows = [endpoint.window for endpoint in self._endpoints if endpoint.books.access.mode == "live"]
        return max(((window.in_flight, int(window.limit)) for window in windows), default=(0, 0))

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a person should know afterwards."""
        return tuple(dict.fromkeys(remark for endpoint in self._endpoints for remark in endpoint.transport.remarks))

    def follow_batches(self, report: Callable[[str], None]) -> None:
        """Call `report(text)` from now on when something is known of a batch."""
        for endpoint in self._endpoints:
            endpoint.transport.report = report

    async def __call__(
        self,
        stage: Stage,
        slot: str,
        *,
        prompt: Prompt,
        answer: type[A],
        vote: int = 0,
        place: int = 0,
        objection: Callable[[A], str] = no_objection,
    ) -> Reply[A]:
        """Return the reply. It costs nothing when the journal has it. `slot` is the id of what it is for, `place` that of the model.

        Raises CallFailed when this call can't be had, ProviderError when none can, and Stopped after the stop button.
        """
        model, about = self.models[stage][place], {"slot": slot, "prompt": prompt, "answer": answer, "vote": vote, "objection": objection}
        call: Call[A] = call_for(self.settings, stage, model=model.name, **about)
        try:
            outcome = await self._outcome(call, endpoint=model.endpoint)
        except CallFailed as failed:
            outcome = failed
        if isinstance(outcome, CallFailed):
            raise outcome.at(stage)
        return outcome

    def require_budget(self, slot: str, stages: Sequence[Stage]) -> None:
        """Raise CallFailed (over_budget) when nothing fits any more and no reply of `slot` could be replayed.

        So a pass whose budget is used up ends without rendering the prompts of all slots that are left.
        """
        if not stages or not self.budget.is_used_up:
            return
        if self._replayable is None:
            self._replayable = self.journal.slots_and_stages()
        if not any((slot, stage) in self._replayable for stage in stages):
            raise CallFailed("over_budget", "nothing fits into the budget any more", stage=stages[0])

    async def _outcome(self, call: Call[A], *, endpoint: Endpoint) -> Reply[A] | CallFailed:
        key = call.key(endpoint.provider.id)
        found = self.journal.find(key)
        if found.outcome:
            outcome = reply_or_failure(call, found.raw, replayed=True)
            if found.outcome != outcome.reason:  # not validated before, or damaged since
                await self.journal.store(endpoint.books.asked(call, key=key), found.raw, number=found.number, outcome=outcome.reason)
            if isinstance(outcome, Reply) or not outcome.may_repeat:
                self.replayed += 1
                return outcome
        self.stopping.check()
        self.asked += 1
        for raw in (found.raw, *reversed(found.unusable)):  # an earlier pass may have ended before the objection was answered
            failed = reply_or_failure(call, raw, replayed=True)
            if isinstance(failed, CallFailed) and failed.objection:
                call = call.told_of(raw.text, objection=failed.objection)
                break
        await self._see_all()
        return await self._until_valid(await endpoint.seen(call), key=key, paid=found.paid, endpoint=endpoint)

    async def _see_all(self) -> None:
        """Before the first call that is paid for, let every model show that it honours schemas, the judge too when samples are made."""
        if not self._all_seen:
            self._all_seen = asyncio.create_task(self._canaries())
        await asyncio.shield(self._all_seen)

    async def _canaries(self) -> None:
        for stage in stages_asked(self.settings):
            for model in self.models.get(stage, ()):
                await model.endpoint.takes(model.name, effort=getattr(self.settings, SETTINGS_OF[stage][1]))

    async def _until_valid(self, call: Call[A], *, key: str, paid: int, endpoint: Endpoint) -> Reply[A] | CallFailed:
        """Ask again while the answer is cut off or invalid and another may be better. `paid` replies are in the journal before.

        When the caller objects to an answer, it is asked for once more, with the answer and the objection.
        """
        for answer in range(1, ANSWERS_TO_PAY + 1):
            asked = endpoint.books.asked(call, key=key)
            raw = await self._until_reached(call, asked, endpoint=endpoint)
            outcome = reply_or_failure(call, raw, replayed=False)
            await self.journal.store(asked, raw, number=paid + answer, outcome=outcome.reason)
            if isinstance(outcome, Reply) or not outcome.may_repeat or (call.told and outcome.objection):
                break
            if outcome.reason == "truncated":
                call = replace(call, max_tokens=min(MOST_TOKENS, call.max_tokens * 2))
            if outcome.objection:
                call = call.told_of(raw.text, objection=outcome.objection)
        return outcome

    async def _until_reached(self, call: Call[Any], asked: Asked, *, endpoint: Endpoint) -> RawReply:
        """Return a reply, with its cost counted in the budget. Raises CallFailed when it can't be had."""
        for attempt in range(1, ATTEMPTS_TO_REACH + 1):
            try:
                worst_usd = 0.0 if endpoint.transport.holds(asked.key) else asked.worst_usd
                async with self.budget.reserve(worst_usd), endpoint.window.place():
                    self.stopping.check()
                    raw = endpoint.books.paid(asked, await self._attempt(call, asked, attempt=attempt, endpoint=endpoint))
                endpoint.window.succeeded()
                return replace(raw, attempts=attempt)
            except Transient as problem:
                if attempt >= min(ATTEMPTS_TO_REACH, problem.most_attempts):
                    raise CallFailed("unavailable", f"{attempt} attempts, the last: {problem.detail}") from None
                await self.stopping.pause(_wait_s(attempt, problem.retry_after_s))
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _attempt(self, call: Call[Any], asked: Asked, *, attempt: int, endpoint: Endpoint) -> RawReply:
        """Send once. After a 429, keep the place for up to one second, because the next call would be rejected too."""
        try:
            return await endpoint.transport.send(call, asked)
        except Transient as problem:
            if problem.kind == "429":
                endpoint.window.rejected()
                wait_s = _wait_s(attempt, problem.retry_after_s)
                await self.stopping.pause(min(PLACE_HELD_S, wait_s))
                problem.retry_after_s = max(0.0, wait_s - PLACE_HELD_S)
            raise


def call_for(settings: Settings, stage: Stage, **parts: Any) -> Call[Any]:
    """Return the call of `parts` (slot, model, prompt, answer …) with the effort and `max_tokens` that its stage has in `settings`."""
    return Call(stage=stage, effort=getattr(settings, SETTINGS_OF[stage][1]), max_tokens=settings.max_tokens, **parts)


def _wait_s(attempt: int, retry_after_s: float | None) -> float:
    """Return the provider's own wait, or else 0.5 s doubled with each attempt. Jitter keeps calls from coming back together."""
    wait_s = retry_after_s if retry_after_s is not None else min(30.0, 0.5 * 2 ** (attempt - 1))
    return min(LONGEST_WAIT_S, wait_s) * random.uniform(1.0, 1.25)
