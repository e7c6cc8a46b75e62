"""The models' own pages -> whether they can do the work, and remarks such as an end that is near. Nothing is paid for this."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lib.llm.call import ProviderError
from lib.llm.problems import fatal_error, is_anthropic_error, unreachable
from lib.llm.provider import Provider
from lib.llm.wire import Unreadable, WireModel, read

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic


async def check_models(client: "AsyncAnthropic", models: Iterable[str], *, provider: Provider, timeout_s: float) -> list[str]:
    """Return remarks (a model that retires soon). Raises ProviderError for a model that can't do the work.

    Servers without a models page, or with one of another shape, are taken at their word.
    """
    remarks = []
    for model in dict.fromkeys(models):
        page = await _page(client, model, provider=provider, timeout_s=timeout_s)
        if page is None:
            continue
        if page.lifecycle == "retired":
            raise ProviderError(f"Model `{model}` is retired. Set MODEL or JUDGE_MODEL to a current one.")
        if page.capabilities is not None and page.capabilities.structured_outputs.supported is False:
            raise ProviderError(
                f"Model `{model}` has no structured outputs, which this kit needs. Set MODEL or JUDGE_MODEL to another one."
            )
        if page.retires_at:
            ends = page.retires_at if page.retires_at.tzinfo else page.retires_at.replace(tzinfo=UTC)
            remarks.append(f"Model `{model}` retires on {ends:%d %B %Y} (in {(ends - datetime.now(UTC)).days} days).")
    return remarks


async def _page(client: "AsyncAnthropic", model: str, *, provider: Provider, timeout_s: float) -> WireModel | None:
    import anthropic

    try:
        async with asyncio.timeout(timeout_s):
            response = await client.models.with_raw_response.retrieve(model)
        return read(WireModel, response.http_response.content, secrets=provider.all_secrets)
    except anthropic.NotFoundError as error:
        if is_anthropic_error(error):
            raise ProviderError(f"Model `{model}` is unknown to {provider.host}. Check the spelling of MODEL and JUDGE_MODEL.") from None
        return None
    except anthropic.APIStatusError as error:
        if fatal := fatal_error(error, provider):
            raise fatal from None
        return None
    except (anthropic.APIConnectionError, TimeoutError) as error:
        raise unreachable(error, provider) from None
    except Unreadable:
        return None
