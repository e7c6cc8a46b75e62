"""A body of `/v1/messages` goes in; the answer of a GGUF model on this machine comes out, in Anthropic's shape.

    python -m lib.llm.local_server [--model FILE.gguf]

binds a free port of 127.0.0.1, prints one line {"url": …, "model": …} when ready, and ends when its stdin closes. It is there
because llama.cpp's own `/v1/messages` ignores `output_config`: here the schema becomes a grammar, and an answer that does not parse is
an error. The same request gives the same answer. One request at a time; no streaming, tools or images.
"""

import argparse
import hashlib
import http.client
import json
import os
import re
import secrets
import sys
import threading
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from lib.llm.local import embedded_model_file

EXAMPLES = Path(__file__).with_name("local_examples.json")  # answer's title -> one worked example, sent as an earlier turn
CONTEXT_TOKENS = 4096
ANSWER_TOKENS = 1000  # kept free for the answer; the longest seen took 650
SMALL_MODEL_BYTES = 300_000_000
SMALL_MODEL_PROMPT_TOKENS = 1000
TRIES = 3  # with other seeds, when an answer does not parse
SAMPLING = {
    "temperature": 0.5,
    "min_p": 0.08,
    "dry_multiplier": 0.8,
    "dry_penalty_last_n": CONTEXT_TOKENS,  # by default it looks back too short a way to keep six criteria apart
}
# Longest strings, in characters, by field: they set the seconds that a sample takes.
CAPS = {
    "topic": 60,
    "question": 200,
    "explanation": 350,
    "misconception": 100,
    "follow_up": 200,
    "criteria": 90,
    "response": 600,
    "reasoning": 60,
    "evidence": 50,
}
OTHER_CAP = 200
CHARACTER = r"[^\x00-\x09\x0b-\x1f\x7f]"  # as a pattern it also keeps out the escapes of lone surrogates
MOVED_BOUNDS = re.compile(r"\{((?:\w+: \d+(?:, )?)+)\}$")  # what anthropic.transform_schema leaves in a description
CRITERION_ID = re.compile(r'<criterion id="([^"]+)">')
BLOCK = re.compile(r"<(\w+)[^<>]*>(.*?)</\1>", re.DOTALL)
NEVER_CUT = {"criteria", "criterion", "response"}
SHORTEST_BLOCK = 160  # characters left of a block that is cut


class Refused(Exception):
    """A request that gets an error instead of a message."""

    def __init__(self, status: int, kind: str, text: str) -> None:
        super().__init__(text)
        self.status, self.kind = status, kind


# ── the grammar ──────────────────────────────────────────────────────────────────────────────────────────────────────


def grammar(schema: dict[str, Any], user: str) -> str:
    """Return the schema as an llguidance grammar: bounds restored, every string and array capped, no free whitespace."""
    rules = _bounded(schema, "", schema.get("$defs", {}), CRITERION_ID.findall(user))
    return "%llguidance {}\nstart: %json " + json.dumps(rules | {"x-guidance": {"whitespace_flexible": False}})


def _bounded(schema: dict[str, Any], name: str, defs: dict[str, Any], ids: list[str]) -> dict[str, Any]:
    if "$ref" in schema:
        schema = defs[schema["$ref"].rpartition("/")[2]]
    moved = MOVED_BOUNDS.search(schema.get("description", ""))
    bounds = {key: int(value) for key, value in re.findall(r"(\w+): (\d+)", moved[1])} if moved else {}
    rules = {key: value for key, value in (schema | bounds).items() if key not in ("title", "description", "$defs")}
    if "anyOf" in rules:
        rules["anyOf"] = [_bounded(option, name, defs, ids) for option in rules["anyOf"]]
    if "enum" in rules or "const" in rules:
        return rules
    if rules.get("type") == "string":
        return {"type": "string", "pattern": _pattern(rules.get("minLength", 0), _cap(name, rules.get("maxLength")))}
    if rules.get("type") == "array":
        return _array(rules, _bounded(rules["items"], name, defs, ids), ids)
    if "properties" in rules:
        rules["properties"] = {key: _bounded(value, key, defs, ids) for key, value in rules["properties"].items()}
    return rules


def _array(rules: dict[str, Any], item: dict[str, Any], ids: list[str]) -> dict[str, Any]:
    """Return as few items as allowed, but one; of verdicts one for each criterion in the prompt, in its order."""
    if ids and "rubric_id" in item.get("properties", {}):
        verdicts = [item | {"properties": item["properties"] | {"rubric_id": {"const": id}}} for id in ids]
        return {"type": "array", "prefixItems": verdicts, "items": False, "minItems": len(ids), "maxItems": len(ids)}
    least = rules.get("minItems", 0)
    return {"type": "array", "items": item, "minItems": least, "maxItems": max(1, least) if rules.get("maxItems", 1) else 0}


def _pattern(shortest: int, longest: int) -> str:
    """A string that must not be empty begins with a visible character: validators strip blanks before they count."""
    return rf"^[^\x00-\x20\x7f]{CHARACTER}{{{shortest - 1},{longest - 1}}}$" if shortest else f"^{CHARACTER}{{0,{longest}}}$"


def _cap(name: str, longest: int | None = None) -> int:
    cap = CAPS.get(name, OTHER_CAP)
    return min(cap, longest) if longest is not None else cap


def tidy(answer: Any, name: str = "") -> Any:
    """Return the answer with strings that ran into their cap ended at their last whole sentence, or else word."""
    if isinstance(answer, dict):
        return {key: tidy(value, key) for key, value in answer.items()}
    if isinstance(answer, list):
        return [tidy(value, name) for value in answer]
    if not isinstance(answer, str) or len(answer) < _cap(name) - 3:
        return answer
    sentence = max(answer.rfind(mark) for mark in (". ", "? ", "! "))
    return answer[: sentence + 1] if sentence > len(answer) // 2 else answer[: answer.rfind(" ")] if " " in answer else answer


# ── the prompt ───────────────────────────────────────────────────────────────────────────────────────────────────────


def text_of(content: Any) -> str:
    """Return the text of a string or of a list of text blocks."""
    if isinstance(content, str):
        return content
    if any(block.get("type") != "text" for block in content):
        raise Refused(400, "invalid_request_error", "The embedded model reads text only.")
    return "\n\n".join(block["text"] for block in content)


def shortened(user: str, characters: int) -> str:
    """Return `user` with up to so many characters taken from the middle of its longest block; criteria and response stay whole.

    Text without any tagged block is one block. Returns `user` itself when there is nothing left to take.
    """
    blocks = [match.span(2) for match in BLOCK.finditer(user) if match[1] not in NEVER_CUT]
    start, end = max(blocks, key=lambda span: span[1] - span[0]) if blocks else (0, 0 if BLOCK.search(user) else len(user))
    left = max(SHORTEST_BLOCK, end - start - characters)
    if end - start <= left + 10:
        return user
    return f"{user[: start + left // 2]} … {user[end - left // 2 :]}"


# ── the model ────────────────────────────────────────────────────────────────────────────────────────────────────────


class Engine:
    """llama.cpp with one model. It always opens an HTTP port of its own, too: that one asks for a key only this process has."""

    def __init__(self, model_file: Path) -> None:
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path = str(model_file)
        params.n_ctx, params.n_parallel, params.cache_ram_mib = CONTEXT_TOKENS, 1, 256
        cores = os.cpu_count() or 1
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = min(cores, 4)
        # Flash attention gives other digits for a cached prompt than for a fresh one, and so other answers to the same request.
        params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
        params.verbosity, params.ui = 1, False
        self._key = secrets.token_hex(16)
        params.api_keys = [self._key]
        self.model = model_file.stem
        self.small = model_file.stat().st_size < SMALL_MODEL_BYTES
        self.prompt_tokens = SMALL_MODEL_PROMPT_TOKENS if self.small else CONTEXT_TOKENS - ANSWER_TOKENS
        self._examples = json.loads(EXAMPLES.read_text(encoding="utf-8"))
        self._one_at_a_time = threading.Lock()
        self._server = xllamacpp.Server(params)
        self._address = self._server.listening_address.removeprefix("http://")

    def message(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the message that answers the body. Raises Refused."""
        schema = ((body.get("output_config") or {}).get("format") or {}).get("schema")
        turns = [{"role": turn["role"], "content": text_of(turn["content"])} for turn in body["messages"]]
        if body.get("stream") or body.get("tools"):
            raise Refused(400, "invalid_request_error", "The embedded model neither streams nor calls tools.")
        digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        with self._one_at_a_time:
            prompt, used = self._fitted(self._earlier_turns(text_of(body.get("system") or ""), schema), turns)
            request = SAMPLING | {"messages": prompt, "max_tokens": min(body["max_tokens"], CONTEXT_TOKENS - used), "cache_prompt": True}
            if schema:
                request["grammar"] = grammar(schema, turns[-1]["content"])
            text, stop_reason, usage = self._text(request, int(digest[:7], 16), must_parse=bool(schema))
        return {
            "id": f"msg_local_{digest[:24]}",
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": [{"type": "text", "text": text}],
            "stop_reason": stop_reason,
            "stop_sequence": None,
            "usage": {"input_tokens": usage["prompt_tokens"], "output_tokens": usage["completion_tokens"]},
        }

    def _text(self, request: dict[str, Any], seed: int, *, must_parse: bool) -> tuple[str, str, dict[str, int]]:
        for number in range(TRIES):
            reply = self._server.handle_chat_completions(request | {"seed": seed + number})
            if "error" in reply:
                raise Refused(500, "api_error", f"llama.cpp: {reply['error'].get('message')}")
            choice, usage = reply["choices"][0], reply["usage"]
            text = choice["message"]["content"] or ""
            if choice["finish_reason"] == "length":
                return text, "max_tokens", usage
            if not must_parse:
                return text, "end_turn", usage
            try:
                return json.dumps(tidy(json.loads(text)), ensure_ascii=False), "end_turn", usage
            except ValueError:  # a grammar that does not compile is dropped without a word
                continue
        raise Refused(500, "api_error", f"{self.model} gave no valid JSON in {TRIES} tries: {text[:200]!r}")

    def _earlier_turns(self, system: str, schema: dict[str, Any] | None) -> list[dict[str, str]]:
        """Return system and worked example: the same for all requests of a stage, so that llama.cpp reads them once."""
        if self.small:
            system = system.partition("\n\n")[0]
        turns = [{"role": "system", "content": system}] if system else []
        if schema and (example := self._examples.get(schema.get("title"))):
            answer = json.dumps(example["answer"], ensure_ascii=False, separators=(",", ":"))
            turns += [{"role": "user", "content": example["user"]}, {"role": "assistant", "content": answer}]
        return turns

    def _fitted(self, earlier: list[dict[str, str]], turns: list[dict[str, str]]) -> tuple[list[dict[str, str]], int]:
        """Return the prompt and its tokens; the middles of the last turn's longest blocks are cut until it fits, seeds first of all."""
        while (used := self._tokens(earlier + turns)) > self.prompt_tokens:
            excess = -(-(used - self.prompt_tokens) // 100) * 100  # in steps, so that a seed's variations share a cached prompt
            user = shortened(turns[-1]["content"], excess * 4)
            if user == turns[-1]["content"]:
                break
            turns = [*turns[:-1], {"role": "user", "content": user}]
        if used > CONTEXT_TOKENS - ANSWER_TOKENS:
            most = CONTEXT_TOKENS - ANSWER_TOKENS
            raise Refused(400, "invalid_request_error", f"The prompt is too long for the embedded model: {used} tokens, at most {most}.")
        return earlier + turns, used

    def _tokens(self, prompt: list[dict[str, str]]) -> int:
        connection = http.client.HTTPConnection(self._address, timeout=60)
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._key}"}
        connection.request("POST", "/v1/chat/completions/input_tokens", json.dumps({"messages": prompt}), headers)
        return int(json.load(connection.getresponse())["input_tokens"])


# ── the server ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Handler(BaseHTTPRequestHandler):
    engine: Engine
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if not self.path.startswith("/v1/models/"):
            return self._fail(404, "not_found_error", f"No such path: {self.path}")
        model, most = self.engine.model, self.engine.prompt_tokens
        about = {"type": "model", "id": model, "display_name": model, "created_at": "1970-01-01T00:00:00Z", "lifecycle": "active"}
        self._send(200, about | {"max_input_tokens": most, "max_tokens": CONTEXT_TOKENS, "capabilities": None})

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.partition("?")[0] != "/v1/messages":
            return self._fail(404, "not_found_error", f"No such path: {self.path}")
        try:
            self._send(200, self.engine.message(json.loads(sent)))
        except Refused as refused:
            self._fail(refused.status, refused.kind, str(refused))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            traceback.print_exc()
            self._fail(400, "invalid_request_error", f"Not a body of /v1/messages: {error!r}")

    def _fail(self, status: int, kind: str, text: str) -> None:
        self._send(status, {"type": "error", "error": {"type": kind, "message": text}})

    def _send(self, status: int, body: dict[str, Any]) -> None:
        payload = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.send_header("request-id", body.get("id", "req_local"))
        if status >= 400:
            self.send_header("x-should-retry", "false")  # the same request would fail the same way
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *_: object) -> None:
        """Say nothing: stderr is for what went wrong."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, help="a GGUF file; the embedded one when left out")
    Handler.engine = Engine(parser.parse_args().model or embedded_model_file())
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(json.dumps({"url": f"http://127.0.0.1:{server.server_port}", "model": Handler.engine.model}), flush=True)
    sys.stdin.buffer.read()
    os._exit(0)  # at once: a running answer would be waited for otherwise, and nothing is left to save


if __name__ == "__main__":
    main()
