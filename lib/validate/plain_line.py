"""A line in the form that nearly all lines have -> its turns, decoded in C: messages of role and text alone, written as `json.dumps` would.

A sixth of the time that `chat_format` takes, and no second opinion: what is not beyond doubt here is left to it, flaws above all.
"""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from lib.schema import is_blank
from lib.validate.chat_format import CONTROL, STRICT_ROLES
from lib.validate.control_tokens import FAMILY_OF
from lib.validate.jsonl import MAX_LINE_BYTES


def _rests(first: str) -> list[bytes]:
    """Return the control tokens that begin with this character, without it, as a pattern of bytes; those with "<|" are left out."""
    return [re.escape(token[1:].encode()) for token in FAMILY_OF if token[0] == first and not token.startswith("<|")]


HEADS = {role: b'{"role": "%b", "content": ' % role.encode() for role in STRICT_ROLES}
ESCAPED_CONTROL = re.compile(rb"\\(?=u00)")  # with one literal byte first it is sought at memchr's speed, six times that of `in`
# After "<|" any token may follow, with whatever is in it.
ANGLE_TOKEN = re.compile(b"<(?:%b)" % b"|".join([rb"\|", *_rests("<")]))
BRACKET_TOKEN = re.compile(rb"\[(?:%b)" % b"|".join(_rests("[")))
COMPACT_HEADS = {role: head.replace(b" ", b"") for role, head in HEADS.items()}


class Turn(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    role: str
    content: str


class _Conversation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    messages: list[Turn]


_conversation = msgspec.json.Decoder(_Conversation).decode
_json = msgspec.json.Encoder().encode


def plain_turns(line: bytes, *, strict: bool) -> tuple[list[Turn], bytes] | None:
    """Return the turns of a line that is right beyond doubt, and its canonical form; else None.

    Equal to its own encoding it holds no key twice, no surplus escape and no other end than a newline.
    """
    if len(line) > MAX_LINE_BYTES:
        return None
    try:
        turns = _conversation(line).messages
    except ValueError:
        return None
    roles = [turn.role for turn in turns]
    if roles != STRICT_ROLES and (strict or roles[-1:] != ["assistant"] or not HEADS.keys() >= set(roles)):
        return None
    form = canonical(turns)
    if line != form and line != _compact(turns):
        return None
    texts = [turn.content for turn in turns]
    return None if _is_doubtful(line, texts) else (turns, form)


def canonical(turns: Sequence[Turn]) -> bytes:
    """Return the line as `json.dumps(…, ensure_ascii=False)` writes it: what two equal examples have in common."""
    return b'{"messages": [%b}]}\n' % b"}, ".join([HEADS[turn.role] + _json(turn.content) for turn in turns])


def _compact(turns: Sequence[Turn]) -> bytes:
    return b'{"messages":[%b}]}\n' % b"},".join([COMPACT_HEADS[turn.role] + _json(turn.content) for turn in turns])


def canonical_of(example: dict[str, Any]) -> bytes | None:
    """Return the same of an example that was decoded otherwise; None when it holds more than roles and texts."""
    try:
        return canonical(msgspec.convert(example, _Conversation).messages)
    except (msgspec.ValidationError, KeyError):  # a further key, a further role
        return None


def _is_doubtful(line: bytes, texts: Sequence[str]) -> bool:
    """Whether one of the texts says nothing, or the line may hold a line separator, a control token or a control character.

    One byte or character is found by `in` seven times as fast as by a pattern, so it is sought first.
    """
    text = "".join(texts)
    return (
        # nearly all texts begin with an ASCII character that is seen
        (not ("!" <= min(texts) and max(texts) < "\x7f") and any(map(is_blank, texts)))
        or (not text.isascii() and ("\u2028" in text or "\u2029" in text))
        or ("<" in text and ANGLE_TOKEN.search(line) is not None)
        or ("[" in text and BRACKET_TOKEN.search(line) is not None)
        or "\b" in text or "\f" in text or "\r" in text or "\x7f" in text
        # C1 stands in two bytes
        or ((ESCAPED_CONTROL.search(line) is not None or (not text.isascii() and b"\xc2" in line)) and CONTROL.search(text) is not None)
    )  # fmt: skip
