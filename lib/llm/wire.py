"""JSON from a provider -> the few parts of it that are used, checked by pydantic. No other module reads a provider's JSON.

A part may be missing or null. A part of another type is an error, and so is a count outside 0 to 10^9. Secrets, control characters and
broken characters are removed from all text. Source of the shapes: the types of the `anthropic` package, 2.12.
"""

import json
import re
from datetime import datetime
from typing import Annotated, Any, TypeVar

from pydantic import AliasChoices, AliasPath, BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StringConstraints, ValidationError

from lib.errors import LONE_SURROGATE, plain, without_secrets
from lib.llm.call import RawReply, Usage

CLOCK_SLACK_S = 600.0  # between our clock and the provider's
LONGEST_NAME = 100  # characters of a model's name, a request's id or a stop reason
SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")
BROKEN = "\ufffd"  # Unicode's replacement character
Tokens = Annotated[int, Field(ge=0, le=10**9)]
Count = Annotated[Tokens, BeforeValidator(lambda count: 0 if count is None else count)]
Text = Annotated[str, BeforeValidator(lambda text: "" if text is None else text)]
M = TypeVar("M", bound=BaseModel)


class Unreadable(Exception):
    """The JSON does not have the expected shape. The message names the place and the problem."""


def at(*path: str | int, default: Any = "") -> Any:
    """Return a field that is found under `path` in the JSON, or is `default` when nothing is there."""
    first, *rest = path
    return Field(default, validation_alias=AliasPath(str(first), *rest))


class Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class WireBlock(Wire):
    type: Text = ""
    text: Text = ""


class WireMessage(Wire):
    """An answer of `/v1/messages`. Only `content` must be there."""

    content: list[WireBlock] | None
    stop_reason: Text = ""
    stop_detail: Text = at("stop_details", "category")
    input_tokens: Tokens | None = at("usage", "input_tokens", default=None)
    output_tokens: Tokens | None = at("usage", "output_tokens", default=None)
    cache_read: Count = at("usage", "cache_read_input_tokens", default=0)
    cache_write: Count = at("usage", "cache_creation_input_tokens", default=0)
    model: Text = ""
    id: Text = ""

    @property
    def usage(self) -> Usage | None:
        """The tokens as billed, or None when the message does not name both counts."""
        if self.input_tokens is None or self.output_tokens is None:
            return None
        return Usage(self.input_tokens, self.output_tokens, self.cache_read, self.cache_write)


class WireBatch(Wire):
    id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,200}$")]  # strict, because it becomes part of a path
    processing_status: Text = ""
    created_at: datetime | None = None
    processing: Count = at("request_counts", "processing", default=0)
    succeeded: Count = at("request_counts", "succeeded", default=0)
    errored: Count = at("request_counts", "errored", default=0)
    canceled: Count = at("request_counts", "canceled", default=0)
    expired: Count = at("request_counts", "expired", default=0)
    mark: Text = ""  # of the shard, where the provider lets a batch carry one

    def was_created_about(self, moment_s: float) -> bool:
        """Whether the batch was created close to a moment in seconds since 1970. True also when the provider names no possible moment."""
        if self.created_at is None or self.created_at.year <= 1970:
            return True
        moment = datetime.fromtimestamp(moment_s, self.created_at.tzinfo)
        return abs((self.created_at - moment).total_seconds()) <= CLOCK_SLACK_S

    @property
    def answered(self) -> int:
        return self.succeeded + self.errored + self.canceled + self.expired


class WireBatchPage(Wire):
    data: list[WireBatch]
    has_more: bool = False
    last_id: Text = ""


class WireResult(Wire):
    """A line of a batch's results. `message` is checked later, so that a bad message costs only its own request."""

    custom_id: str
    type: Text = Field(validation_alias=AliasPath("result", "type"))
    message: Any = at("result", "message", default=None)
    error_type: Text = at("result", "error", "error", "type")
    error_message: Text = at("result", "error", "error", "message")


class WireError(Wire):
    """The body of an error. Only Anthropic's own has the `type` "error" and names the kind of error.

    OpenAI's SDK hands on the inner part alone, and some servers have only a `detail`.
    """

    type: Text = ""
    error_type: Text = at("error", "type")
    message: Text = Field("", validation_alias=AliasChoices(AliasPath("error", "message"), "message", "detail"))

    @property
    def is_anthropic(self) -> bool:
        return self.type == "error" and bool(self.error_type)


class WireModel(Wire):
    """A model's page."""

    lifecycle: Text = ""
    retires_at: datetime | None = None
    has_structured_outputs: StrictBool | None = at("capabilities", "structured_outputs", "supported", default=None)


class WireModelList(Wire):
    data: list["WireModelName"] | None = None


class WireModelName(Wire):
    id: Text = ""


def read(kind: type[M], content: Any, *, secrets: tuple[str, ...] = ()) -> M:
    """Return `content`, which is bytes of JSON or decoded JSON, as a `kind`. Raises Unreadable, whose text holds no secrets."""
    value = _decoded(content, secrets) if isinstance(content, bytes) else content
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise Unreadable(plain(first_problem(error), secrets=secrets, longest=160)) from None


def _decoded(content: bytes, secrets: tuple[str, ...]) -> Any:
    """Return the JSON, with U+FFFD for each lone surrogate, which is half of a character and can't be stored."""
    try:
        value = json.loads(content)
        if SURROGATE_ESCAPE.search(content):
            value = json.loads(LONE_SURROGATE.sub(BROKEN, json.dumps(value, ensure_ascii=False)))
        return value
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError too
        problem = "nested too deep" if isinstance(error, RecursionError) else "no JSON"
        text = content.decode("utf-8", errors="replace")  # all of it, because a key that is cut in two would not be found
        raise Unreadable(f"{problem}: {plain(text, secrets=secrets, longest=120) or 'empty'}") from None


def first_problem(error: ValidationError, *, name: str = "") -> str:
    """Return the first problem and its place. `name` is the place when the problem concerns the whole."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or name
    return f"{where}: {first['msg']}" if where else first["msg"]


def reply_of(answer: Any, *, secrets: tuple[str, ...]) -> RawReply:
    """Return what is kept of an answer, which is bytes or decoded JSON. Thinking is left out."""
    try:
        message = read(WireMessage, answer, secrets=secrets)
    except Unreadable as problem:
        return unreadable_reply(str(problem), secrets=secrets)
    text = "".join(block.text for block in message.content or () if block.type == "text")
    names = (message.stop_reason, message.model, message.id, message.stop_detail)
    stop_reason, model, request_id, stop_detail = (plain(name, secrets=secrets, longest=LONGEST_NAME) for name in names)
    flaw = "a broken character stands in the answer" if BROKEN in text else ""
    text = without_secrets(text, secrets)
    return RawReply(text, stop_reason, message.usage, model, request_id=request_id, stop_detail=stop_detail, flaw=flaw)


def unreadable_reply(problem: str, *, secrets: tuple[str, ...] = ()) -> RawReply:
    """Return the reply that stands for an answer that is no message. It counts as paid, because it may have been billed."""
    detail = plain(problem, secrets=secrets)
    flaw = f"the endpoint's answer is no message ({detail})"
    return RawReply("", "not_a_message", None, "", stop_detail=detail, flaw=flaw)
