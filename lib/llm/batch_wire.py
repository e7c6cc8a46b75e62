"""Requests to a provider's batches: create, list, retrieve, read results. Nothing here knows a journal or a call.

What the two APIs do each in its own way is in `message_batches` and in `completion_batches`.

Results are always read from the endpoint's own address. A batch names a `results_url`, but the server could put any address there,
and the key would be sent to it.
"""

import asyncio
import hashlib
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from lib.llm.body import lines_of
from lib.llm.call import CallFailed, NotFound, ProviderError, RawReply, Transient
from lib.llm.dialects import dialect_of
from lib.llm.problems import detail_of, fatal_error, one_attempt, sdk_of
from lib.llm.provider import Provider
from lib.llm.wire import Unreadable, Wire, WireBatch, WireBatchPage, read, unreadable_reply

W = TypeVar("W", bound=Wire)
TRIES = 6  # to create a batch, or to read its results
TRIES_OF_A_REQUEST = 2  # in different batches, when it expired or its batch is gone
LONGEST_BATCH_S = 26 * 3600.0  # a batch expires after 24 hours
MOST_SILENT_POLLS = 100  # without an answer, one after another, before a run stops waiting
GONE = (400, 404, 405, 410, 422)  # the statuses of a batch that can never be retrieved again
NOT_CREATED = ("429", "529")  # the kinds of errors after which a batch was certainly not created
FATAL_ERRORS = ("authentication_error", "billing_error", "permission_error", "not_found_error")  # of a request in a batch
NO_BATCHES = "{host} has no batches. Set MODE=live, or JUDGE_MODE=live when it is only the judge's."
ODD = "?"  # stands before the id of a line that can't be read. No custom id begins with it.


class BatchGone(Exception):
    """The provider does not have this batch any more, or not for this key."""


class BatchFailed(Exception):
    """The batch ended as a whole without all answers, for example because somebody canceled it."""


class BatchWire(ABC):
    """`timeout_s` bounds each answer. Of a batch's results it bounds each line."""

    def __init__(self, client: Any, provider: Provider, *, timeout_s: float) -> None:
        self.client, self.provider, self.timeout_s = client, provider, timeout_s
        self.dialect = dialect_of(provider)

    async def require_route(self) -> None:
        """Raise ProviderError when the endpoint has no batches, before anything is asked of it."""
        try:
            await self.page()
        except (NotFound, CallFailed):
            raise ProviderError(NO_BATCHES.format(host=self.provider.host)) from None
        except (Transient, Unreadable):  # it has them, and creating one will show what is wrong
            pass

    async def created(self, requests: dict[str, Any], *, mark: str, found: Callable[[], Awaitable[str]], pause_s: float) -> str:
        """Create the batch of `requests`, by custom id, once and return its id. Raises ProviderError or CallFailed (rejected).

        After an error it may be unknown whether the batch was created. Then `found` looks for it before another try.
        """
        why, may_exist = "", False
        for attempt in range(1, TRIES + 1):
            try:
                if not may_exist:
                    return (await self._create(requests, mark=mark)).id
            except Transient as problem:
                why, may_exist = problem.detail, problem.kind not in NOT_CREATED
            except Unreadable as problem:
                why, may_exist = f"its answer is no batch ({problem})", True
            await asyncio.sleep(min(30.0, pause_s * attempt))
            try:
                if may_exist and (batch_id := await found()):
                    return batch_id
                may_exist = False
            except Transient as problem:
                why = problem.detail
        raise ProviderError(f"{self.provider.host} creates no batch: {why}. Run again later; a batch that was created is looked for first.")

    async def retrieved(self, batch_id: str) -> WireBatch:
        """Raises BatchGone, ProviderError or Transient."""
        try:
            return await self._retrieve(batch_id)
        except Unreadable as problem:
            raise Transient("connection", f"{batch_id}: the answer is no batch ({problem})") from None

    async def ended(self, batch_id: str, *, every_s: float, report: Callable[[str], None]) -> WireBatch:
        """Return the batch once it has ended. `report(text)` shows its progress. Raises BatchGone or ProviderError."""
        silent, status, deadline = 0, "unknown", time.monotonic() + LONGEST_BATCH_S
        while True:
            try:
                batch = await self.retrieved(batch_id)
                silent, status = 0, batch.processing_status
                report(f"{batch_id}: {batch.answered:,} of {batch.processing + batch.answered:,} answered")
                if status == "ended":
                    return batch
            except Transient as problem:
                report(f"{batch_id}: no answer")
                silent += 1
                if silent == MOST_SILENT_POLLS:
                    raise ProviderError(f"{batch_id} can't be looked at ({problem.detail}). It goes on, so run again later.") from None
            if time.monotonic() > deadline:
                status = self.provider.plain(status, longest=40)
                raise ProviderError(f"{batch_id} has not ended in time (status: {status}). Look at it in the console, then run again.")
            await asyncio.sleep(every_s)

    async def outcomes(self, batch_id: str, *, custom_ids: list[str], answered: int) -> AsyncIterator[tuple[str, RawReply | Exception]]:
        """Yield each request's outcome once. Raises as `results` does, and CallFailed (unavailable) when fewer than `answered` come."""
        left, seen = dict.fromkeys(custom_ids), set[str]()
        async for custom_id, outcome in self.results(batch_id):
            seen.add(custom_id)
            if custom_id in left:
                del left[custom_id]
                yield custom_id, outcome
        if left and len(seen) < answered:
            raise CallFailed("unavailable", f"only {len(seen):,} results of {batch_id} came. Run again later to read the rest.")
        lost = f"not among the results of {batch_id}"
        are_odd = any(custom_id.startswith(ODD) for custom_id in seen)  # then the requests that are left may have been billed
        for custom_id in left:
            yield custom_id, unreadable_reply(lost) if are_odd else expired(lost)

    async def results(self, batch_id: str) -> AsyncIterator[tuple[str, RawReply | Exception]]:
        """Yield each custom id with its reply, or with the error that stands for none, in no order.

        A line that can't be read has an id that begins with ODD. When the connection breaks, all lines are read and yielded again.
        Raises BatchGone, ProviderError, or CallFailed (unavailable).
        """
        for attempt in range(1, TRIES + 1):
            try:
                async for line in self._lines(batch_id):
                    yield self._result(line, batch_id)
                return
            except Transient as problem:
                if attempt == TRIES:
                    raise CallFailed("unavailable", f"the results of {batch_id}: {problem.detail}") from None
            await asyncio.sleep(min(30.0, 0.5 * 2 ** (attempt - 1)))

    def _result(self, line: bytes, batch_id: str) -> tuple[str, RawReply | Exception]:
        try:
            return self._outcome_of(line, batch_id)
        except Unreadable:
            return ODD + hashlib.sha256(line).hexdigest(), unreadable_reply("a line of the results can't be read")

    @abstractmethod
    async def _create(self, requests: dict[str, Any], *, mark: str) -> WireBatch:
        """Create the batch once. Raises as `_answer` does, and Unreadable when the answer is no batch."""

    @abstractmethod
    async def page(self, after: str = "") -> WireBatchPage:
        """Return the newest batches of this key, or those before the one with the id `after`."""

    @abstractmethod
    async def _retrieve(self, batch_id: str) -> WireBatch: ...

    @abstractmethod
    def _lines(self, batch_id: str) -> AsyncIterator[bytes]:
        """Yield the lines of the results, and of the errors where those are apart."""

    @abstractmethod
    def _outcome_of(self, line: bytes, batch_id: str) -> tuple[str, RawReply | Exception]:
        """Return a line's custom id and what it holds. Raises Unreadable."""

    async def _lines_at(self, path: str) -> AsyncIterator[bytes]:
        """Yield the lines of a response. `timeout_s` bounds each of them."""
        import httpx2

        response = await self._answer(self.client.get(path, cast_to=httpx2.Response, stream=True), is_known=True)
        try:
            lines = lines_of(response.aiter_bytes())
            while True:
                async with one_attempt(self.provider, timeout_s=self.timeout_s):
                    line = await anext(lines, None)
                if line is None:
                    return
                yield line
        finally:
            await response.aclose()

    def _read(self, kind: type[W], answer: Any) -> W:
        return read(kind, answer.http_response.content, secrets=self.provider.secrets)

    async def _answer(self, asking: Awaitable[Any], *, is_known: bool = False) -> Any:
        """Await an answer of the SDK. Raises as `one_attempt` does, and BatchGone when a batch that is known is missing."""
        sdk = sdk_of(self.provider)
        async with one_attempt(self.provider, timeout_s=self.timeout_s):
            try:
                return await asking
            except sdk.APIStatusError as error:
                is_gone = error.status_code in GONE and not (error.status_code == 400 and fatal_error(error, self.provider))
                if is_known and is_gone:
                    raise BatchGone(f"{error.status_code}: {detail_of(error, self.provider)}") from None
                raise


def expired(detail: str) -> Transient:
    """Return the error of a request that its batch did not answer."""
    return Transient("expired", detail, most_attempts=TRIES_OF_A_REQUEST)
