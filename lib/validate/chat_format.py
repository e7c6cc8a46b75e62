"""One line of a JSONL file -> the training example it holds, and its flaws. Pure: knows no file, no other line, no tokenizer.

Strict is this kit's own form: `messages` alone, exactly system, user, assistant. General is anybody's chat format.
Source: OpenAI API reference, FineTuneChatRequestInput, and the supervised fine-tuning guide. Limit: a message's images and audio are
flaws here, and the schemas of tools are not looked into.
"""

import json
import re
from collections.abc import Callable, Collection, Iterator
from typing import Any

from lib.schema import is_blank
from lib.validate.control_tokens import MISSPELT, SPECIAL_TOKEN, foreign_tokens
from lib.validate.jsonl import Flaw, NoObject, form_flaws, has_error, json_object, quoted
from lib.validate.tools import tool_flaws

Example = dict[str, Any]

GENERAL_KEYS = ("tools", "functions", "parallel_tool_calls")
STRICT_ROLES = ["system", "user", "assistant"]
OPTIONAL_KEYS = {
    **{role: {"name"} for role in ("system", "developer", "user", "tool")},
    "assistant": {"name", "weight", "tool_calls", "function_call", "refusal"},
    "function": set(),
}
NEEDED_KEYS = {"tool": {"role", "content", "tool_call_id"}, "function": {"role", "content", "name"}}
MAY_SAY_NOTHING = ("tool", "function")
INSTEAD_OF_CONTENT = ("tool_calls", "function_call", "refusal")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def checked_line(line: bytes, *, strict: bool = True) -> tuple[Example | None, list[Flaw]]:
    """Return the example of `line` (None unless it is right in itself) and all flaws. The line comes with its end."""
    form = list(form_flaws(line))
    try:
        example = json_object(line)
    except NoObject as error:
        return None, [*form, (error.args[0], error.args[1])]
    flaws = [*_example_flaws(example, strict=strict), *_text_flaws(example)]
    return None if has_error(flaws) else example, form + flaws


def texts_by_role(example: Example) -> Iterator[tuple[str, str]]:
    """Yield (role, text) for all that a model would read: contents and names, and as JSON the calls and the tools on offer."""
    messages = example.get("messages")
    for message in messages if isinstance(messages, list) else []:
        if isinstance(message, dict):
            role = str(message.get("role"))
            texts = (_text(message.get("content")), message.get("name"), message.get("refusal"))
            yield from ((role, text) for text in texts if isinstance(text, str))
            yield from ((role, _as_json(message[key])) for key in ("tool_calls", "function_call") if message.get(key))
    yield from (("tools", _as_json(example[key])) for key in ("tools", "functions") if example.get(key))


def _example_flaws(example: Example, *, strict: bool) -> Iterator[Flaw]:
    yield from _key_flaws(example, {"messages"}, () if strict else GENERAL_KEYS, where="The line")
    if not strict:
        yield from _value_flaws(example, where="The line")
    if "messages" not in example:
        return
    messages = example["messages"]
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        yield "wrong_messages", f"`messages` is {quoted(messages)}: make it a list of objects with role and content."
        return
    yield from _strict_flaws(messages) if strict else _general_flaws(example, messages)


def _strict_flaws(messages: list[Example]) -> Iterator[Flaw]:
    roles = [message.get("role") for message in messages]
    if roles != STRICT_ROLES:
        yield "wrong_roles", f"The roles are {quoted(roles)}: make them exactly system, user, assistant."
    for number, message in enumerate(messages, start=1):
        where = f"Message {number}"
        yield from _key_flaws(message, {"role", "content"}, where=where)
        if "content" in message:
            yield from _content_flaws(message["content"], where=where, parts=False)


def _general_flaws(example: Example, messages: list[Example]) -> Iterator[Flaw]:
    for number, message in enumerate(messages, start=1):
        yield from _message_flaws(message, where=f"Message {number}")
    roles = [message.get("role") for message in messages]
    if "assistant" not in roles:
        yield "no_assistant", "No message is the assistant's: add the answer to be learnt."
    elif roles[-1] != "assistant":
        yield "last_not_assistant", f"The last message is by {quoted(roles[-1])}, and nothing answers it: end with the assistant."
    weights = [message.get("weight", 1) for message in messages if message.get("role") == "assistant"]
    if weights and all(weight == 0 and not isinstance(weight, bool) for weight in weights):
        yield (
            "nothing_to_learn",
            "Every message of the assistant has weight 0, so nothing is learnt: give one weight 1, or remove the example.",
        )
    yield from tool_flaws(example, messages, is_right=_is_right)


def _message_flaws(message: Example, *, where: str) -> Iterator[Flaw]:
    role = message.get("role")
    if not isinstance(role, str) or role not in OPTIONAL_KEYS:
        yield "unknown_role", f"{where} has the role {quoted(role)}: use one of {', '.join(OPTIONAL_KEYS)}."
        return
    speaks = not (role == "assistant" and any(_says_something(message.get(key)) for key in INSTEAD_OF_CONTENT))
    needed = NEEDED_KEYS.get(role, {"role", "content"} if speaks else {"role"})
    yield from _key_flaws(message, needed, OPTIONAL_KEYS[role] | {"content"}, where=where)
    yield from _value_flaws(message, where=where)
    if message.get("content") is not None or (speaks and "content" in message):
        yield from _content_flaws(message["content"], where=where, parts=True, may_be_empty=not speaks or role in MAY_SAY_NOTHING)


def _key_flaws(entry: Example, needed: set[str], allowed: Collection[str] = (), *, where: str) -> Iterator[Flaw]:
    yield from (("missing_key", f"{where} has no `{key}`: add it.") for key in sorted(needed - entry.keys()))
    extra = (key for key in entry if key not in needed and key not in allowed)
    yield from (("extra_key", f"{where} has the key {quoted(key)}: remove it.") for key in extra)


def _content_flaws(content: Any, *, where: str, parts: bool, may_be_empty: bool = False) -> Iterator[Flaw]:
    text = _text(content) if parts or isinstance(content, str) else None
    if text is None:
        yield "wrong_content", f"{where} has the content {quoted(content)}: make it {'text or a list of text parts' if parts else 'text'}."
    elif is_blank(text) and not may_be_empty:
        yield "empty_content", f"{where} says nothing: write its content, or remove the example."


def _value_flaws(entry: Example, *, where: str) -> Iterator[Flaw]:
    for key, (_, wanted) in _VALUES.items():
        if key in entry and not _is_right(key, entry[key]):
            yield f"wrong_{key}", f"{where} has `{key}` {quoted(entry[key])}: make it {wanted}."


def _text_flaws(example: Example) -> Iterator[Flaw]:
    for role, text in texts_by_role(example):
        if found := SPECIAL_TOKEN.search(text):
            yield "special_token", f"{quoted(found[0])} stands in {quoted(role)}: remove it, since OpenAI fails the whole job on one."
        for token, family in foreign_tokens(text):
            whose = family if family == MISSPELT else f"a control token of {family}"
            yield (
                "control_token",
                f"{quoted(token)}, {whose}, stands in {quoted(role)}: write it otherwise, or make sure that your trainer takes it as text.",
            )
        if found := CONTROL.search(text):
            yield "control_character", f"{quoted(found[0])} stands in {quoted(role)}, character {found.start() + 1}: remove it."


def _text(content: Any) -> str | None:
    """Return the text of a string or of a list of text parts; None for anything else."""
    if isinstance(content, str):
        return content
    parts: list[Any] = content if isinstance(content, list) else [None]
    if not all(isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str) for part in parts):
        return None
    return "".join(part["text"] for part in parts)


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and not is_blank(value)


def _says_something(value: Any) -> bool:
    return not is_blank(value) if isinstance(value, str) else bool(value)


def _is_right(key: str, value: Any) -> bool:
    is_right, _ = _VALUES[key]
    return is_right(value)


def _is_function(value: Any) -> bool:
    return isinstance(value, dict) and _is_word(value.get("name")) and isinstance(value.get("parameters", {}), dict)


def _is_call(value: Any) -> bool:
    return isinstance(value, dict) and _is_word(value.get("name")) and isinstance(value.get("arguments"), str)


def _is_typed(value: Any, is_right: Callable[[Any], bool]) -> bool:
    return isinstance(value, dict) and value.get("type") == "function" and is_right(value.get("function"))


def _list_of(is_right: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and value != [] and all(is_right(entry) for entry in value)


_VALUES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "weight": (lambda value: value in (0, 1) and not isinstance(value, bool), "0 or 1"),
    "name": (_is_word, "a non-empty string"),
    "tool_call_id": (_is_word, "the id of the call that is answered"),
    "parallel_tool_calls": (lambda value: isinstance(value, bool), "true or false"),
    "refusal": (lambda value: value is None or isinstance(value, str), "a string"),
    "function_call": (lambda value: value is None or _is_call(value), "an object with name, and arguments as a string"),
    "tool_calls": (
        _list_of(lambda call: _is_typed(call, _is_call) and _is_word(call.get("id"))),
        'a list of {"id": …, "type": "function", "function": {"name": …, "arguments": "…"}}',
    ),
    "functions": (_list_of(_is_function), "a list of objects with a name"),
    "tools": (_list_of(lambda tool: _is_typed(tool, _is_function)), 'a list of {"type": "function", "function": {"name": …}}'),
}
