"""The journal, the budget and the prices together, so that each paid reply is in the journal and in the budget."""

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from lib.llm.addresses import Access, Address
from lib.llm.budget import CHARACTERS_PER_TOKEN_AT_WORST, Budget, Price, PriceError, price_at
from lib.llm.call import Asked, Call, RawReply, Usage, wire_schema
from lib.llm.journal import UNREAD, Journal
from lib.settings import Settings


@dataclass(frozen=True, slots=True)
class Books:
    """What a run pays, and what it got for it."""

    journal: Journal
    budget: Budget
    settings: Settings  # its `price_usd_per_mtok` decides prices
    access: Access  # its mode does too, and a local model is free

    def in_mode(self, mode: str) -> "Books":
        """Return the same books at the prices of live calls or of batches."""
        return replace(self, access=replace(self.access, mode=mode))

    def price(self, model: str) -> Price:
        """Raises PriceError for a model without a listed price."""
        return price_at(Address(self.access, model), self.settings)

    def asked(self, call: Call[Any], *, key: str) -> Asked:
        """Return what the journal keeps of `call`, with the most that it can cost."""
        characters = len(call.prompt.system) + len(call.prompt.user) + wire_schema(call.answer).characters
        most = Usage(cache_write=int(characters / CHARACTERS_PER_TOKEN_AT_WORST), output=call.max_tokens)
        return Asked(key, call.slot, call.stage, call.vote, call.model, self.price(call.model).cost_usd(most))

    def paid(self, asked: Asked, raw: RawReply) -> RawReply:
        """Return `raw` with its cost, and add the cost to what was spent. A reply that has a cost was added before.

        A reply that does not say what it used costs the most that it can. So does a reply of an earlier run's batch whose model
        has no listed price now.
        """
        if raw.cost_usd is not None:
            return raw
        cost_usd = asked.worst_usd
        if raw.usage:
            with suppress(PriceError):
                cost_usd = self.price(asked.model or raw.model).cost_usd(raw.usage)
        self.budget.pay(cost_usd)
        return replace(raw, cost_usd=cost_usd)

    async def receive(self, asked: Asked, raw: RawReply) -> RawReply:
        """Journal a batch's reply as soon as it is read, and return it with its cost. No call need wait for it."""
        raw = self.paid(asked, raw)
        number = self.journal.find(asked.key).paid + 1
        await self.journal.store(asked, raw, number=number, outcome="invalid_answer" if raw.flaw else UNREAD)
        return raw
