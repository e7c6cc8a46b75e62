"""A response -> the same response, whose body may not be larger than any answer can be. And a body -> its lines.

The limit holds for the decompressed body, because a few megabytes of gzip can otherwise fill the memory.
"""

import zlib
from collections.abc import AsyncIterable, AsyncIterator
from contextvars import ContextVar
from typing import Any

MOST_BYTES = 8_000_000  # of a message or a page. The longest answer, 21,000 tokens and its thinking, has about 200 kB.
PIECE_BYTES = 1 << 16  # decompressed at a time
UNLIMITED_ENDS = ("/results", "/content")  # a batch's results are read line by line, and each line has its own limit
GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
RESPONSES: ContextVar[list[Any]] = ContextVar("RESPONSES")  # a caller's list, which gets each response as soon as its headers are there


class BodyError(Exception):
    """The body of a good answer broke off, is too large, or is compressed in an unknown way. It may have been billed."""


async def bound_body(response: Any) -> None:
    """Put a limit on a response of httpx2 before its body is read. For the client's event hook `response`."""
    import httpx2

    if (responses := RESPONSES.get(None)) is not None:
        responses.append(response)
    encoding = response.headers.pop("content-encoding", "").strip().lower()
    is_limited = not (response.is_success and response.request.url.path.endswith(UNLIMITED_ENDS))
    stream = response.stream

    class Bounded(httpx2.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            size = 0
            try:
                async for piece in _decompressed(stream, encoding):
                    size += len(piece)
                    if is_limited and size > MOST_BYTES:
                        raise BodyError(f"it is larger than {MOST_BYTES / 1e6:.0f} MB")
                    yield piece
            except (httpx2.HTTPError, OSError, BodyError) as error:
                if response.is_success:  # of an error, the status alone is enough
                    raise error if isinstance(error, BodyError) else BodyError(f"it broke off ({type(error).__name__})") from None

        async def aclose(self) -> None:
            await stream.aclose()

    response.stream = Bounded()


async def _decompressed(stream: Any, encoding: str) -> AsyncIterator[bytes]:
    """Yield the body in pieces. Only gzip and deflate are known, because the request asks for no compression at all."""
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
    r"""Yield the lines that are not blank, without their ends. Only `\n` ends a line. Of a line that is too long, yield its beginning."""
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
