"""The models' own pages -> whether the models can do the work, and remarks about them. Reading a page costs nothing."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lib.llm.call import CallFailed, ProviderError, Transient
from lib.llm.problems import error_body, one_attempt
from lib.llm.provider import Provider
from lib.llm.wire import Unreadable, WireModel, read

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic


async def check_models(client: "AsyncAnthropic", models: Iterable[str], *, provider: Provider, timeout_s: float) -> list[str]:
    """Return remarks about models that retire soon. Raises ProviderError for a model that can't do the work.

    A server without such a page, or with one of another shape, is not an error.
    """
    remarks = []
    for model in dict.fromkeys(models):
        page = await _page(client, model, provider=provider, timeout_s=timeout_s)
        if page.lifecycle == "retired":
            raise ProviderError(f"Model `{model}` is retired. Set MODEL or JUDGE_MODEL to a current one.")
        if page.has_structured_outputs is False:
            raise ProviderError(
                f"Model `{model}` has no structured outputs, which this kit needs. Set MODEL or JUDGE_MODEL to another one."
            )
        if page.retires_at:
            ends = page.retires_at if page.retires_at.tzinfo else page.retires_at.replace(tzinfo=UTC)
            remarks.append(f"Model `{model}` retires on {ends:%d %B %Y} (in {(ends - datetime.now(UTC)).days} days).")
    return remarks


async def _page(client: "AsyncAnthropic", model: str, *, provider: Provider, timeout_s: float) -> WireModel:
    """Return the model's page, or an empty one. Raises ProviderError when no call to the server can succeed."""
    import anthropic

    try:
        async with one_attempt(provider, timeout_s=timeout_s):
            try:
                response = await client.models.with_raw_response.retrieve(model)
            except anthropic.NotFoundError as error:
                if error_body(error).is_anthropic:  # a 404 of another server tells nothing about the model
                    raise ProviderError(
                        f"Model `{model}` is unknown to {provider.host}. Check the spelling of MODEL and JUDGE_MODEL."
                    ) from None
                return WireModel()
        return read(WireModel, response.http_response.content, secrets=provider.secrets)
    except Transient as problem:
        if problem.kind in ("timeout", "connection"):
            raise ProviderError(
                f"{provider.host} can't be reached ({problem.detail}). Check ANTHROPIC_BASE_URL and the network, then run again."
            ) from None
    except (CallFailed, Unreadable):
        pass
    return WireModel()
