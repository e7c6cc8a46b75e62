"""A reply as it came -> the validated answer that was asked for, or the reason why there is none."""

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from lib.errors import is_blank
from lib.llm.call import Call, CallFailed, RawReply, Reply
from lib.llm.wire import first_problem

A = TypeVar("A", bound=BaseModel)
ENDED = ("", "end_turn", "stop_sequence")  # the stop reasons of a whole answer


def reply_or_failure(call: Call[A], raw: RawReply, *, replayed: bool) -> Reply[A] | CallFailed:
    """Return the answer, or the failure to record. Its `may_repeat` is false when asking again can't help."""
    if raw.flaw:
        return CallFailed("invalid_answer", raw.flaw)
    if raw.stop_reason == "refusal":
        return CallFailed("refusal", f"the model declined{f' ({raw.stop_detail})' if raw.stop_detail else ''}", may_repeat=False)
    if raw.stop_reason == "max_tokens":
        tokens = f" after {raw.usage.output} tokens" if raw.usage else ""
        return CallFailed("truncated", f"the answer was cut off{tokens}")
    if raw.stop_reason == "model_context_window_exceeded":
        return CallFailed("truncated", "prompt and answer do not fit into the model's context window", may_repeat=False)
    answer = _answer_or_problem(call, raw.text)
    if not isinstance(answer, str):
        if objection := call.objection(answer):
            return CallFailed("invalid_answer", objection, objection=objection, may_repeat=raw.stop_reason in ENDED)
        return Reply(answer, raw.model or call.model, replayed)
    if raw.stop_reason in ENDED:
        return CallFailed("invalid_answer", answer)
    return CallFailed("invalid_answer", f"stop reason {raw.stop_reason}: {answer}", may_repeat=False)


def _answer_or_problem(call: Call[A], text: str) -> A | str:
    """Read the whole text as the answer, or else its part between the outermost braces. Return a string when there is a problem."""
    if call.is_plain:
        return "the answer is empty" if is_blank(text) else call.answer.model_validate({"text": text})
    problem = ""
    for candidate in (text, text[text.find("{") : text.rfind("}") + 1]):
        try:
            answer = call.answer.model_validate_json(candidate)
        except ValidationError as error:
            problem = problem or first_problem(error, name=call.answer.__name__)
        else:
            return answer
    return problem
