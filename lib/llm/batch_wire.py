"""Message Batches over the wire: create, list, retrieve, read results. Nothing here knows a journal or a call.

Results are always fetched from the endpoint's own address. The `results_url` of a batch is foreign text, and the key would go there.
"""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

from lib.llm.body import BodyError, lines_of
from lib.llm.call import CallFailed, ProviderError, RawReply, Transient
from lib.llm.problems import cause_of, fatal_error, problem_of, said_by
from lib.llm.provider import Provider
from lib.llm.wire import (
    Unreadable,
    WireBatch,
    WireBatchPage,
    WireMessage,
    WireResult,
    WireResultLine,
    of,
    raw_reply,
    read,
    unreadable_reply,
)

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

TRIES = 6  # to create a batch, or to read its results
LONGEST_BATCH_S = 26 * 3600.0  # a batch expires after 24 hours
MOST_SILENT_POLLS = 100  # in a row, before a run stops waiting
MOST_PAGES = 20  # of a hundred batches each
GONE = (400, 404, 405, 410, 422)  # a batch that can't be retrieved with such a status will never be
NOT_CREATED = ("429", "529")  # definite rejections
ODD = "?"  # no custom id begins with it


class BatchGone(Exception):
    """The provider does not have this batch any more, or not for this key."""


class BatchWire:
    """`timeout_s` bounds each answer, and of results each line."""

    def __init__(self, client: "AsyncAnthropic", provider: Provider, *, timeout_s: float) -> None:
        self.client, self.provider, self.timeout_s = client, provider, timeout_s

    async def created(self, requests: list[dict[str, Any]], *, found: Callable[[], Awaitable[str]], pause_s: float) -> str:
        """Create the batch once and return its id.

        After an error that leaves open whether it was created, `found` looks for it before another try. Raises ProviderError, or
        CallFailed (rejected).
        """
        why, is_open = "it named no id", False
        for attempt in range(1, TRIES + 1):
            try:
                if not is_open:
                    return (await self._batch(self.client.messages.batches.with_raw_response.create(requests=requests))).id  # type: ignore[arg-type]
            except Transient as problem:
                why, is_open = problem.detail, problem.kind not in NOT_CREATED
            except Unreadable as unreadable:
                why, is_open = f"its answer is no batch ({unreadable})", True
            await asyncio.sleep(min(30.0, pause_s * attempt))
            if is_open:  # nothing is created again before it is known that nothing was
                try:
                    if batch_id := await found():
                        return batch_id
                    is_open = False
                except Transient as problem:
                    why = problem.detail
        raise ProviderError(f"{self.provider.host} creates no batch: {why}. Run again later; a batch that was created is looked for first.")

    async def listed(self) -> list[WireBatch]:
        """Return the batches of this key, newest first, at most two thousand. Raises ProviderError, CallFailed or Transient."""
        batches: list[WireBatch] = []
        after: dict[str, str] = {}
        for _ in range(MOST_PAGES):
            answer = await self._sent(self.client.messages.batches.with_raw_response.list(limit=100, **after))  # type: ignore[arg-type]
            try:
                page = read(WireBatchPage, answer.http_response.content, secrets=self.provider.all_secrets)
            except Unreadable as problem:
                raise ProviderError(f"{self.provider.host} can't list its batches ({problem}). Run again later.") from None
            batches += page.data
            if not page.has_more or not page.last_id or after.get("after_id") == page.last_id:
                break
            after = {"after_id": page.last_id}
        return batches

    async def retrieved(self, batch_id: str) -> WireBatch:
        """Raises BatchGone, ProviderError or Transient."""
        try:
            return await self._batch(self.client.messages.batches.with_raw_response.retrieve(batch_id), is_known=True)
        except Unreadable as problem:
            raise Transient("connection", f"{batch_id}: the answer is no batch ({problem})") from None

    async def polled(self, batch_id: str, *, every_s: float) -> AsyncIterator[WireBatch | None]:
        """Yield the batch (None: no answer) again and again until it has ended. Raises BatchGone or ProviderError."""
        silent, deadline = 0, time.monotonic() + LONGEST_BATCH_S
        while True:
            try:
                batch: WireBatch | None = await self.retrieved(batch_id)
                silent = 0
            except Transient as problem:
                batch, silent = None, silent + 1
                if silent == MOST_SILENT_POLLS:
                    raise ProviderError(
                        f"{batch_id} can't be looked at ({problem.detail}). It goes on; run again to wait for it."
                    ) from None
            yield batch
            if batch and batch.processing_status == "ended":
                return
            if time.monotonic() > deadline:
                status = self.provider.plain(batch.processing_status if batch else "unknown", longest=40)
                raise ProviderError(f"{batch_id} has not ended in time (status: {status}). Look at it in the console, then run again.")
            await asyncio.sleep(every_s)

    async def results(self, batch_id: str) -> AsyncIterator[tuple[str, WireResult]]:
        """Yield (custom id, result), unordered. Raises BatchGone, ProviderError, or CallFailed (unavailable).

        A line that can't be read gives an id that begins with ODD. A stream that breaks is begun again, and its lines come again.
        """
        for attempt in range(1, TRIES + 1):
            try:
                async for line in self._lines(batch_id):
                    yield _result_line(line)
                return
            except Transient as problem:
                if attempt == TRIES:
                    raise CallFailed("unavailable", f"the results of {batch_id}: {problem.detail}") from None
            await asyncio.sleep(min(30.0, 0.5 * 2 ** (attempt - 1)))

    def outcome(self, result: WireResult, batch_id: str, *, most_attempts: int) -> RawReply | Exception:
        """Return what became of one request: a reply, or why there is none."""
        said = self.provider.plain(result.error.error.message, longest=200)
        kind = result.error.error.type
        if result.type == "succeeded":
            secrets = self.provider.all_secrets
            try:
                return raw_reply(of(WireMessage, result.message), secrets=secrets)
            except Unreadable as problem:
                return unreadable_reply(str(problem), secrets=secrets)
        if result.type == "canceled":
            return ProviderError(
                f"Batch {batch_id} was canceled at the provider. What it had answered is kept; run again to ask for the rest."
            )
        if kind == "invalid_request_error":
            return CallFailed("rejected", f"in a batch: {said}")
        if kind in ("authentication_error", "billing_error", "permission_error", "not_found_error"):
            return ProviderError(f"In a batch: {said}. What is done is kept; mend it and run again.")
        if result.type == "errored":
            return Transient("5xx", f"in a batch: {said}", most_attempts=most_attempts + 1)
        return Transient("expired", f"the request {self.provider.plain(result.type)} in its batch", most_attempts=most_attempts)

    async def _lines(self, batch_id: str) -> AsyncIterator[bytes]:
        import httpx2

        asking = self.client.get(f"/v1/messages/batches/{batch_id}/results", cast_to=httpx2.Response, stream=True)
        response = await self._sent(asking, is_known=True)
        try:
            lines = lines_of(response.aiter_bytes())
            while True:
                async with asyncio.timeout(self.timeout_s):
                    if (line := await anext(lines, None)) is None:
                        return
                yield line
        except (httpx2.HTTPError, BodyError, TimeoutError, OSError) as error:
            raise Transient("connection", cause_of(error, self.provider)) from None
        finally:
            await response.aclose()

    async def _batch(self, asking: Awaitable[Any], *, is_known: bool = False) -> WireBatch:
        answer = await self._sent(asking, is_known=is_known)
        return read(WireBatch, answer.http_response.content, secrets=self.provider.all_secrets)

    async def _sent(self, asking: Awaitable[Any], *, is_known: bool = False) -> Any:
        """Await an answer of the SDK. Raises Transient, ProviderError or CallFailed; BatchGone when it is about a batch that is known."""
        import anthropic
        import httpx2

        try:
            async with asyncio.timeout(self.timeout_s):
                return await asking
        except (anthropic.APITimeoutError, TimeoutError):
            raise Transient("timeout", f"no whole answer within {self.timeout_s:g} s") from None
        except anthropic.APIConnectionError as error:
            raise Transient("connection", cause_of(error, self.provider)) from None
        except (httpx2.HTTPError, BodyError, OSError) as error:  # the SDK does not wrap what breaks the body of an error
            raise Transient("connection", cause_of(error, self.provider)) from None
        except anthropic.APIStatusError as error:
            if is_known and error.status_code in GONE and not (error.status_code == 400 and fatal_error(error, self.provider)):
                raise BatchGone(f"{error.status_code}: {said_by(error, self.provider)}") from None
            raise problem_of(error, self.provider) from None


def _result_line(line: bytes) -> tuple[str, WireResult]:
    try:
        found = read(WireResultLine, line, secrets=())  # what is wrong with it is not shown
    except Unreadable:
        return ODD + hashlib.sha256(line).hexdigest(), WireResult()
    return found.custom_id, found.result
