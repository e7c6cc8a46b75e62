"""JSON as it came over the wire -> the few parts of it that are used, checked by pydantic models. Nothing else reads a provider's JSON.

Missing parts are allowed, other shapes are not, and counts lie in 0 … 10^9. Keys, control characters and half characters are taken out
of every text on the way. Source of the shapes: the types of the `anthropic` package, 2.12.
"""

import json
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from lib.errors import LONE_SURROGATE, plain, without_secrets
from lib.llm.call import RawReply, Usage

LONGEST_NAME = 100  # characters of a model's name, a request's id, a stop reason
MAY_BREAK = re.compile(rb"\\u[dD][89a-fA-F]")  # the escape of a surrogate
BROKEN = "\ufffd"  # the replacement character
NOT_A_MESSAGE = "not_a_message"  # the stop reason of a reply that could not be read
Secrets = Iterable[str]
Count = Annotated[int, BeforeValidator(lambda count: 0 if count is None else count), Field(ge=0, le=10**9)]
Name = Annotated[str, BeforeValidator(lambda name: "" if name is None else name)]
Words = Annotated[str, StringConstraints(max_length=10_000_000)]
M = TypeVar("M", bound=BaseModel)


class Unreadable(Exception):
    """The JSON is not of the shape that its place on the wire asks for. Its text says where and how."""


class Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class WireUsage(Wire):
    input_tokens: Annotated[int, Field(ge=0, le=10**9)] | None = None
    output_tokens: Annotated[int, Field(ge=0, le=10**9)] | None = None
    cache_read_input_tokens: Count = 0
    cache_creation_input_tokens: Count = 0


class WireBlock(Wire):
    type: Name = ""
    text: Annotated[Words, BeforeValidator(lambda text: "" if text is None else text)] = ""


class WireStopDetails(Wire):
    category: Name = ""


class WireMessage(Wire):
    """An answer of `/v1/messages`. `content` makes it a message; the rest may be missing."""

    content: list[WireBlock] | None
    stop_reason: Name = ""
    stop_details: WireStopDetails | None = None
    usage: WireUsage | None = None
    model: Name = ""
    id: Name = ""


class WireCounts(Wire):
    processing: Count = 0
    succeeded: Count = 0
    errored: Count = 0
    canceled: Count = 0
    expired: Count = 0

    @property
    def answered(self) -> int:
        return self.succeeded + self.errored + self.canceled + self.expired


class WireBatch(Wire):
    """A Message Batch. Its id becomes part of a path, so it holds nothing that could lead elsewhere."""

    id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,200}$")]
    processing_status: Name = ""
    request_counts: WireCounts = WireCounts()
    created_at: datetime | None = None


class WireBatchPage(Wire):
    data: list[WireBatch]
    has_more: bool = False
    last_id: Name = ""


class WireErrorDetail(Wire):
    type: Name = ""
    message: Name = ""


class WireError(Wire):
    """Anthropic's errors say `"type": "error"`; other servers put something else under `error`, or nothing."""

    type: Name = ""
    error: WireErrorDetail = WireErrorDetail()

    @property
    def is_anthropic(self) -> bool:
        return self.type == "error" and bool(self.error.type)


class WireResult(Wire):
    """What became of one request of a batch. `message` is read by itself, so that a bad one costs only its own request."""

    type: Name = ""
    message: Any = None
    error: WireError = WireError()


class WireResultLine(Wire):
    custom_id: str
    result: WireResult


class WireSupport(Wire):
    supported: bool | None = None


class WireCapabilities(Wire):
    structured_outputs: WireSupport = WireSupport()


class WireModel(Wire):
    """A model's page."""

    lifecycle: Name = ""
    retires_at: datetime | None = None
    capabilities: WireCapabilities | None = None


def read(kind: type[M], content: bytes, *, secrets: Secrets) -> M:
    """Return `content` as a `kind`. Raises Unreadable, with what is wrong and the beginning of what came instead, without secrets."""
    try:
        value = json.loads(content)
        return of(kind, _whole_characters(value) if MAY_BREAK.search(content) else value)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError too
        came = content.decode("utf-8", errors="replace")  # all of it: a key that is cut in two would not be found
        problem = "nested too deep" if isinstance(error, RecursionError) else "no JSON"
        raise Unreadable(f"{problem}: {plain(came, secrets=secrets, longest=120) or 'empty'}") from None


def _whole_characters(value: Any) -> Any:
    """Return decoded JSON with U+FFFD for every lone surrogate. A lone surrogate is half of a character and can't be stored."""
    return json.loads(LONE_SURROGATE.sub(BROKEN, json.dumps(value, ensure_ascii=False)))


def of(kind: type[M], value: Any) -> M:
    """Return decoded JSON as a `kind`. Raises Unreadable."""
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Unreadable(plain(f"{where}: {first['msg']}" if where else first["msg"], longest=160)) from None


def raw_reply(message: WireMessage, *, secrets: Secrets, request_id: str = "", seconds: float = 0.0) -> RawReply:
    """Return what is kept of a message: its text blocks (a thinking block may stand first), why it stopped, what it used."""

    def name(text: str) -> str:
        return plain(text, secrets=secrets, longest=LONGEST_NAME)

    used = message.usage
    text = "".join(block.text for block in message.content or () if block.type == "text")
    return RawReply(
        text=without_secrets(text, secrets),
        stop_reason=name(message.stop_reason),
        stop_detail=name(message.stop_details.category if message.stop_details else ""),
        usage=_usage(used) if used else None,
        model=name(message.model),
        request_id=name(request_id or message.id),
        seconds=seconds,
        flaw="a broken character stands in the answer" if BROKEN in text else "",
    )


def _usage(used: WireUsage) -> Usage | None:
    """Return what was used; None when the reply does not say both counts, as under another API's names."""
    if used.input_tokens is None or used.output_tokens is None:
        return None
    return Usage(used.input_tokens, used.output_tokens, used.cache_read_input_tokens, used.cache_creation_input_tokens)


def unreadable_reply(problem: str, *, secrets: Secrets, request_id: str = "", seconds: float = 0.0) -> RawReply:
    """Return what is kept of an answer that is no message. It may have been billed, so it counts as a reply that was paid for."""
    said = plain(problem, secrets=secrets)
    flaw = f"the endpoint's answer is no message ({said})"
    named = plain(request_id, secrets=secrets, longest=LONGEST_NAME)
    return RawReply("", NOT_A_MESSAGE, None, "", request_id=named, stop_detail=said, seconds=seconds, flaw=flaw)
