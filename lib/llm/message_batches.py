"""Anthropic's Message Batches. Source: the types of the `anthropic` package, 2.12."""

from collections.abc import AsyncIterator
from typing import Any

from lib.llm.batch_wire import FATAL_ERRORS, TRIES_OF_A_REQUEST, BatchWire, expired
from lib.llm.call import CallFailed, ProviderError, RawReply, Transient
from lib.llm.wire import WireBatch, WireBatchPage, WireResult, read, reply_of


class MessageBatchWire(BatchWire):
    async def _create(self, requests: dict[str, Any], *, mark: str) -> WireBatch:
        listed: Any = [{"custom_id": custom_id, "params": parameters} for custom_id, parameters in requests.items()]
        return self._read(WireBatch, await self._answer(self._batches.create(requests=listed)))

    async def page(self, after: str = "") -> WireBatchPage:
        more: Any = {"after_id": after} if after else {}
        return self._read(WireBatchPage, await self._answer(self._batches.list(limit=100, **more)))

    async def _retrieve(self, batch_id: str) -> WireBatch:
        return self._read(WireBatch, await self._answer(self._batches.retrieve(batch_id), is_known=True))

    @property
    def _batches(self) -> Any:
        return self.client.messages.batches.with_raw_response

    async def _lines(self, batch_id: str) -> AsyncIterator[bytes]:
        async for line in self._lines_at(f"/v1/messages/batches/{batch_id}/results"):
            yield line

    def _outcome_of(self, line: bytes, batch_id: str) -> tuple[str, RawReply | Exception]:
        result = read(WireResult, line)
        return result.custom_id, self._outcome(result, batch_id)

    def _outcome(self, result: WireResult, batch_id: str) -> RawReply | Exception:
        detail = self.provider.plain(result.error_message, longest=200)
        if result.type == "succeeded":
            return reply_of(result.message, secrets=self.provider.secrets)
        if result.type == "canceled":
            return ProviderError(f"Batch {batch_id} was canceled at the provider. Run again to ask only for what it had not answered.")
        if result.error_type == "invalid_request_error":
            return CallFailed("rejected", f"in a batch: {detail}")
        if result.error_type in FATAL_ERRORS:
            return ProviderError(f"In a batch: {detail}. What is done is kept; correct it and run again.")
        if result.type == "errored":
            return Transient("5xx", f"in a batch: {detail}", most_attempts=TRIES_OF_A_REQUEST + 1)
        return expired(f"the request {self.provider.plain(result.type)} in its batch")
