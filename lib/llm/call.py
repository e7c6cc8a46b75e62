"""What is asked and what comes back: Call, Reply, and the two ways a call can end badly."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
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
        parts = [provider, self.slot, self.stage, self.vote, self.model, self.effort, *self.prompt, schema_sha256(self.answer)]
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


@cache
def wire_schema(answer: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON schema as the provider takes it (the SDK moves bounds it can't enforce into descriptions)."""
    from anthropic import transform_schema

    return transform_schema(answer)


@cache
def schema_sha256(answer: type[BaseModel]) -> str:
    return hashlib.sha256(json.dumps(wire_schema(answer), sort_keys=True).encode()).hexdigest()
