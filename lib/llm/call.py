"""A question to a model (Call), its answer (Reply), and the two ways in which a call can end badly."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel

from lib.errors import KitError, plain
from lib.prompts.answers import PlainAnswer
from lib.prompts.rendering import Prompt, Stage, again_prompt

A = TypeVar("A", bound=BaseModel)
FailureReason = Literal["refusal", "truncated", "invalid_answer", "rejected", "unavailable", "over_budget"]


def no_objection(_answer: Any) -> str:
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[A]):
    """One question to a model."""

    slot: str
    stage: Stage | Literal["canary"]
    model: str
    prompt: Prompt
    answer: type[A]
    max_tokens: int
    effort: str = ""
    vote: int = 0
    told: bool = False  # true when the prompt names an objection to an earlier answer
    objection: Callable[[A], str] = field(default=no_objection, compare=False)  # names a flaw that the schema can't forbid, or returns ""

    @property
    def is_plain(self) -> bool:
        """Whether any text is an answer, so that no schema is sent."""
        return self.answer is PlainAnswer

    def told_of(self, answer: str, *, objection: str) -> "Call[A]":
        """Return the call with an earlier answer, and what was objected to it, in its prompt."""
        return replace(self, prompt=again_prompt(self.prompt, answer=answer, objection=objection), told=True)

    def key(self, provider: str) -> str:
        """Return what identifies the reply. The mode and `max_tokens` are left out, because they do not change the question."""
        parts = [provider, self.slot, self.stage, self.vote, self.model, self.effort, *self.prompt, wire_schema(self.answer).sha256]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Asked:
    """What the journal keeps of a call."""

    key: str
    slot: str
    stage: str
    vote: int
    model: str
    worst_usd: float  # the most that it can cost


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as billed."""

    input: int = 0  # without those that were read from or written to the prompt cache
    output: int = 0  # with thinking
    cache_read: int = 0
    cache_write: int = 0


@dataclass(frozen=True, slots=True)
class RawReply:
    """A reply as it came. Its text is not validated, but it can be stored and shown."""

    text: str
    stop_reason: str
    usage: Usage | None  # None when the endpoint did not say what it used
    model: str
    request_id: str = ""
    stop_detail: str = ""  # the category of a refusal
    attempts: int = 1
    seconds: float = 0.0
    flaw: str = ""  # why the reply is of no use, whatever its text
    cost_usd: float | None = None  # None until the cost has been added to what was spent


@dataclass(frozen=True, slots=True)
class Reply(Generic[A]):
    """A validated answer."""

    answer: A
    model: str  # as the provider named it
    replayed: bool  # true when it came from the journal and cost nothing now
    reason: ClassVar[Literal["ok"]] = "ok"  # what the journal records where a failure has its reason


class CallFailed(Exception):
    """This call can't be had. It is recorded and counted, and the run goes on.

    `may_repeat` is false when the same question would end the same way. `objection` is the caller's to a valid answer, whole.
    """

    def __init__(self, reason: FailureReason, detail: str, *, stage: str = "", may_repeat: bool = True, objection: str = "") -> None:
        self.reason, self.detail, self.stage, self.may_repeat, self.objection = reason, plain(detail), stage, may_repeat, objection
        super().__init__(f"{reason}: {self.detail}")

    def at(self, stage: str) -> "CallFailed":
        """Return the same failure at `stage`. It is a new one, because a failed batch raises one failure in many calls."""
        return CallFailed(self.reason, self.detail, stage=stage, may_repeat=self.may_repeat)

    def named(self, model: str) -> "CallFailed":
        """Return the same failure with the name of the model, where one of several failed."""
        return CallFailed(self.reason, f"{model}: {self.detail}", stage=self.stage, may_repeat=self.may_repeat)


class Transient(Exception):
    """An attempt failed, and another may succeed. `most_attempts` bounds how many are made for one reply.

    `kind` is 429, 529, 5xx, connection, timeout or, of a batch's request, expired.
    """

    def __init__(self, kind: str, detail: str, *, retry_after_s: float | None = None, most_attempts: int = 10) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind, self.detail, self.retry_after_s, self.most_attempts = kind, detail, retry_after_s, most_attempts


class ProviderError(KitError):
    """No call can be had, because of a wrong key, a retired model or a spend limit. The run stops, and what is done is safe."""


class NotFound(ProviderError):
    """The endpoint answers with status 404. It does not know the model, or not the address."""


@dataclass(frozen=True, slots=True)
class WireSchema:
    """An answer's JSON schema as the provider takes it. The SDK moves bounds that it can't enforce into descriptions."""

    schema: dict[str, Any]
    sha256: str
    characters: int


_WIRE_SCHEMAS: dict[type[BaseModel], WireSchema] = {}


def wire_schema(answer: type[BaseModel]) -> WireSchema:
    if answer not in _WIRE_SCHEMAS:
        from anthropic import transform_schema

        schema = transform_schema(answer)
        text = json.dumps(schema, sort_keys=True)
        _WIRE_SCHEMAS[answer] = WireSchema(schema, hashlib.sha256(text.encode()).hexdigest(), len(text))
    return _WIRE_SCHEMAS[answer]
