"""A body of `/v1/messages` goes in; the answer of a GGUF model on this machine comes out, in Anthropic's shape.

    python -m lib.llm.embedded.server [--model FILE.gguf]

binds a free port of 127.0.0.1, prints one line {"url": …, "model": …} when ready, and ends when its stdin closes. It is there
because llama.cpp's own `/v1/messages` ignores `output_config`: here the schema becomes a grammar, and what does not parse is an error.
The same request gives the same answer. One request at a time; no streaming, tools or images.
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
from collections.abc import Sequence
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from lib.llm.embedded.process import embedded_model_file

EXAMPLES = Path(__file__).with_name("examples.json")  # answer's title -> one worked example, sent as an earlier turn
CONTEXT_TOKENS = 4096
LONGEST_PROMPT = CONTEXT_TOKENS - 1500  # tokens; the caps below hold an answer under 1,300
# Up to this file size a model follows no long instruction, and a prompt of 2,000 tokens only doubles the seconds: it gets the
# instructions' first paragraph, and the middles of long blocks are cut, seeds first of all.
SMALL_MODEL_BYTES, SMALL_MODEL_PROMPT = 300_000_000, 800
LARGE_MODEL_FACTOR = 3  # a larger model may write so much more than these caps
TRIES = 3  # with other seeds, when an answer does not parse
# By default DRY looks back too short a way to keep six criteria apart; further than this it garbles words of the prompt.
SAMPLING = {"temperature": 0.5, "min_p": 0.08, "dry_multiplier": 0.8, "dry_penalty_last_n": 300, "dry_allowed_length": 3}
# Longest strings, in characters, by field: they set the seconds that a sample takes.
CAPS = {"topic": 60, "question": 180, "explanation": 320, "misconception": 100, "follow_up": 180, "criteria": 85}
CAPS |= {"response": 600, "reasoning": 55, "evidence": 45}
OTHER_CAP = 200
SLACK = 12  # characters the grammar allows beyond: just before a hard end only odd short tokens fit, and those are cut off again
CHARACTER = r"[^\x00-\x09\x0b-\x1f\x7f]"  # as a pattern it also keeps out the escapes of lone surrogates
MOVED_BOUNDS = re.compile(r"\{((?:\w+: \d+(?:, )?)+)\}$")  # what anthropic.transform_schema leaves in a description
CRITERION_ID = re.compile(r'<criterion id="([^"]+)">')
BLOCK = re.compile(r"<(\w+)[^<>]*>(.*?)</\1>", re.DOTALL)
ASSIGNED_WORDS = re.compile(r"^Length: (\d+) to \d+ words", re.MULTILINE)
FEWEST_CHARACTERS_A_WORD = 2.75  # of the assigned ones: half of them, at 5.5 characters each
# What the prompt asks of a scenario and a small model can't count: four critical criteria, one ban, the rest as it likes.
SMALL_MODEL_SEVERITIES = ("critical", "critical", "critical", "critical", "critical_negative")
NEVER_CUT = {"criteria", "criterion", "response"}
SHORTEST_BLOCK = 160  # characters left of a block that is cut

Json = dict[str, Any]


class Refused(Exception):
    """The request gets this error instead of a message."""

    def __init__(self, text: str, *, status: int = 400, kind: str = "invalid_request_error") -> None:
        super().__init__(text)
        self.status, self.kind = status, kind


NO_SUCH_PATH = Refused("There are only POST /v1/messages and GET /v1/models/….", status=404, kind="not_found_error")


def grammar(schema: Json, user: str, *, factor: int) -> str:
    """Return the schema as an llguidance grammar: bounds restored, every string and array capped, no free whitespace."""
    ids = list(dict.fromkeys(CRITERION_ID.findall(user)))
    assigned = ASSIGNED_WORDS.search(user)
    least_response = int(int(assigned[1]) * FEWEST_CHARACTERS_A_WORD) if assigned else 1

    def bounded(rules: Json, name: str) -> Json:
        if "$ref" in rules:
            rules = schema["$defs"][rules["$ref"].rpartition("/")[2]]
        moved = MOVED_BOUNDS.search(rules.get("description", ""))
        rules = rules | {key: int(bound) for key, bound in re.findall(r"(\w+): (\d+)", moved[1] if moved else "")}
        rules = {key: rule for key, rule in rules.items() if key not in ("title", "description", "$defs")}
        if "anyOf" in rules:
            return {"anyOf": [bounded(option, name) for option in rules["anyOf"]]}
        if rules.get("type") == "string" and not {"enum", "const"} & rules.keys():
            longest = CAPS.get(name, OTHER_CAP) * factor + SLACK
            shortest = min(least_response, CAPS["response"]) if name == "response" else rules.get("minLength", 0)
            return {"type": "string", "pattern": _pattern(shortest, min(longest, rules.get("maxLength", longest)))}
        if rules.get("type") == "array":
            return _array(
                bounded(rules["items"], name), rules.get("minItems", 0), ids, severities=SMALL_MODEL_SEVERITIES if factor == 1 else ()
            )
        if "properties" in rules:
            rules["properties"] = {key: bounded(rule, key) for key, rule in rules["properties"].items()}
        return rules

    return "%llguidance {}\nstart: %json " + json.dumps(bounded(schema, "") | {"x-guidance": {"whitespace_flexible": False}})


def _array(item: Json, least: int, ids: list[str], *, severities: Sequence[str]) -> Json:
    """Return as few items as allowed, but room for one; of verdicts one for each criterion in the prompt, in its order."""

    def each(name: str, values: Sequence[str]) -> list[Json]:
        return [item | {"properties": item["properties"] | {name: {"const": value}}} for value in values]

    if ids and "rubric_id" in item.get("properties", {}):
        return {"type": "array", "prefixItems": each("rubric_id", ids), "items": False, "minItems": len(ids), "maxItems": len(ids)}
    first = each("severity", severities) if "severity" in item.get("properties", {}) else []
    return {"type": "array", "prefixItems": first, "items": item, "minItems": least, "maxItems": max(1, least)}


def _pattern(shortest: int, longest: int) -> str:
    """A string that must not be empty begins with a visible character: validators strip blanks before they count."""
    return rf"^[^\x00-\x20\x7f]{CHARACTER}{{{shortest - 1},{longest - 1}}}$" if shortest else f"^{CHARACTER}{{0,{longest}}}$"


def tidy(answer: Any, name: str = "", *, factor: int) -> Any:
    """Return the answer with every string within its cap, ended at its last whole sentence, or else word."""
    if isinstance(answer, dict):
        return {key: tidy(part, key, factor=factor) for key, part in answer.items()}
    if isinstance(answer, list):
        return [tidy(part, name, factor=factor) for part in answer]
    cap = CAPS.get(name, OTHER_CAP) * factor
    if not isinstance(answer, str) or len(answer) <= cap:
        return answer
    sentence = max(answer.rfind(mark, cap // 2, cap) for mark in (". ", "? ", "! "))
    return answer[: sentence + 1] if sentence > 0 else answer[:cap].rpartition(" ")[0] or answer[:cap]


def text_of(content: Any) -> str:
    """Return the text of a string or of a list of text blocks."""
    if isinstance(content, str):
        return content
    if any(block["type"] != "text" for block in content):
        raise Refused("The model on this machine reads text only.")
    return "\n\n".join(block["text"] for block in content)


def shortened(user: str, characters: int) -> str:
    """Return `user` with up to so many characters taken from the middle of its longest block; criteria and response stay whole.

    Text without any tagged block is one block. Returns `user` itself when there is nothing left to take.
    """
    blocks = list(BLOCK.finditer(user))
    spans = [block.span(2) for block in blocks if block[1] not in NEVER_CUT] if blocks else [(0, len(user))]
    start, end = max(spans, key=lambda span: span[1] - span[0], default=(0, 0))
    half = max(SHORTEST_BLOCK, end - start - characters) // 2
    return user if end - start < 2 * half + 10 else f"{user[: start + half]} … {user[end - half :]}"


class Engine:
    """llama.cpp with one model. It always opens an HTTP port of its own, too: that one asks for a key only this process has."""

    def __init__(self, model_file: Path) -> None:
        import xllamacpp

        params, cores = xllamacpp.CommonParams(), os.cpu_count() or 1
        params.model.path, params.n_ctx, params.n_parallel, params.cache_ram_mib = str(model_file), CONTEXT_TOKENS, 1, 256
        # Writing is bound by memory: a second thread on the same core does not help, and waits when another process has it.
        params.cpuparams.n_threads, params.cpuparams_batch.n_threads = min(max(1, cores // 2), 4), min(cores, 4)
        params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED  # on CPUs it writes more slowly
        params.slot_prompt_similarity = 0.001  # an answer never takes from older prompts what `_read_opening` did not
        params.verbosity, params.ui, self._key = 1, False, secrets.token_hex(16)
        params.api_keys = [self._key]
        self.model = model_file.stem
        self.small = model_file.stat().st_size < SMALL_MODEL_BYTES
        self.factor = 1 if self.small else LARGE_MODEL_FACTOR
        self._examples = json.loads(EXAMPLES.read_text(encoding="utf-8"))
        self._one_at_a_time = threading.Lock()
        self._opening_tokens: dict[str, int] = {}
        self._server = xllamacpp.Server(params)
        self._address = self._server.listening_address.removeprefix("http://")

    def message(self, body: Json) -> Json:
        """Return the message that answers the body. Raises Refused."""
        if body.get("stream") or body.get("tools"):
            raise Refused("The model on this machine neither streams nor calls tools.")
        schema = ((body.get("output_config") or {}).get("format") or {}).get("schema")
        turns = [{"role": turn["role"], "content": text_of(turn["content"])} for turn in body["messages"]]
        request: Json = SAMPLING | ({"grammar": grammar(schema, turns[-1]["content"], factor=self.factor)} if schema else {})
        digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        with self._one_at_a_time:
            opening = self._opening(text_of(body.get("system") or ""), schema or {})
            turns, used = self._fitted(opening, turns)
            self._read_opening(opening)
            request |= {"messages": opening + turns, "max_tokens": min(body["max_tokens"], CONTEXT_TOKENS - used)}
            text, stop_reason, usage = self._answer(request, seed=int(digest[:7], 16))
        usage = {"input_tokens": usage["prompt_tokens"], "output_tokens": usage["completion_tokens"]}
        message = {"id": f"msg_local_{digest[:24]}", "type": "message", "role": "assistant", "model": self.model, "usage": usage}
        return message | {"content": [{"type": "text", "text": text}], "stop_reason": stop_reason, "stop_sequence": None}

    def _answer(self, request: Json, *, seed: int) -> tuple[str, str, Json]:
        """Return text, stop reason and llama.cpp's token counts."""
        for number in range(TRIES):
            reply = self._server.handle_chat_completions(request | {"seed": seed + number})
            if "error" in reply:
                raise Refused(f"llama.cpp: {reply['error'].get('message')}", status=500, kind="api_error")
            text = reply["choices"][0]["message"]["content"] or ""
            if reply["choices"][0]["finish_reason"] == "length":
                return text, "max_tokens", reply["usage"]
            if "grammar" not in request:
                return text, "end_turn", reply["usage"]
            try:
                return json.dumps(tidy(json.loads(text), factor=self.factor), ensure_ascii=False), "end_turn", reply["usage"]
            except ValueError:  # a grammar that does not compile is dropped without a word
                continue
        raise Refused(f"{self.model} gave no valid JSON in {TRIES} tries, the last: {text[:200]!r}", status=500, kind="api_error")

    def _opening(self, system: str, schema: Json) -> list[Json]:
        """Return system and worked example: the same for all requests of a stage, so that llama.cpp reads them once."""
        if self.small:
            system = system.partition("\n\n")[0]
        turns = [{"role": "system", "content": system}] if system else []
        if example := self._examples.get(schema.get("title")):
            answer = json.dumps(example["answer"], ensure_ascii=False, separators=(",", ":"))
            turns += [{"role": "user", "content": example["user"]}, {"role": "assistant", "content": answer}]
        return turns

    def _read_opening(self, opening: list[Json]) -> None:
        """Leave llama.cpp with the opening in its cache, and nothing beyond, always as read from its start.

        A prompt read in other pieces has other last digits, and then other words: what was asked before would show in the answer.
        """

        def read(mark: str, *, cached: bool) -> int:
            prompt = [*opening, {"role": "user", "content": mark}]
            reply = self._server.handle_chat_completions({"messages": prompt, "max_tokens": 1, "cache_prompt": cached})
            return int(reply["timings"]["cache_n"])

        key = json.dumps(opening)
        if key not in self._opening_tokens or read("§", cached=True) != self._opening_tokens[key]:
            read("#", cached=False)
            self._opening_tokens[key] = read("§", cached=True)

    def _fitted(self, opening: list[Json], turns: list[Json]) -> tuple[list[Json], int]:
        """Return the turns and the whole prompt's tokens; the last turn's longest blocks lose their middles until it fits."""
        wanted = SMALL_MODEL_PROMPT if self.small else LONGEST_PROMPT
        while (used := self._tokens(opening + turns)) > wanted:
            user = shortened(turns[-1]["content"], (used - wanted) * 4 + 20)
            if user == turns[-1]["content"]:
                break
            turns = [*turns[:-1], turns[-1] | {"content": user}]
        if used > LONGEST_PROMPT:
            raise Refused(f"The prompt is too long for the model on this machine: {used:,} tokens, at most {LONGEST_PROMPT:,}.")
        return turns, used

    def _tokens(self, prompt: list[Json]) -> int:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._key}"}
        with closing(http.client.HTTPConnection(self._address, timeout=60)) as connection:
            connection.request("POST", "/v1/chat/completions/input_tokens", json.dumps({"messages": prompt}), headers)
            return int(json.load(connection.getresponse())["input_tokens"])


class Handler(BaseHTTPRequestHandler):
    engine: Engine
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if not self.path.startswith("/v1/models/"):
            return self._fail(NO_SUCH_PATH)
        about: Json = {"type": "model", "id": self.engine.model, "display_name": self.engine.model, "lifecycle": "active"}
        self._send(about | {"created_at": "1970-01-01T00:00:00Z", "max_input_tokens": LONGEST_PROMPT, "max_tokens": CONTEXT_TOKENS})

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.partition("?")[0] != "/v1/messages":
            return self._fail(NO_SUCH_PATH)
        try:
            self._send(self.engine.message(json.loads(sent)))
        except Refused as refused:
            self._fail(refused)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            traceback.print_exc()
            self._fail(Refused(f"Not a body of /v1/messages: {error!r}"))

    def _fail(self, refused: Refused) -> None:
        self._send({"type": "error", "error": {"type": refused.kind, "message": str(refused)}}, status=refused.status)

    def _send(self, body: Json, *, status: int = 200) -> None:
        payload = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.send_header("x-should-retry", "false")  # to the SDK: the same request would fail in the same way
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *_: object) -> None:
        """Stderr is for what went wrong."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve a GGUF file as an Anthropic Messages endpoint on loopback.")
    parser.add_argument("--model", type=Path, help="a GGUF file; the embedded one when left out")
    Handler.engine = Engine(parser.parse_args().model or embedded_model_file())
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(json.dumps({"url": f"http://127.0.0.1:{server.server_port}", "model": Handler.engine.model}), flush=True)
    sys.stdin.buffer.read()
    os._exit(0)  # at once: a running answer would be waited for otherwise, and there is nothing to save


if __name__ == "__main__":
    main()
