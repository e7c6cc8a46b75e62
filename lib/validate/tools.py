"""The messages and tools of an example in the general form -> the flaws of its calls: ids, names, arguments, and how many tools there are.

Of entries that have another shape than the format's nothing is said here, since their shape is a flaw of its own.
Source: OpenAI API reference, chat completions: a call is answered by tool messages right after it, one for each id.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from lib.schema import is_blank
from lib.validate.jsonl import Flaw, NoObject, json_object, quoted

FUNCTION_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
MAX_TOOLS = 128

Entry = dict[str, Any]
IsRight = Callable[[str, Any], bool]  # a key and its value -> whether the value has the shape that the format asks for


def tool_flaws(example: Entry, messages: list[Entry], *, is_right: IsRight) -> Iterator[Flaw]:
    """Yield all flaws of the calls in `messages` and of the tools that `example` offers."""
    yield from _offer_flaws(example, is_right=is_right)
    for number, message in enumerate(messages, start=1):
        for function in _called(message, is_right=is_right):
            yield from _function_flaws(function, where=f"Message {number}")
        if message.get("role") == "function" and isinstance(message.get("name"), str):
            yield from _name_flaws(message["name"], where=f"Message {number}")
    yield from _id_flaws(messages, is_right=is_right)


def _offer_flaws(example: Entry, *, is_right: IsRight) -> Iterator[Flaw]:
    for key in ("tools", "functions"):
        if key not in example or not is_right(key, example[key]):
            continue
        offered = example[key]
        if len(offered) > MAX_TOOLS:
            yield "too_many_tools", f"`{key}` holds {len(offered)} functions, and OpenAI takes {MAX_TOOLS}: leave some out."
        for entry in offered:
            yield from _name_flaws((entry["function"] if key == "tools" else entry)["name"], where=f"`{key}`")


def _called(message: Entry, *, is_right: IsRight) -> Iterator[Entry]:
    calls = _calls(message, is_right=is_right)
    yield from (call["function"] for call in calls or ())
    if message.get("function_call") and is_right("function_call", message["function_call"]):
        yield message["function_call"]


def _calls(message: Entry, *, is_right: IsRight) -> list[Entry] | None:
    """Return the tool calls of a message; None when they have another shape than the format's."""
    if message.get("role") != "assistant" or "tool_calls" not in message:
        return []
    return message["tool_calls"] if is_right("tool_calls", message["tool_calls"]) else None


def _function_flaws(function: Entry, *, where: str) -> Iterator[Flaw]:
    yield from _name_flaws(function["name"], where=where)
    try:
        json_object(function["arguments"].encode())
    except NoObject:
        found = quoted(function["arguments"])
        yield "arguments_not_json", f"{where} calls {quoted(function['name'])} with {found}: write the arguments as one JSON object."


def _name_flaws(name: str, *, where: str) -> Iterator[Flaw]:
    if not FUNCTION_NAME.fullmatch(name):
        yield "wrong_function_name", f"{where} has the function name {quoted(name)}: use 1 to 64 letters a to z, digits, _ and -."


def _id_flaws(messages: list[Entry], *, is_right: IsRight) -> Iterator[Flaw]:
    """Yield a flaw for each id that stands twice, answers no call right before it, or has no answer though the conversation goes on."""
    asked: dict[str, bool] | None = {}  # the ids of the last calls -> whether each is answered; None: they can't be read
    for number, message in enumerate(messages, start=1):
        if message.get("role") == "tool":
            yield from _answer_flaws(message.get("tool_call_id"), asked, where=f"Message {number}")
            continue
        for name in [name for name, answered in (asked or {}).items() if not answered]:
            yield "unanswered_tool_call", f"No tool message before message {number} answers the call {quoted(name)}: add one, or remove it."
        calls = _calls(message, is_right=is_right)
        ids = Counter(call["id"] for call in calls or ())
        asked = None if calls is None else dict.fromkeys(ids, False)
        for name in [name for name, count in ids.items() if count > 1]:
            yield "duplicate_tool_call_id", f"Message {number} has several calls with the id {quoted(name)}: give each its own."


def _answer_flaws(name: Any, asked: dict[str, bool] | None, *, where: str) -> Iterator[Flaw]:
    if asked is None or not isinstance(name, str) or is_blank(name):
        return
    if name not in asked:
        yield "unknown_tool_call_id", f"{where} answers {quoted(name)}, which no call right before it has: correct the id, or remove it."
    elif asked[name]:
        yield "duplicate_tool_call_id", f"{where} answers {quoted(name)} a second time: keep one answer."
    else:
        asked[name] = True
