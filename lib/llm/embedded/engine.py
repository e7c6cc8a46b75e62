"""The body of a chat completion -> llama.cpp's own completion, with what a small model needs to give a useful answer.

The schema gets bounds and becomes a grammar, a worked example is put before the prompt, and a long prompt is shortened. The same request
always has the same answer.
"""

import hashlib
import http.client
import json
import os
import re
import secrets
import threading
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from lib.llm.embedded.grammar import Json, grammar, tidy

EXAMPLES = Path(__file__).with_name("examples.json")  # the title of an answer -> a worked example, sent as an earlier turn
CONTEXT_TOKENS = 4096
LONGEST_PROMPT = CONTEXT_TOKENS - 1500  # tokens, because the grammar keeps an answer under 1,300
# A model of up to this size can't follow long instructions, and reading them takes time. It gets their first paragraph and a short prompt.
SMALL_MODEL_BYTES, SMALL_MODEL_PROMPT = 300_000_000, 800
LARGE_MODEL_FACTOR = 3  # how much longer the strings of a larger model may be
# DRY keeps a model from repeating itself. Llama.cpp's own range is too short for six criteria, and with a longer one words are garbled.
SAMPLING = {"temperature": 0.5, "min_p": 0.08, "dry_multiplier": 0.8, "dry_penalty_last_n": 300, "dry_allowed_length": 3}
BLOCK = re.compile(r"<(\w+)[^<>]*>(.*?)</\1>", re.DOTALL)
NEVER_CUT = {"criteria", "criterion", "response"}
SHORTEST_BLOCK = 160  # characters that are left of a block that is cut


@dataclass(eq=False)
class Refused(Exception):
    """Raised when a request gets an error instead of a message."""

    text: str
    status: int = 400  # of HTTP


class Engine:
    """llama.cpp with one model. It answers one request at a time."""

    def __init__(self, model_file: Path) -> None:
        import xllamacpp

        params, cores = xllamacpp.CommonParams(), os.cpu_count() or 1
        params.model.path, params.n_ctx, params.n_parallel, params.cache_ram_mib = str(model_file), CONTEXT_TOKENS, 1, 256
        # Writing is bound by memory, so a second thread on a core does not help, and waits when another process has the core.
        params.cpuparams.n_threads, params.cpuparams_batch.n_threads = min(max(1, cores // 2), 4), min(cores, 4)
        params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED  # on CPUs it writes more slowly
        params.slot_prompt_similarity = 0.001  # so that only `_read_opening` decides what is taken from the cache
        params.verbosity, params.ui, self._key = 1, False, secrets.token_hex(16)
        params.api_keys = [self._key]  # because llama.cpp always opens an HTTP port of its own, which nobody else is to use
        self.model = model_file.stem
        self._small = model_file.stat().st_size < SMALL_MODEL_BYTES
        self._factor = 1 if self._small else LARGE_MODEL_FACTOR
        self._examples = json.loads(EXAMPLES.read_text(encoding="utf-8"))
        self._one_at_a_time = threading.Lock()
        self._opening_tokens: dict[str, int] = {}
        self._server = xllamacpp.Server(params)
        self._address = self._server.listening_address.removeprefix("http://")

    def complete(self, body: Json) -> Json:
        """Return llama.cpp's completion of the body, with each long string cut to its cap. Raises Refused."""
        if body.get("stream") or body.get("tools"):
            raise Refused("The model on this machine neither streams nor calls tools.")
        schema = ((body.get("response_format") or {}).get("json_schema") or {}).get("schema") or {}
        system = "\n\n".join(turn["content"] for turn in body["messages"] if turn["role"] == "system")
        turns = [turn for turn in body["messages"] if turn["role"] != "system"]
        request: Json = SAMPLING | ({"grammar": grammar(schema, turns[-1]["content"], factor=self._factor)} if schema else {})
        digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        with self._one_at_a_time:
            opening = self._opening(system, schema.get("title", ""))
            turns, used = self._fitted(opening, turns)
            self._read_opening(opening)
            request |= {"messages": opening + turns, "max_tokens": min(body["max_tokens"], CONTEXT_TOKENS - used)}
            completion = self._server.handle_chat_completions(request | {"seed": int(digest[:7], 16)})
        return self._tidied(completion, is_json=bool(schema)) | {"id": f"chatcmpl-local-{digest[:24]}", "model": self.model}

    def _tidied(self, completion: Json, *, is_json: bool) -> Json:
        """Return the completion with a tidy answer. Raises Refused when JSON was asked for and none came."""
        if "error" in completion:
            raise Refused(f"llama.cpp: {completion['error'].get('message')}", status=500)
        choice = completion["choices"][0]
        text = choice["message"]["content"] or ""
        if is_json and choice["finish_reason"] != "length":
            try:
                choice["message"]["content"] = json.dumps(tidy(json.loads(text), factor=self._factor), ensure_ascii=False)
            except ValueError:  # llama.cpp ignores a grammar that does not compile
                raise Refused(f"{self.model} gave no valid JSON: {text[:200]!r}", status=500) from None
        return completion

    def _opening(self, system: str, title: str) -> list[Json]:
        """Return the system prompt and a worked example as turns. All requests of a stage begin with them."""
        if self._small:
            system = system.partition("\n\n")[0]
        turns = [{"role": "system", "content": system}] if system else []
        if example := self._examples.get(title):
            answer = json.dumps(example["answer"], ensure_ascii=False, separators=(",", ":"))
            turns += [{"role": "user", "content": example["user"]}, {"role": "assistant", "content": answer}]
        return turns

    def _read_opening(self, opening: list[Json]) -> None:
        """Make llama.cpp's cache hold the opening and nothing more, always read from its start.

        A prompt that is read in other pieces has other last digits, and so other words. Then earlier requests would change the answer.
        """

        def cached_tokens(mark: str, *, cached: bool) -> int:
            prompt = [*opening, {"role": "user", "content": mark}]
            reply = self._server.handle_chat_completions({"messages": prompt, "max_tokens": 1, "cache_prompt": cached})
            return int(reply["timings"]["cache_n"])

        key = json.dumps(opening)
        if key not in self._opening_tokens or cached_tokens("§", cached=True) != self._opening_tokens[key]:
            cached_tokens("#", cached=False)
            self._opening_tokens[key] = cached_tokens("§", cached=True)

    def _fitted(self, opening: list[Json], turns: list[Json]) -> tuple[list[Json], int]:
        """Return the turns, of which the last is shortened until the prompt fits, and the whole prompt's tokens. Raises Refused."""
        wanted = SMALL_MODEL_PROMPT if self._small else LONGEST_PROMPT
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


def shortened(user: str, characters: int) -> str:
    """Return `user` with up to `characters` taken from the middle of its longest block, or unchanged when nothing can be taken.

    Criteria and response stay whole. A text without tags is one block.
    """
    blocks = list(BLOCK.finditer(user))
    spans = [block.span(2) for block in blocks if block[1] not in NEVER_CUT] if blocks else [(0, len(user))]
    start, end = max(spans, key=lambda span: span[1] - span[0], default=(0, 0))
    half = max(SHORTEST_BLOCK, end - start - characters) // 2
    return user if end - start < 2 * half + 10 else f"{user[: start + half]} … {user[end - half :]}"
