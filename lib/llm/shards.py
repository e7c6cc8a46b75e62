"""A Message Batch of this run, as the journal records it."""

import json
from collections.abc import Collection
from dataclasses import dataclass

from lib.llm.call import Asked
from lib.llm.journal_file import JournalError

LONGEST_CUSTOM_ID = 64  # characters. Source: Anthropic, Message Batches


@dataclass(frozen=True, slots=True)
class Shard:
    """The requests of one batch. It is recorded before it is sent."""

    number: int
    at: float  # when it was recorded, seconds since 1970
    requests: tuple[Asked, ...]
    mark: str  # part of every custom id, to tell the batch from another one that asks the same; "" in shards of earlier versions
    batch_id: str = ""  # "" until the provider has named the batch
    provider: str = ""  # the id of the one that it is sent to; "" in shards of earlier versions

    def custom_id(self, key: str) -> str:
        return f"{key[: LONGEST_CUSTOM_ID - len(self.mark) - 1]}-{self.mark}" if self.mark else key

    @property
    def by_custom_id(self) -> dict[str, Asked]:
        return {self.custom_id(asked.key): asked for asked in self.requests}

    def is_of(self, provider: str, stages: Collection[str]) -> bool:
        """Whether it was sent to this provider for one of these stages. Earlier versions recorded neither.

        They knew one endpoint alone, which is the writer's.
        """
        if not self.provider:
            return "scenario" in stages and not provider.startswith(("openai", "local:"))
        return self.provider == provider and any(asked.stage in stages for asked in self.requests)

    def text(self) -> str:
        """Return the mark and the requests as the journal's table holds them."""
        listed = [[asked.key, asked.slot, asked.stage, asked.vote, asked.model, asked.worst_usd] for asked in self.requests]
        return json.dumps({"mark": self.mark, "provider": self.provider, "requests": listed})


def shard_of(row: tuple[int, float, str, str]) -> Shard:
    """Return the shard of a row of the journal's table. Raises JournalError when the row was changed by hand."""
    number, at, text, batch_id = row
    try:
        written = json.loads(text)
        if isinstance(written, list):  # earlier versions wrote the keys alone
            return Shard(number, at, tuple(Asked(key, "", "", 0, "", 0.0) for key in written), "", batch_id)
        requests = tuple(Asked(*fields) for fields in written["requests"])
        return Shard(number, at, requests, written["mark"], batch_id, written.get("provider", ""))
    except (ValueError, KeyError, TypeError):
        raise JournalError(f"The journal's entry {number} of a batch ({batch_id}) was changed. Delete it from its table shard.") from None
