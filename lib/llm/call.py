"""What is asked and what comes back: Call, Reply, and the two ways a call can end badly."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel

from lib.errors import KitError, plain
from lib.prompts.rendering import Prompt, Stage

A = TypeVar("A", bound=BaseModel)
FailureReason = Literal["refusal", "truncated", "invalid_answer", "rejected", "unavailable", "over_budget"]


def no_objection(_answer: Any) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Call(Generic[A]):
    """One question to a model. `objection` names what is wrong with an answer that its schema can't forbid, or returns ""."""

    slot: str
    stage: Stage
    model: str
    prompt: Prompt
    answer: type[A]
    max_tokens: int
    effort: str = ""
    vote: int = 0
    objection: Callable[[A], str] = field(default=no_objection, compare=False)

    def key(self, provider: str) -> str:
        """Return what identifies the reply: neither mode nor `max_tokens` changes what was asked."""
        parts = [provider, self.slot, self.stage, self.vote, self.model, self.effort, *self.prompt, wire_schema(self.answer).sha256]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Asked:
    """What the books say of a call: whose reply it is, and the most that it can cost."""

    key: str
    slot: str
    stage: str
    vote: int
    model: str
    worst_usd: float


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as billed. `output` counts thinking; `input` leaves out what was read from or written to the prompt cache."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0


@dataclass(frozen=True, slots=True)
class RawReply:
    """What a transport brings. The text is not yet validated, but it can be stored and shown.

    `usage` is None when the endpoint did not say what it used. `stop_detail` names a refusal's category. `flaw` says why nothing can be
    made of this reply, whatever its text. `cost_usd` is set once the reply is in the journal.
    """

    text: str
    stop_reason: str
    usage: Usage | None
    model: str
    request_id: str = ""
    stop_detail: str = ""
    attempts: int = 1
    seconds: float = 0.0
    flaw: str = ""
    cost_usd: float | None = None


@dataclass(frozen=True, slots=True)
class Reply(Generic[A]):
    """A validated answer. `replayed` is true when it came from the journal and cost nothing now."""

    answer: A
    model: str
    replayed: bool


class CallFailed(Exception):
    """This call can't be had. It is recorded and counted, and the run goes on.

    `ask` fills in the stage. `may_repeat` is false when the same question would end the same way.
    """

    def __init__(self, reason: FailureReason, detail: str, *, stage: str = "", may_repeat: bool = True) -> None:
        self.reason, self.detail, self.stage, self.may_repeat = reason, plain(detail), stage, may_repeat
        super().__init__(f"{reason}: {self.detail}")

    def at(self, stage: str) -> "CallFailed":
        """Return the same failure at `stage`. A failed batch gives one failure to many calls, so it is not changed in place."""
        return CallFailed(self.reason, self.detail, stage=stage, may_repeat=self.may_repeat)


class Transient(Exception):
    """An attempt failed, and another may succeed. `kind` is 429, 529, 5xx, connection, timeout or, of a batch's request, expired.

    `most_attempts` bounds how often such an attempt is made for one reply.
    """

    def __init__(self, kind: str, detail: str, *, retry_after_s: float | None = None, most_attempts: int = 10) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind, self.detail, self.retry_after_s, self.most_attempts = kind, detail, retry_after_s, most_attempts


class ProviderError(KitError):
    """No call can be had: a wrong key, a retired model, a spend limit. The run stops; what is done is safe."""


@dataclass(frozen=True, slots=True)
class WireSchema:
    """An answer's JSON schema as the provider takes it: the SDK moves bounds that it can't enforce into descriptions."""

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
