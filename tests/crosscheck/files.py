"""Training files that are right, and files that are wrong in one way each, with the code that this kit's strict form has for it."""

import json
from collections.abc import Iterator

SYSTEM = "You are an expert tutor."
CALL = {"id": "call00001", "type": "function", "function": {"name": "plot", "arguments": '{"of": "x^2"}'}}
TOOL = {"type": "function", "function": {"name": "plot", "description": "Draws.", "parameters": {"type": "object", "properties": {}}}}


def turn(role: str, content: object, **more: object) -> dict[str, object]:
    return {"role": role, "content": content, **more}


def usual(number: int = 0) -> list[dict[str, object]]:
    return [turn("system", SYSTEM), turn("user", f"Why is {number} so?"), turn("assistant", f"Because {number} follows from it.")]


def line(messages: object, **beside: object) -> bytes:
    return json.dumps({"messages": messages, **beside}, ensure_ascii=False).encode() + b"\n"


TWELVE = b"".join(line(usual(number)) for number in range(1, 13))
LINES = TWELVE.splitlines(keepends=True)


def beside_others(messages: object, **beside: object) -> bytes:
    """Return right lines with this one in their middle: who looks at the first line only sees nothing."""
    return b"".join([*LINES[:6], line(messages, **beside), *LINES[6:]])


def changed(old: bytes, new: bytes) -> bytes:
    """Return right lines, the seventh of which has `old` replaced."""
    return b"".join([*LINES[:6], LINES[6].replace(old, new), *LINES[7:]])


def crafted() -> Iterator[tuple[str, bytes, str]]:
    """Yield (what it is, bytes, expected code)."""
    system, user, assistant = usual(99)
    yield "twelve right examples", TWELVE, ""
    yield "compact separators", TWELVE.replace(b": ", b":").replace(b", ", b","), ""
    yield "escaped non-ASCII", beside_others([system, turn("user", "é − “so”?"), assistant]).replace("é".encode(), b"\\u00e9"), ""
    yield "LaTeX and newlines", beside_others([system, turn("user", "Why\n\n$$\\frac{a}{b}$$?"), assistant]), ""
    yield "an average |<v>| in physics", beside_others([system, user, turn("assistant", "So |<v>| is less than <|v|>.")]), ""
    # the file
    yield "empty file", b"", "empty_file"
    yield "nine examples", b"".join(LINES[:9]), "too_few_examples"
    yield "byte order mark", b"\xef\xbb\xbf" + TWELVE, "bom"
    yield "Windows line ends", TWELVE.replace(b"\n", b"\r\n"), "crlf"
    yield "a blank line", TWELVE + b"\n" + line(usual(77)), "blank_line"
    yield "no newline at the end", TWELVE[:-1], "no_final_newline"
    yield "one JSON array", b"[" + TWELVE.replace(b"\n", b",")[:-1] + b"]\n", "not_object"
    yield "indented JSON", json.dumps({"messages": usual()}, indent=1).encode() + b"\n" + TWELVE, "not_json"
    # the line
    yield "a line cut off", changed(b'"}]}', b""), "not_json"
    yield "single quotes", changed(b'"', b"'"), "not_json"
    yield "a trailing comma", changed(b"}]}", b"},]}"), "not_json"
    yield "NaN beside the messages", beside_others(usual(99), score=float("nan")), "not_finite"
    yield "a key twice", changed(b'"role": "user"', b'"role": "user", "role": "user"'), "duplicate_key"
    yield "not UTF-8", changed(b"Why", b"Wh\xe9"), "not_utf8"
    yield "half a surrogate pair", changed(b"Why", b"\\ud83d"), "lone_surrogate"
    yield "a string instead of an object", TWELVE + b'"hello"\n', "not_object"
    yield "nested 2,000 deep", TWELVE + b"[" * 2000 + b"]" * 2000 + b"\n", "too_deep"
    # the example
    yield "no messages", TWELVE + b'{"prompt": "Why?", "completion": "So."}\n', "missing_key"
    yield "messages are a string", TWELVE + b'{"messages": "Why?"}\n', "wrong_messages"
    yield "messages are empty", beside_others([]), "wrong_roles"
    yield "metadata beside messages", beside_others(usual(99), id="seed001"), "extra_key"
    yield "no system message", beside_others([user, assistant]), "wrong_roles"
    yield "another system prompt", beside_others([turn("system", "Be brief."), user, assistant]), "system_prompt_differs"
    yield "system prompt in the middle", beside_others([user, system, assistant]), "wrong_roles"
    yield "two users in a row", beside_others([system, user, user, assistant]), "wrong_roles"
    yield "several turns", beside_others([*usual(99), turn("user", "And then?"), turn("assistant", "Then it ends.")]), "wrong_roles"
    yield "the user speaks last", beside_others([system, user]), "wrong_roles"
    yield "unknown role", beside_others([system, turn("human", "Why?"), assistant]), "wrong_roles"
    yield "role in capitals", beside_others([system, turn("User", "Why?"), assistant]), "wrong_roles"
    yield "no role", beside_others([system, {"content": "Why?"}, assistant]), "missing_key"
    yield "no content", beside_others([system, user, {"role": "assistant"}]), "missing_key"
    yield "content is null", beside_others([system, user, turn("assistant", None)]), "wrong_content"
    yield "content is a number", beside_others([system, user, turn("assistant", 42)]), "wrong_content"
    yield "content in parts", beside_others([system, turn("user", [{"type": "text", "text": "Why?"}]), assistant]), "wrong_content"
    yield "empty answer", beside_others([system, user, turn("assistant", "")]), "empty_content"
    yield "blank answer", beside_others([system, user, turn("assistant", " \n")]), "empty_content"
    yield "a name", beside_others([system, turn("user", "Why?", name="Ann"), assistant]), "extra_key"
    yield "a weight", beside_others([system, user, turn("assistant", "So.", weight=1)]), "extra_key"
    yield "a weight of 2", beside_others([system, user, turn("assistant", "So.", weight=2)]), "extra_key"
    yield "a tool call", beside_others([user, {"role": "assistant", "tool_calls": [CALL]}], tools=[TOOL]), "extra_key"
    # the text
    yield "<|endoftext|> in an answer", beside_others([system, user, turn("assistant", "So.<|endoftext|>")]), "special_token"
    yield "<|im_end|> in a question", beside_others([system, turn("user", "Why<|im_end|>?"), assistant]), "special_token"
    yield "a NUL character", beside_others([system, user, turn("assistant", "So\x00.")]), "control_character"
    yield "the same example twice", TWELVE + LINES[0], "duplicate"
    yield "80,000 tokens", beside_others([system, turn("user", "why so " * 40_000), assistant]), "too_many_tokens"
