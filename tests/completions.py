"""OpenAI's chat completions, files and batches, in front of the loopback provider's own answers.

A body is translated into one of `/v1/messages`, answered there with all of the provider's faults and limits, and translated back. So both
routes give the same text for the same prompt. Wire shapes: the types of openai 3.57.
"""

import asyncio
import json
import time
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from tests.provider import Provider

FINISH = {"end_turn": "stop", "max_tokens": "length", "refusal": "stop"}
EFFORTS = {"minimal": "low", "none": "low"}


def as_messages(body: Any) -> Any:
    """Return the body of `/v1/messages` that asks the same."""
    if not isinstance(body, dict):
        return body
    turns = body.get("messages") or []
    wanted = (body.get("response_format") or {}).get("json_schema") or {}
    output = {"format": {"type": "json_schema", "schema": wanted["schema"]}} if wanted else {}
    if effort := body.get("reasoning_effort"):
        output["effort"] = EFFORTS.get(effort, effort)
    return {
        "model": body.get("model"),
        "max_tokens": body.get("max_completion_tokens") or body.get("max_tokens"),
        "system": [{"type": "text", "text": turn["content"]} for turn in turns if turn["role"] == "system"],
        "messages": [turn for turn in turns if turn["role"] != "system"],
        "output_config": output,
    }


def as_completion(message: Any) -> Any:
    """Return a message as a chat completion. Its cached tokens are among the prompt's, and its thinking is counted with the completion."""
    usage, refused = message["usage"], message["stop_reason"] == "refusal"
    text = "".join(block["text"] for block in message["content"] if block["type"] == "text")
    cached = usage.get("cache_read_input_tokens") or 0
    prompt = usage["input_tokens"] + cached + (usage.get("cache_creation_input_tokens") or 0)
    output = usage["output_tokens"]
    return {
        "id": message["id"].replace("msg_", "chatcmpl-"), "object": "chat.completion", "created": int(time.time()),
        "model": message["model"],
        "choices": [{
            "index": 0, "logprobs": None, "finish_reason": FINISH[message["stop_reason"]],
            "message": {"role": "assistant", "content": None if refused else text, "refusal": text if refused else None},
        }],
        "usage": {
            "prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output,
            "prompt_tokens_details": {"cached_tokens": cached}, "completion_tokens_details": {"reasoning_tokens": 0},
        },
    }  # fmt: skip


def as_error(body: Any) -> Any:
    """Return Anthropic's error body in OpenAI's shape."""
    return {"error": {"message": body["error"]["message"], "type": body["error"]["type"], "param": None, "code": body["error"]["type"]}}


@dataclass(slots=True)
class CompletionBatch:
    id: str
    input_file: str
    metadata: dict[str, str]
    lines: list[dict[str, Any]]
    status: str = "in_progress"
    output_file: str | None = None
    error_file: str | None = None
    completed: int = 0
    failed: int = 0
    created_at: int = field(default_factory=lambda: int(time.time()))

    def described(self) -> dict[str, Any]:
        return {
            "id": self.id, "object": "batch", "endpoint": "/v1/chat/completions", "status": self.status, "created_at": self.created_at,
            "input_file_id": self.input_file, "output_file_id": self.output_file, "error_file_id": self.error_file, "errors": None,
            "completion_window": "24h", "metadata": self.metadata,
            "request_counts": {"total": len(self.lines), "completed": self.completed, "failed": self.failed},
        }  # fmt: skip


class CompletionBatches:
    """The endpoints of files and batches. Each request is answered as by `/v1/chat/completions`."""

    def __init__(self, provider: "Provider") -> None:
        self._provider, self._serials = provider, count(1)
        self.files: dict[str, bytes] = {}
        self.made: dict[str, CompletionBatch] = {}
        self._running: set[asyncio.Task[None]] = set()

    def _stored(self, content: bytes) -> str:
        name = f"file-{next(self._serials):06d}"
        self.files[name] = content
        return name

    async def upload(self, http: web.Request, body: Any) -> dict[str, Any]:
        return {"id": self._stored(body["file"]), "object": "file", "purpose": body["purpose"], "bytes": len(body["file"])}

    async def content(self, http: web.Request, body: Any) -> bytes:
        return self.files[http.match_info["file_id"]]

    async def create(self, http: web.Request, body: Any) -> dict[str, Any]:
        lines = [json.loads(line) for line in self.files[body["input_file_id"]].splitlines()]
        batch = CompletionBatch(f"batch_{next(self._serials):06d}", body["input_file_id"], body.get("metadata") or {}, lines)
        self.made[batch.id] = batch
        task = asyncio.create_task(self._run(batch))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return batch.described()

    async def _run(self, batch: CompletionBatch) -> None:
        await asyncio.sleep(self._provider.settings.batch_delay_s)
        answers, errors = list[dict[str, Any]](), list[dict[str, Any]]()
        for number, line in enumerate(batch.lines):
            result = self._provider.batch_result(as_messages(line["body"]))
            answered: dict[str, Any] = {"id": f"batch_req_{number}", "custom_id": line["custom_id"], "error": None}
            if result["type"] == "succeeded":
                answers.append(answered | {"response": {"status_code": 200, "body": as_completion(result["message"])}})
            elif result["type"] == "expired":
                errors.append(answered | {"response": None, "error": {"code": "batch_expired", "message": "It expired."}})
            else:
                errors.append(answered | {"response": {"status_code": 500, "body": as_error(result["error"])}})
            await asyncio.sleep(0)
        batch.completed, batch.failed, batch.status = len(answers), len(errors), "completed"
        for lines, name in ((answers, "output_file"), (errors, "error_file")):
            if lines:
                setattr(batch, name, self._stored("".join(json.dumps(line) + "\n" for line in lines).encode()))

    async def retrieve(self, http: web.Request, body: Any) -> dict[str, Any]:
        return self.made[http.match_info["batch_id"]].described()

    async def listing(self, http: web.Request, body: Any) -> dict[str, Any]:
        return {"object": "list", "data": [batch.described() for batch in reversed(self.made.values())], "has_more": False}
