"""Read the training example on one line, and find the flaws that can be seen without other lines and without a tokenizer.

The strict form is this kit's own, with `messages` alone and exactly system, user, assistant. The general form is any chat format.
Source: OpenAI API reference, FineTuneChatRequestInput, and the supervised fine-tuning guide. Images and audio count as flaws.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from lib.errors import is_blank
from lib.validate.control_tokens import OPENAI, control_tokens
from lib.validate.jsonl import Flaw, NoObject, form_flaws, has_error, json_object, quoted
from lib.validate.values import tool_flaws, wrong_values

Example = dict[str, Any]

STRICT_ROLES = ["system", "user", "assistant"]
ROLES = ("system", "developer", "user", "assistant", "tool", "function")
CALLING = "assistant that calls or refuses"
ANSWER_KEYS = {"name", "weight", "tool_calls", "function_call", "refusal"}
KEYS: dict[str, tuple[set[str], set[str]]] = {  # kind of entry -> the keys that it must have, and those that it may have
    "strict line": ({"messages"}, set()),
    "line": ({"messages"}, {"tools", "functions", "parallel_tool_calls"}),
    "strict message": ({"role", "content"}, set()),
    **dict.fromkeys(("system", "developer", "user"), ({"role", "content"}, {"name"})),
    "assistant": ({"role", "content"}, ANSWER_KEYS),
    CALLING: ({"role"}, {"content", *ANSWER_KEYS}),
    "tool": ({"role", "content", "tool_call_id"}, {"name"}),
    "function": ({"role", "content", "name"}, set()),
}
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def checked_line(line: bytes, *, strict: bool = True) -> tuple[Example | None, list[Flaw]]:
    """Return the example on `line`, or None when it has an error, and all flaws. The line comes with its end."""
    form = list(form_flaws(line))
    try:
        example = json_object(line)
    except NoObject as error:
        return None, [*form, error.args]
    flaws = [*_example_flaws(example, strict=strict), *_text_flaws(example)]
    return None if has_error(flaws) else example, form + flaws


def texts_by_role(example: Example) -> Iterator[tuple[str, str]]:
    """Yield (role, text) for contents, names and refusals, and for calls and tools as JSON, because a model would read all of them."""
    messages = example.get("messages")
    for message in messages if isinstance(messages, list) else []:
        if isinstance(message, dict):
            texts = [_text(message.get("content")), message.get("name"), message.get("refusal")]
            calls = [json.dumps(message[key], ensure_ascii=False) for key in ("tool_calls", "function_call") if message.get(key)]
            yield from ((str(message.get("role")), text) for text in texts + calls if isinstance(text, str))
    yield from (("tools", json.dumps(example[key], ensure_ascii=False)) for key in ("tools", "functions") if example.get(key))


def _text(content: Any) -> str | None:
    """Return the text of a string or of a list of text parts, and None for anything else."""
    if not isinstance(content, list):
        return content if isinstance(content, str) else None
    parts = [part for part in content if isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str)]
    return "".join(part["text"] for part in parts) if len(parts) == len(content) else None


def _example_flaws(example: Example, *, strict: bool) -> Iterator[Flaw]:
    yield from _entry_flaws(example, kind="strict line" if strict else "line", where="The line")
    messages = example.get("messages")
    if "messages" not in example:
        return
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        yield "wrong_messages", f"`messages` is {quoted(messages)}: make it a list of objects with role and content."
        return
    roles = [message.get("role") for message in messages]
    if strict and roles != STRICT_ROLES:
        yield "wrong_roles", f"The roles are {quoted(roles)}: make them exactly system, user, assistant."
    for number, message in enumerate(messages, start=1):
        yield from _message_flaws(message, strict=strict, where=f"Message {number}")
    if not strict:
        yield from _conversation_flaws(messages, roles)
        yield from tool_flaws(example, messages)


def _entry_flaws(entry: Example, *, kind: str, where: str) -> Iterator[Flaw]:
    """Yield the flaws of the keys and, in the general form, of the values that have a shape of their own."""
    needed, optional = KEYS[kind]
    for key in sorted(needed - entry.keys()):
        yield "missing_key", f"{where} has no `{key}`: add it."
    for key in [key for key in entry if key not in needed | optional]:
        yield "extra_key", f"{where} has the key {quoted(key)}: remove it."
    values = {} if kind.startswith("strict") else wrong_values(entry)
    for key, wanted in values.items():
        yield f"wrong_{key}", f"{where} has `{key}` {quoted(entry[key])}: make it {wanted}."


def _message_flaws(message: Example, *, strict: bool, where: str) -> Iterator[Flaw]:
    role = message.get("role")
    if not strict and role not in ROLES:
        yield "unknown_role", f"{where} has the role {quoted(role)}: use one of {', '.join(ROLES)}."
        return
    kind = "strict message" if strict else str(role)
    instead = [message.get(key) for key in ("tool_calls", "function_call", "refusal")]
    if kind == "assistant" and any(not is_blank(value) if isinstance(value, str) else value for value in instead):
        kind = CALLING
    yield from _entry_flaws(message, kind=kind, where=where)
    content = message.get("content")
    if "content" not in message or (content is None and kind == CALLING):
        return
    text = content if strict else _text(content)
    if not isinstance(text, str):
        yield "wrong_content", f"{where} has the content {quoted(content)}: make it {'text' if strict else 'text or a list of text parts'}."
    elif is_blank(text) and kind not in (CALLING, "tool", "function"):
        yield "empty_content", f"{where} has no visible content: write it, or remove the example."


def _conversation_flaws(messages: list[Example], roles: list[Any]) -> Iterator[Flaw]:
    if "assistant" not in roles:
        yield "no_assistant", "No message is the assistant's: add the answer to be learnt."
    elif roles[-1] != "assistant":
        yield "last_not_assistant", f"The last message is by {quoted(roles[-1])}, and nothing answers it: end with the assistant."
    weights = [message.get("weight", 1) for message in messages if message.get("role") == "assistant"]
    if weights and all(weight == 0 and not isinstance(weight, bool) for weight in weights):
        yield "nothing_to_learn", "Every message of the assistant has weight 0: give one weight 1, or remove the example."


def _text_flaws(example: Example) -> Iterator[Flaw]:
    for role, text in texts_by_role(example):
        where = f"stands in {quoted(role)}"
        for family, token in control_tokens(text).items():
            if family == OPENAI:
                yield "special_token", f"{quoted(token)} {where}: remove it, since OpenAI fails the whole job on one."
            else:
                advice = "write it otherwise, or make sure that your trainer takes it as text."
                yield "control_token", f"{quoted(token)}, a control token of {family}, {where}: {advice}"
        if found := CONTROL.search(text):
            yield "control_character", f"{quoted(found[0])} {where}, character {found.start() + 1}: remove it."
