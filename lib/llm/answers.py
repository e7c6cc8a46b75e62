"""A reply as it came -> the validated answer that was asked for, or why there is none."""

import re
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from lib.llm.call import Call, CallFailed, RawReply, Reply

A = TypeVar("A", bound=BaseModel)
ENDED = ("", "end_turn", "stop_sequence")
BEGINS_AS_JSON = re.compile(r"\s*(```\w*\s*)?[{\[]")


def reply_or_failure(call: Call[A], raw: RawReply, *, replayed: bool) -> Reply[A] | CallFailed:
    """Return the answer, or the failure to record. Its `may_repeat` says whether asking once more could help."""
    if raw.flaw:
        return CallFailed("invalid_answer", raw.flaw)
    if raw.stop_reason == "refusal":
        return CallFailed("refusal", f"the model declined{f' ({raw.stop_detail})' if raw.stop_detail else ''}", may_repeat=False)
    if raw.stop_reason == "max_tokens":
        tokens = f" after {raw.usage.output} tokens" if raw.usage else ""
        return CallFailed("truncated", f"the answer was cut off{tokens}")
    if raw.stop_reason == "model_context_window_exceeded":
        return CallFailed("truncated", "prompt and answer do not fit into the model's context window", may_repeat=False)
    answer = _answer(call, raw.text)
    if isinstance(answer, str):
        if raw.stop_reason in ENDED:
            return CallFailed("invalid_answer", answer)
        return CallFailed("invalid_answer", f"stop reason {raw.stop_reason}: {answer}", may_repeat=False)
    return Reply(answer, raw.model or call.model, replayed)


def begins_as_json(raw: RawReply) -> bool:
    """Whether the text is at least begun as JSON: an endpoint that ignores the schema answers in prose."""
    return BEGINS_AS_JSON.match(raw.text) is not None


def _answer(call: Call[A], text: str) -> A | str:
    """Return the answer, or what is wrong with it. Where the whole text is no answer, the outermost braces in it may be one."""
    inner = text[text.find("{") : text.rfind("}") + 1]
    problem = ""
    for candidate in dict.fromkeys((text, inner)):
        try:
            answer = call.answer.model_validate_json(candidate)
        except ValidationError as error:
            problem = problem or _problem(call, error)
        else:
            return call.objection(answer) or answer
    return problem


def _problem(call: Call[Any], error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where or call.answer.__name__}: {first['msg']}"
