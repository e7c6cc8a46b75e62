"""What is asked and what comes back: Call, Reply, and the two ways a call can end badly."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel

from lib.errors import KitError
from lib.prompts import Prompt, Stage

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
class Usage:
    """Tokens as billed. `output` counts thinking; `input` leaves out what was read from or written to the prompt cache."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0


@dataclass(frozen=True, slots=True)
class RawReply:
    """What a transport brings: text not yet validated. `stop_detail` names a refusal's category."""

    text: str
    stop_reason: str
    usage: Usage
    model: str
    request_id: str = ""
    stop_detail: str = ""
    attempts: int = 1
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Reply(Generic[A]):
    """`replayed`: it came from the journal and cost nothing now."""

    answer: A
    model: str
    usage: Usage
    request_id: str
    attempts: int
    replayed: bool


class CallFailed(Exception):
    """This call can't be had: recorded, counted, and the run goes on. `ask` fills in the stage."""

    def __init__(self, reason: FailureReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail, self.stage = reason, detail, ""


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
