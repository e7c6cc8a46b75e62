"""Check the values that a line or a message may hold beside `messages`, `role` and `content`, and the tools and calls in them.

Source: OpenAI API reference, chat completions. A call is answered by tool messages right after it, one for each id.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from lib.errors import is_blank
from lib.validate.jsonl import Flaw, NoObject, json_object, quoted

FUNCTION_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
MAX_TOOLS = 128

Entry = dict[str, Any]  # a line or a message
# An object with these keys, a list of such values that is not empty, a constant, or any value for which the function returns true.
Shape = dict[str, Any] | list[Any] | str | Callable[[Any], bool]
ABSENT = object()


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and not is_blank(value)


CALL: Shape = {"name": _is_word, "arguments": lambda value: isinstance(value, str)}
FUNCTION: Shape = {"name": _is_word, "parameters": lambda value: value is ABSENT or isinstance(value, dict)}
# A key -> the shape of its value, and the words that complete "make it …".
SHAPES: dict[str, tuple[Shape, str]] = {
    "weight": (lambda value: value in (0, 1) and not isinstance(value, bool), "0 or 1"),
    "name": (_is_word, "a non-empty string"),
    "tool_call_id": (_is_word, "the id of the call that is answered"),
    "parallel_tool_calls": (lambda value: isinstance(value, bool), "true or false"),
    "refusal": (lambda value: value is None or isinstance(value, str), "a string"),
    "function_call": (lambda value: value is None or _fits(value, CALL), "an object with name, and arguments as a string"),
    "tool_calls": (
        [{"id": _is_word, "type": "function", "function": CALL}],
        'a list of {"id": …, "type": "function", "function": {"name": …, "arguments": "…"}}',
    ),
    "functions": ([FUNCTION], "a list of objects with a name"),
    "tools": ([{"type": "function", "function": FUNCTION}], 'a list of {"type": "function", "function": {"name": …}}'),
}


def wrong_values(entry: Entry) -> dict[str, str]:
    """Return each key of `entry` whose value is wrong, with a description of a right value."""
    return {key: wanted for key, (shape, wanted) in SHAPES.items() if key in entry and not _fits(entry[key], shape)}


def _fits(value: Any, shape: Shape) -> bool:
    if isinstance(shape, dict):
        return isinstance(value, dict) and all(_fits(value.get(key, ABSENT), inner) for key, inner in shape.items())
    if isinstance(shape, list):
        return isinstance(value, list) and value != [] and all(_fits(entry, shape[0]) for entry in value)
    return value == shape if isinstance(shape, str) else shape(value)


def tool_flaws(example: Entry, messages: list[Entry]) -> Iterator[Flaw]:
    """Yield the flaws of names, arguments, ids and of the number of tools. Values that have a wrong shape are not looked into."""
    offered, *messages = [entry | dict.fromkeys(wrong_values(entry)) for entry in (example, *messages)]
    for key in ("tools", "functions"):
        tools = offered.get(key) or []
        if len(tools) > MAX_TOOLS:
            yield "too_many_tools", f"`{key}` holds {len(tools)} functions, and OpenAI takes {MAX_TOOLS}: leave some out."
        for tool in tools:
            yield from _name_flaws(tool["function"] if key == "tools" else tool, where=f"`{key}`")
    for number, message in enumerate(messages, start=1):
        for call in [entry["function"] for entry in _calls(message) or ()] + [message.get("function_call")]:
            yield from _call_flaws(call, where=f"Message {number}") if call else ()
        if message.get("role") == "function" and message.get("name"):
            yield from _name_flaws(message, where=f"Message {number}")
    yield from _id_flaws(messages)


def _calls(message: Entry) -> list[Entry] | None:
    """Return the tool calls of a message, or None when they have a wrong shape."""
    return message.get("tool_calls", []) if message.get("role") == "assistant" else []


def _name_flaws(function: Entry, *, where: str) -> Iterator[Flaw]:
    if not FUNCTION_NAME.fullmatch(function["name"]):
        advice = "use 1 to 64 letters a to z, digits, _ and -."
        yield "wrong_function_name", f"{where} has the function name {quoted(function['name'])}: {advice}"


def _call_flaws(call: Entry, *, where: str) -> Iterator[Flaw]:
    yield from _name_flaws(call, where=where)
    try:
        json_object(call["arguments"].encode())
    except NoObject:
        what = f"{where} calls {quoted(call['name'])} with {quoted(call['arguments'])}"
        yield "arguments_not_json", f"{what}: write the arguments as one JSON object."


def _id_flaws(messages: list[Entry]) -> Iterator[Flaw]:
    """Yield a flaw for each id that stands twice, answers no call right before it, or has no answer though the conversation continues."""
    asked: Counter[str] | None = Counter()  # the ids of the last calls, or None when they cannot be read
    answers = Counter[str]()  # the ids of the answers to these calls
    for number, message in enumerate(messages, start=1):
        where = f"Message {number}"
        if message.get("role") != "tool":
            for name in [name for name in asked or () if name not in answers]:
                yield "unanswered_tool_call", f"{where} follows the call {quoted(name)}, which has no answer: add one, or remove the call."
            calls = _calls(message)
            asked, answers = None if calls is None else Counter(call["id"] for call in calls), Counter()
            for name in [name for name, count in (asked or {}).items() if count > 1]:
                yield "duplicate_tool_call_id", f"{where} has several calls with the id {quoted(name)}: give each its own."
        elif asked is not None and (answer := message.get("tool_call_id")):
            answers[answer] += 1
            if answer not in asked:
                yield "unknown_tool_call_id", f"{where} answers {quoted(answer)}, which no call right before it has: correct the id."
            elif answers[answer] > 1:
                yield "duplicate_tool_call_id", f"{where} answers {quoted(answer)} a second time: keep one answer."
