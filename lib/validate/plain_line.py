"""Read the usual kind of line quickly, which has messages of role and text alone, written as `json.dumps` writes them or compactly.

This takes a sixth of the time of `chat_format`. A line that is not certainly right is left to that module, so no flaw is found here.
"""

import json
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from lib.errors import is_blank
from lib.validate.chat_format import CONTROL, STRICT_ROLES
from lib.validate.control_tokens import FAMILIES
from lib.validate.jsonl import MAX_LINE_BYTES

HEADS = {role: b'{"role": "%b", "content": ' % role.encode() for role in STRICT_ROLES}
# A search is six times as fast when its pattern begins with one literal character.
ANGLE_TOKEN, BRACKET_TOKEN = (re.compile("|".join(token for token in FAMILIES if token.startswith(first))) for first in ("<", r"\["))
ESCAPED_CONTROL = re.compile(rb"\\(?=u00)")


class Turn(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    role: str
    content: str


class _Conversation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    messages: list[Turn]


_conversation = msgspec.json.Decoder(_Conversation).decode
_json = msgspec.json.Encoder().encode


def plain_turns(line: bytes, *, strict: bool) -> tuple[list[Turn], bytes] | None:
    """Return the turns of a line that is certainly right and its canonical form, else None.

    A line that equals its own encoding holds no key twice, no surplus escape and no end other than a newline.
    """
    if len(line) > MAX_LINE_BYTES:
        return None
    try:
        conversation = _conversation(line)
    except ValueError:
        return None
    turns = conversation.messages
    roles = [turn.role for turn in turns]
    if roles != STRICT_ROLES and (strict or roles[-1:] != ["assistant"] or not HEADS.keys() >= set(roles)):
        return None
    form = _spaced(turns)
    if line != form and line != _json(conversation) + b"\n":
        return None
    return None if _is_doubtful(line, [turn.content for turn in turns]) else (turns, form)


def canonical_form(example: dict[str, Any]) -> bytes:
    """Return the same bytes for two equal examples, however they are written. Those of `plain_turns` are among them."""
    try:
        return _spaced(msgspec.convert(example, _Conversation).messages)
    except (msgspec.ValidationError, KeyError):  # a further key or a further role
        return json.dumps(example, sort_keys=True).encode()


def _spaced(turns: Sequence[Turn]) -> bytes:
    """Return the line as `json.dumps(…, ensure_ascii=False)` writes it."""
    return b'{"messages": [%b}]}\n' % b"}, ".join([HEADS[turn.role] + _json(turn.content) for turn in turns])


def _is_doubtful(line: bytes, texts: Sequence[str]) -> bool:
    """Whether a text is blank, or the line may hold a line separator, a control token or a control character.

    `in` finds one character seven times as fast as a pattern does, so it comes first.
    """
    text = "".join(texts)
    begins_visibly = "!" <= min(texts) and max(texts) < "\x7f"  # nearly all texts begin with a visible ASCII character
    return bool(
        (not begins_visibly and any(map(is_blank, texts)))
        or (not text.isascii() and ("\u2028" in text or "\u2029" in text))
        or ("<" in text and ANGLE_TOKEN.search(text))
        or ("[" in text and BRACKET_TOKEN.search(text))
        or ("\b" in text or "\f" in text or "\r" in text or "\x7f" in text)
        # U+0080 to U+009F have two bytes, of which the first is C2.
        or ((ESCAPED_CONTROL.search(line) or (not text.isascii() and b"\xc2" in line)) and CONTROL.search(text))
    )
