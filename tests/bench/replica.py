"""A body of /v1/chat/completions goes in, its answer comes out after a lognormal latency: one replica of a model server, for Ray Serve.

Like an engine with continuous batching, it takes whatever it is sent, works on a few requests at a time and keeps the others waiting.
Answer and latency depend on the body alone. It notes on disk when a request comes, begins and ends, so that nothing is forgotten when
it is killed.
"""

import json
import os
import time
from asyncio import Semaphore, sleep
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.answers import Request, answer_text, digest, usage_of
from tests.completions import as_completion, as_messages
from tests.provider import canary_message, is_canary, latency_of

if TYPE_CHECKING:
    from starlette.requests import Request as HttpRequest
    from starlette.responses import Response

MODEL, SIGMA = "stub", 0.4


class Replica:
    """Serves the completions and the page of models. Its file in the folder `notes` is named after its node and its process."""

    def __init__(self, notes: str, *, at_once: int, mean_s: float) -> None:
        import ray

        self.notes = (Path(notes) / f"{ray.get_runtime_context().get_node_id()}-{os.getpid()}.jsonl").open("a", buffering=1)
        self.places, self.mean_s, self.numbers = Semaphore(at_once), mean_s, count()

    async def __call__(self, http: "HttpRequest") -> "Response":
        from starlette.responses import JSONResponse

        if http.method == "POST" and http.url.path == "/v1/chat/completions":
            return JSONResponse(await self.completion(await http.json()))
        card = {"id": MODEL, "object": "model", "created": 0, "owned_by": "tests"}
        pages = {"/v1/models": {"object": "list", "data": [card]}, f"/v1/models/{MODEL}": card}
        if http.method == "GET" and http.url.path in pages:
            return JSONResponse(pages[http.url.path])
        error = {"message": f"There is no {http.url.path}.", "type": "NotFoundError", "param": None, "code": 404}
        return JSONResponse({"error": error}, status_code=404)

    async def completion(self, body: dict[str, Any]) -> dict[str, Any]:
        number, body_hash = next(self.numbers), digest(body)
        self.note(number, body_hash, "came")
        async with self.places:
            self.note(number, body_hash, "begun")
            answer = as_completion(message(as_messages(body), body_hash))
            await sleep(latency_of(body_hash, mean_s=self.mean_s, sigma=SIGMA))
            self.note(number, body_hash, "ended")
        return answer

    def note(self, *what: object) -> None:
        self.notes.write(json.dumps([*what, time.time()]) + "\n")


def message(body: dict[str, Any], body_hash: str) -> dict[str, Any]:
    """Return what the loopback provider answers to a body of /v1/messages."""
    if is_canary(body):
        return canary_message(body)
    request = Request(body, body_hash)
    text = answer_text(request, p_true=0.93)
    usage = usage_of(request, prefix=("", "", 0), is_hit=False, thought="", text=text)
    content = [{"type": "text", "text": text}]
    return {"id": f"msg_{body_hash[:24]}", "model": body["model"], "content": content, "stop_reason": "end_turn", "usage": usage}


@dataclass(frozen=True)
class Served:
    """One request at one replica. What had not happened when the replica was killed has an infinite time."""

    node: str
    body_hash: str
    came_s: float
    begun_s: float
    ended_s: float

    def busy_s(self, since_s: float, until_s: float) -> float:
        """Return how long the replica worked on it within this span."""
        return max(0.0, min(self.ended_s, until_s) - max(self.begun_s, since_s))


def served_by(notes: Path) -> Iterator[Served]:
    """Yield the requests that one replica has noted so far."""
    requests: dict[tuple[int, str], dict[str, float]] = {}
    for line in notes.read_text("utf-8").splitlines(keepends=True):
        if line.endswith("\n"):  # else it is being written
            number, body_hash, event, at_s = json.loads(line)
            requests.setdefault((number, body_hash), {})[event] = at_s
    for (_, body_hash), at in requests.items():
        yield Served(notes.name.partition("-")[0], body_hash, at["came"], at.get("begun", inf), at.get("ended", inf))
