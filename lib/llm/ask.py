"""`ask(stage, id, prompt, answer)` returns a reply, from the journal when it is there, or else from the provider within the budget.

A new reply is in the journal before it is used.
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from pydantic import BaseModel

from lib.llm.answers import begins_as_json, reply_or_failure
from lib.llm.batch import BatchTransport
from lib.llm.books import Books
from lib.llm.call import Asked, Call, CallFailed, ProviderError, RawReply, Reply, Transient, no_objection
from lib.llm.live import LiveTransport
from lib.llm.loop import Stopping
from lib.llm.provider import Provider
from lib.llm.window import Window
from lib.prompts.rendering import Prompt, Stage, again_prompt
from lib.settings import Settings

A = TypeVar("A", bound=BaseModel)
Transport = LiveTransport | BatchTransport
SETTINGS_OF: dict[Stage, tuple[str, str]] = {  # the names of the settings that hold a stage's model and its effort
    "scenario": ("model", "scenario_effort"),
    "verify": ("verifier_model", "verify_effort"),
    "misstate": ("model", "gold_effort"),
    "gold": ("model", "gold_effort"),
    "spoil": ("model", "gold_effort"),
    "repair": ("model", "gold_effort"),
    "judge": ("judge_model", "judge_effort"),
}
ATTEMPTS_TO_REACH = 10  # at the provider, for one reply
ANSWERS_TO_PAY = 3  # for one call, when answers are cut off or invalid
ANSWERS_TO_TELL = 8  # when so many answers of a stage are all prose, the endpoint ignores the schema
LONGEST_WAIT_S = 60.0  # even when `retry-after` asks for more, because the next attempt shows whether the limit still holds
PLACE_HELD_S = 1.0  # after a 429
MOST_TOKENS = 21_000  # above 21,333 the SDK wants streaming


class Asker:
    """The `ask` function with the state that all calls share: journal, budget, window, transport, and the stop button."""

    def __init__(
        self, provider: Provider, *, books: Books, window: Window, transport: Transport, settings: Settings, stopping: Stopping
    ) -> None:
        self.provider, self.books, self.window, self.transport, self.stopping = provider, books, window, transport, stopping
        self.settings = settings
        self.replayed = self.asked = 0  # calls that the journal answered, and calls that it could not answer
        self.workers = (
            window.width + window.width // 4
        )  # samples under way at once; more than calls in flight, since some wait for the disk
        self._answers_in_prose = Counter[str]()  # by stage
        self._stages_in_json = set[str]()
        self._replayable: set[tuple[str, str]] | None = None  # (slot, stage), read from the journal when first needed

    async def __call__(
        self, stage: Stage, slot: str, *, prompt: Prompt, answer: type[A], vote: int = 0, objection: Callable[[A], str] = no_objection
    ) -> Reply[A]:
        """Return the reply. It costs nothing when the journal has it. `slot` is the id of what it is for.

        Raises CallFailed when this call can't be had, ProviderError when none can, and Stopped after the stop button.
        """
        call: Call[A] = call_for(self.settings, stage, slot=slot, prompt=prompt, answer=answer, vote=vote, objection=objection)
        call = replace(call, model=self.provider.model(call.model))
        try:
            outcome = await self._outcome(call)
        except CallFailed as failed:
            outcome = failed
        if isinstance(outcome, CallFailed):
            raise outcome.at(stage)
        return outcome

    def require_budget(self, slot: str, stages: Sequence[Stage]) -> None:
        """Raise CallFailed (over_budget) when nothing fits any more and no reply of `slot` could be replayed.

        So a pass whose budget is used up ends without rendering the prompts of all slots that are left.
        """
        if not stages or not self.books.budget.is_used_up:
            return
        if self._replayable is None:
            self._replayable = self.books.journal.slots_and_stages()
        if not any((slot, stage) in self._replayable for stage in stages):
            raise CallFailed("over_budget", "nothing fits into the budget any more", stage=stages[0])

    async def _outcome(self, call: Call[A]) -> Reply[A] | CallFailed:
        key = call.key(self.provider.id)
        found = self.books.journal.find(key)
        if found.outcome:
            outcome = reply_or_failure(call, found.raw, replayed=True)
            if found.outcome != outcome.reason:  # not validated before, or damaged since
                await self.books.journal.store(self.books.asked(call, key=key), found.raw, number=found.number, outcome=outcome.reason)
            if isinstance(outcome, Reply) or not outcome.may_repeat:
                self.replayed += 1
                return outcome
        self.stopping.check()
        self.asked += 1
        for raw in (found.raw, *reversed(found.unusable)):  # an earlier pass may have ended before the objection was answered
            failed = reply_or_failure(call, raw, replayed=True)
            if isinstance(failed, CallFailed) and failed.objection:
                call = _told(call, answer=raw.text, objection=failed.objection)
                break
        return await self._until_valid(call, key=key, paid=found.paid)

    async def _until_valid(self, call: Call[A], *, key: str, paid: int) -> Reply[A] | CallFailed:
        """Ask again while the answer is cut off or invalid and another may be better. `paid` replies are in the journal before.

        When the caller objects to an answer, it is asked for once more, with the answer and the objection.
        """
        for answer in range(1, ANSWERS_TO_PAY + 1):
            asked = self.books.asked(call, key=key)
            raw = await self._until_reached(call, asked)
            outcome = reply_or_failure(call, raw, replayed=False)
            await self.books.journal.store(asked, raw, number=paid + answer, outcome=outcome.reason)
            self._require_json(call.stage, raw=raw, outcome=outcome)
            if isinstance(outcome, Reply) or not outcome.may_repeat or (call.told and outcome.objection):
                break
            if outcome.reason == "truncated":
                call = replace(call, max_tokens=min(MOST_TOKENS, call.max_tokens * 2))
            if outcome.objection:
                call = _told(call, answer=raw.text, objection=outcome.objection)
        return outcome

    async def _until_reached(self, call: Call[Any], asked: Asked) -> RawReply:
        """Return a reply, with its cost counted in the budget. Raises CallFailed when it can't be had."""
        for attempt in range(1, ATTEMPTS_TO_REACH + 1):
            try:
                worst_usd = 0.0 if self.transport.holds(asked.key) else asked.worst_usd
                async with self.books.budget.reserve(worst_usd), self.window.place():
                    self.stopping.check()
                    raw = self.books.paid(asked, await self._attempt(call, asked, attempt=attempt))
                self.window.succeeded()
                return replace(raw, attempts=attempt)
            except Transient as problem:
                if attempt >= min(ATTEMPTS_TO_REACH, problem.most_attempts):
                    raise CallFailed("unavailable", f"{attempt} attempts, the last: {problem.detail}") from None
                await self.stopping.pause(_wait_s(attempt, problem.retry_after_s))
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _attempt(self, call: Call[Any], asked: Asked, *, attempt: int) -> RawReply:
        """Send once. After a 429, keep the place for up to one second, because the next call would be rejected too."""
        try:
            return await self.transport.send(call, max_tokens=call.max_tokens, asked=asked)
        except Transient as problem:
            if problem.kind == "429":
                self.window.rejected()
                wait_s = _wait_s(attempt, problem.retry_after_s)
                await self.stopping.pause(min(PLACE_HELD_S, wait_s))
                problem.retry_after_s = max(0.0, wait_s - PLACE_HELD_S)
            raise

    def _require_json(self, stage: Stage, *, raw: RawReply, outcome: Reply[Any] | CallFailed) -> None:
        """Raise ProviderError when the first finished answers of a stage are all prose, so that no more are paid for."""
        if stage in self._stages_in_json or outcome.reason in ("refusal", "truncated"):
            return
        if begins_as_json(raw):
            self._stages_in_json.add(stage)
            return
        self._answers_in_prose[stage] += 1
        if self._answers_in_prose[stage] == ANSWERS_TO_TELL:
            raise ProviderError(
                f"{self.provider.host} ignores structured outputs (output_config.format): the first {ANSWERS_TO_TELL} answers of stage "
                f"{stage} are not JSON ({self.provider.plain(raw.flaw or raw.text, longest=80)}). Use an endpoint that honours them."
            )


def call_for(settings: Settings, stage: Stage, **parts: Any) -> Call[Any]:
    """Return the call of `parts` (slot, prompt, answer …) with the model, effort and `max_tokens` that its stage has in `settings`."""
    model, effort = (getattr(settings, name) for name in SETTINGS_OF[stage])
    return Call(stage=stage, model=model, effort=effort, max_tokens=settings.max_tokens, **parts)


def _told(call: Call[A], *, answer: str, objection: str) -> Call[A]:
    """Return the call with an earlier answer, and what was objected to it, in its prompt."""
    return replace(call, prompt=again_prompt(call.prompt, answer=answer, objection=objection), told=True)


def _wait_s(attempt: int, retry_after_s: float | None) -> float:
    """Return the provider's own wait, or else 0.5 s doubled with each attempt. Jitter keeps calls from coming back together."""
    wait_s = retry_after_s if retry_after_s is not None else min(30.0, 0.5 * 2 ** (attempt - 1))
    return min(LONGEST_WAIT_S, wait_s) * random.uniform(1.0, 1.25)
