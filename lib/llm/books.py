"""What replies cost, written down: the journal, the budget and the prices together, so that nothing is paid without being in all three."""

from dataclasses import replace
from typing import Any

from lib.llm.budget import CHARACTERS_PER_TOKEN_AT_WORST, FREE, Budget, Price, PriceError, price_of
from lib.llm.call import Asked, Call, RawReply, Usage, wire_schema
from lib.llm.journal import UNREAD, Entry, Journal
from lib.settings import Settings


class Books:
    """`settings` decide the prices; the embedded model is free."""

    def __init__(self, journal: Journal, budget: Budget, settings: Settings, *, is_local: bool) -> None:
        self.journal, self.budget, self._settings, self._is_local = journal, budget, settings, is_local
        self._prices: dict[str, Price] = {}

    def in_batches(self) -> "Books":
        """Return the same books at the prices of Message Batches."""
        settings = self._settings.model_copy(update={"mode": "batch"})
        return Books(self.journal, self.budget, settings, is_local=self._is_local)

    def price(self, model: str) -> Price:
        """Raises PriceError for a model without a listed price."""
        if model not in self._prices:
            self._prices[model] = price_for(model, self._settings, is_local=self._is_local)
        return self._prices[model]

    def asked(self, call: Call[Any], *, key: str, max_tokens: int) -> Asked:
        """Return what the books say of `call`, with the most that it can cost."""
        characters = len(call.prompt.system) + len(call.prompt.user) + wire_schema(call.answer).characters
        tokens = int(characters / CHARACTERS_PER_TOKEN_AT_WORST)
        worst_usd = self.price(call.model).cost_usd(Usage(cache_write=tokens, output=max_tokens))
        return Asked(key, call.slot, call.stage, call.vote, call.model, worst_usd)

    def paid(self, asked: Asked, raw: RawReply) -> RawReply:
        """Return `raw` with its cost, which is added to what was spent; one that is in the journal has been added before.

        A reply that does not say what it used costs the most that it can.
        """
        if raw.cost_usd is not None:
            return raw
        cost_usd = self._cost_usd(asked, raw)
        self.budget.pay(cost_usd)
        return replace(raw, cost_usd=cost_usd)

    async def receive(self, asked: Asked, raw: RawReply) -> RawReply:
        """Journal a batch's reply as it is read, whether or not a call waits for it, and return it with its cost."""
        raw = self.paid(asked, raw)
        number = self.journal.find(asked.key).paid + 1
        await self.journal.store(Entry(asked, number, UNREAD if not raw.flaw else "invalid_answer", raw))
        return raw

    def _cost_usd(self, asked: Asked, raw: RawReply) -> float:
        if raw.usage is None:
            return asked.worst_usd
        try:
            return self.price(asked.model or raw.model).cost_usd(raw.usage)
        except PriceError:  # in a shard that an earlier version sent, and of a model that is not used any more
            return asked.worst_usd


def price_for(model: str, settings: Settings, *, is_local: bool) -> Price:
    return FREE if is_local else price_of(model, override=settings.price_usd_per_mtok, mode=settings.mode)
