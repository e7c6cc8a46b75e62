"""A response of any size -> one whose body ends in an error once it is larger than any answer can be, and a body's lines.

The limit holds for the decoded body. A few megabytes of gzip can otherwise fill the memory before anybody looks at them.
"""

import zlib
from collections.abc import AsyncIterable, AsyncIterator
from contextvars import ContextVar
from typing import Any

MOST_BYTES = 8_000_000  # of a message or a page: the longest answer, 21,000 tokens and its thinking, is some 200 kB
PIECE_BYTES = 1 << 16  # decoded at a time
UNLIMITED_ENDS = ("/results",)  # a batch's results are read line by line, and each line has its own limit
GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


BEGUN: ContextVar[list[int]] = ContextVar("BEGUN")  # where the caller wants to learn that a good answer has begun: it may be billed


class BodyError(Exception):
    """The body is too large, or compressed in a way that was not asked for. It may have been billed."""


async def bound_body(response: Any) -> None:
    """Put a limit on a response of httpx2 before its body is read. For the client's event hook `response`."""
    if response.is_success and (begun := BEGUN.get(None)) is not None:
        begun.append(response.status_code)
    encoding = response.headers.pop("content-encoding", "").strip().lower()
    most = None if response.request.url.path.endswith(UNLIMITED_ENDS) and response.is_success else MOST_BYTES
    response.stream = _bounded_stream(response.stream, encoding, most, is_error=not response.is_success)


def _bounded_stream(stream: Any, encoding: str, most: int | None, *, is_error: bool) -> Any:
    import httpx2

    class Bounded(httpx2.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            size = 0
            try:
                async for piece in _decoded(stream, encoding):
                    size += len(piece)
                    if most is not None and size > most:
                        raise BodyError(f"it is larger than {most / 1e6:.0f} MB")
                    yield piece
            except (httpx2.HTTPError, OSError, BodyError) as error:
                if not is_error:  # the status of an error says enough
                    raise error if isinstance(error, BodyError) else BodyError(f"it broke off ({type(error).__name__})") from None

        async def aclose(self) -> None:
            await stream.aclose()

    return Bounded()


async def _decoded(stream: Any, encoding: str) -> AsyncIterator[bytes]:
    """Yield the body's bytes in pieces. Only gzip and deflate are undone: the request asks for no compression at all."""
    if encoding in ("", "identity"):
        async for piece in stream:
            yield piece
        return
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise BodyError("it is compressed, although no compression was asked for")
    decoder = zlib.decompressobj(GZIP_OR_ZLIB)
    try:
        async for piece in stream:
            while piece and not decoder.eof:
                yield decoder.decompress(piece, PIECE_BYTES)
                piece = decoder.unconsumed_tail
        yield decoder.flush()
    except zlib.error as error:
        raise BodyError(f"its compression is broken ({error})") from None


async def lines_of(pieces: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    r"""Yield the lines without their ends, blank ones left out. A line ends at `\n` only; of a too long one the beginning is yielded."""
    waiting = bytearray()
    async for piece in pieces:
        first, *others = piece.split(b"\n")
        waiting += first[: MOST_BYTES - len(waiting)]
        for rest in others:
            if waiting.strip():
                yield bytes(waiting)
            waiting = bytearray(rest[:MOST_BYTES])
    if waiting.strip():
        yield bytes(waiting)
