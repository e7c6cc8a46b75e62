"""A shard whose batch has no recorded id -> the id of its batch at the provider, because a run may be stopped right after creating it."""

from collections.abc import Collection

from lib.llm.batch_wire import BatchFailed, BatchGone, BatchWire
from lib.llm.call import ProviderError
from lib.llm.shards import Shard
from lib.llm.wire import Unreadable, WireBatch

MOST_PAGES = 20  # of a hundred batches each


async def found_batch(shard: Shard, wire: BatchWire, *, known: Collection[str], poll_s: float) -> str:
    """Return the id, or "" when there is no such batch. Batches with `known` ids belong to other shards.

    Where batches carry no mark, it waits for the end of those that may be the one, because only results show whose they are.
    """
    for batch in await _listed(wire):
        if batch.mark and batch.mark == shard.mark:
            return batch.id
        may_be = not batch.mark and batch.processing + batch.answered == len(shard.requests) and batch.was_created_about(shard.at)
        if may_be and batch.id not in known and await _is_of(shard, batch.id, wire=wire, poll_s=poll_s):
            return batch.id
    return ""


async def _listed(wire: BatchWire) -> list[WireBatch]:
    """Return the batches of this key, newest first, at most two thousand. Raises ProviderError, CallFailed or Transient."""
    batches: list[WireBatch] = []
    after = ""
    for _ in range(MOST_PAGES):
        try:
            page = await wire.page(after)
        except Unreadable as problem:
            raise ProviderError(f"{wire.provider.host} can't list its batches ({problem}). Run again later.") from None
        batches += page.data
        if not page.has_more or not page.last_id:
            break
        after = page.last_id
    return batches


async def _is_of(shard: Shard, batch_id: str, *, wire: BatchWire, poll_s: float) -> bool:
    """Wait for the batch to end, and return whether its custom ids are this shard's."""
    try:
        await wire.ended(batch_id, every_s=poll_s, report=lambda _: None)
        return not shard.by_custom_id.keys().isdisjoint([custom_id async for custom_id, _ in wire.results(batch_id)])
    except (BatchGone, BatchFailed):
        return False
