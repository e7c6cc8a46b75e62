"""OpenAI's batches: a file of requests is uploaded, and the answers and errors come in two files.

Source: the types of the `openai` package, 3.57, and OpenAI's guide to batches (50,000 requests or 200 MB a batch).
"""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import Field

from lib.llm.batch_wire import FATAL_ERRORS, TRIES_OF_A_REQUEST, BatchFailed, BatchWire, expired
from lib.llm.call import CallFailed, ProviderError, RawReply, Transient
from lib.llm.wire import Count, Text, Wire, WireBatch, WireBatchPage, at, read

ROUTE = "/v1/chat/completions"
ENDED = ("completed", "expired", "cancelled", "failed")
MARK = "tutoring_data_kit"  # the name under which a batch carries its shard's mark


class WireFile(Wire):
    id: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,200}$")


class WireCompletionBatch(Wire):
    id: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,200}$")  # strict, because it becomes part of a path
    status: Text = ""
    created_at: Annotated[int, Field(ge=0, le=10**11)] | None = None  # seconds since 1970
    total: Count = at("request_counts", "total", default=0)
    completed: Count = at("request_counts", "completed", default=0)
    failed: Count = at("request_counts", "failed", default=0)
    output_file: Text = Field("", validation_alias="output_file_id", pattern=r"^[A-Za-z0-9_.-]{0,200}$")
    error_file: Text = Field("", validation_alias="error_file_id", pattern=r"^[A-Za-z0-9_.-]{0,200}$")
    mark: Text = at("metadata", MARK)
    problem: Text = at("errors", "data", 0, "message")

    def as_batch(self) -> WireBatch:
        """Return the batch in the words of Message Batches."""
        answered = self.completed + self.failed
        counts = {"processing": max(0, self.total - answered), "succeeded": self.completed, "errored": self.failed}
        return WireBatch.model_validate(
            {
                "id": self.id,
                "processing_status": "ended" if self.status in ENDED else self.status,
                "created_at": self.created_at and datetime.fromtimestamp(self.created_at, UTC),
                "request_counts": counts,
                "mark": self.mark,
            }
        )


class WireCompletionBatchPage(Wire):
    data: list[WireCompletionBatch]
    has_more: bool = False


class WireCompletionResult(Wire):
    """A line of the answers, or of the errors."""

    custom_id: str
    status: Count = at("response", "status_code", default=0)
    body: Any = at("response", "body", default=None)
    error_code: Text = at("error", "code")
    error_message: Text = at("error", "message")
    body_error: Text = at("response", "body", "error", "message")


class CompletionBatchWire(BatchWire):
    async def _create(self, requests: dict[str, Any], *, mark: str) -> WireBatch:
        lines = ({"custom_id": custom_id, "method": "POST", "url": ROUTE, "body": body} for custom_id, body in requests.items())
        content = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()
        files, batches = self.client.files.with_raw_response, self.client.batches.with_raw_response
        sent = await self._answer(files.create(file=(f"{mark}.jsonl", content), purpose="batch"))
        about: Any = {"endpoint": ROUTE, "completion_window": "24h", "metadata": {MARK: mark}}
        answer = await self._answer(batches.create(input_file_id=self._read(WireFile, sent).id, **about))
        return self._read(WireCompletionBatch, answer).as_batch()

    async def page(self, after: str = "") -> WireBatchPage:
        more: Any = {"after": after} if after else {}
        answer = await self._answer(self.client.batches.with_raw_response.list(limit=100, **more))
        page = self._read(WireCompletionBatchPage, answer)
        last = page.data[-1].id if page.data else ""
        return WireBatchPage(data=[batch.as_batch() for batch in page.data], has_more=page.has_more, last_id=last)

    async def _retrieve(self, batch_id: str) -> WireBatch:
        return (await self._found(batch_id)).as_batch()

    async def _found(self, batch_id: str) -> WireCompletionBatch:
        answer = await self._answer(self.client.batches.with_raw_response.retrieve(batch_id), is_known=True)
        return self._read(WireCompletionBatch, answer)

    async def _lines(self, batch_id: str) -> AsyncIterator[bytes]:
        batch = await self._found(batch_id)
        for name in filter(None, (batch.output_file, batch.error_file)):
            async for line in self._lines_at(f"/files/{name}/content"):
                yield line
        if batch.status in ("failed", "cancelled"):
            reason = self.provider.plain(batch.problem, longest=200).rstrip(".")
            raise BatchFailed(f"Batch {batch_id} {batch.status}{f' ({reason})' if reason else ''}")

    def _outcome_of(self, line: bytes, batch_id: str) -> tuple[str, RawReply | Exception]:
        result = read(WireCompletionResult, line)
        return result.custom_id, self._outcome(result)

    def _outcome(self, result: WireCompletionResult) -> RawReply | Exception:
        detail = self.provider.plain(result.error_message or result.body_error, longest=200)
        if result.status == 200:
            return self._reply(result.body)
        if result.error_code in ("batch_expired", "batch_cancelled"):  # of a canceled one, the whole batch is reported
            return expired(detail or "the request expired in its batch")
        if result.status in (401, 402, 403, 404) or result.error_code in FATAL_ERRORS:
            return ProviderError(f"In a batch: {detail}. What is done is kept; correct it and run again.")
        if 400 <= result.status < 500 and result.status != 429:
            return CallFailed("rejected", f"in a batch: {detail}")
        return Transient("5xx", f"in a batch: {detail}", most_attempts=TRIES_OF_A_REQUEST + 1)

    def _reply(self, body: Any) -> RawReply | Exception:
        try:
            return self.dialect.reply_of(body, secrets=self.provider.secrets)
        except Transient as problem:
            return problem
