"""The models' own pages -> whether the models can do the work, and remarks about them. Reading a page costs nothing."""

from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any, TypeVar

from lib.llm.body import BodyError
from lib.llm.call import CallFailed, ProviderError, Transient
from lib.llm.problems import error_body, one_attempt, sdk_of
from lib.llm.provider import CREDENTIALS, Provider
from lib.llm.wire import LONGEST_NAME, Unreadable, Wire, WireModel, WireModelList, read

W = TypeVar("W", bound=Wire)
MOST_NAMED = 5  # models that a message names


async def check_models(client: Any, models: Iterable[str], *, provider: Provider, timeout_s: float) -> list[str]:
    """Return remarks about models that retire soon. Raises ProviderError for a model that can't do the work.

    A server without such a page, or with one of another shape, is not an error. The clouds, and a model on this machine, have none.
    """
    if provider.house in CREDENTIALS or provider.is_local:
        return []
    if provider.house == "openai":  # its list is no proof, because some servers take models that they do not list
        await _listed(client, provider=provider, timeout_s=timeout_s)
        return []
    remarks = []
    for model in dict.fromkeys(models):
        page = await _page(client, model, provider=provider, timeout_s=timeout_s)
        if page.lifecycle == "retired":
            raise ProviderError(f"Model `{model}` is retired. Set {provider.model_names} to a current one.")
        if page.has_structured_outputs is False:
            raise ProviderError(f"Model `{model}` has no structured outputs, which this kit needs. Set {provider.model_names} to another.")
        if page.retires_at:
            ends = page.retires_at if page.retires_at.tzinfo else page.retires_at.replace(tzinfo=UTC)
            remarks.append(f"Model `{model}` retires on {ends:%d %B %Y} (in {(ends - datetime.now(UTC)).days} days).")
    return remarks


async def models_like(client: Any, model: str, *, provider: Provider, timeout_s: float) -> str:
    """Return some of the models that the endpoint lists, the most similar first, as a sentence. It is "" when it lists none."""
    if provider.house in CREDENTIALS:
        return ""
    with suppress(ProviderError):
        page = await _listed(client, provider=provider, timeout_s=timeout_s)
        names = [provider.plain(one.id, longest=LONGEST_NAME) for one in page.data or () if one.id]
        if named := (get_close_matches(model, names, n=MOST_NAMED, cutoff=0.5) or sorted(names)[:MOST_NAMED]):
            return f" It lists {len(names):,} models, among them {', '.join(named)}."
    return ""


async def _listed(client: Any, *, provider: Provider, timeout_s: float) -> WireModelList:
    """Return the models that the endpoint lists, or an empty list when it has none. Raises ProviderError when no call can succeed."""

    async def listed() -> Any:
        try:
            return await client.models.with_raw_response.list()
        except (sdk_of(provider).APIStatusError, BodyError):  # no list, none for this key, or a huge one: the canary shows what is wrong
            return None

    return await _answer(listed(), WireModelList, provider=provider, timeout_s=timeout_s) or WireModelList()


async def _page(client: Any, model: str, *, provider: Provider, timeout_s: float) -> WireModel:
    """Return the model's page, or an empty one. Raises ProviderError when no call to the server can succeed."""
    import anthropic

    async def retrieved() -> Any:
        try:
            return await client.models.with_raw_response.retrieve(model)
        except anthropic.NotFoundError as error:
            if error_body(error).is_anthropic:  # a 404 of another server tells nothing about the model
                raise ProviderError(
                    f"Model `{model}` is unknown to {provider.host}. Check the spelling of {provider.model_names}."
                ) from None
            return None

    return await _answer(retrieved(), WireModel, provider=provider, timeout_s=timeout_s) or WireModel()


async def _answer(asking: Any, kind: type[W], *, provider: Provider, timeout_s: float) -> W | None:
    """Return the page, or None when the server has none. Raises ProviderError when no call to the server can succeed."""
    try:
        async with one_attempt(provider, timeout_s=timeout_s):
            response = await asking
        return read(kind, response.http_response.content, secrets=provider.secrets) if response else None
    except Transient as problem:
        if problem.kind in ("timeout", "connection"):
            raise ProviderError(
                f"{provider.host} can't be reached ({problem.detail}). Check {provider.url_name} and the network, then run again."
            ) from None
    except (CallFailed, Unreadable):
        pass
    return None
