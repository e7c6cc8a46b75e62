"""Settings, environment and `.env` -> who answers: an Anthropic Messages endpoint, or the embedded model on loopback.

The key is read here, handed to the SDK's client and shown nowhere.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from lib.llm.call import ProviderError
from lib.settings import PROJECT_ROOT, Settings

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

ANTHROPIC_HOST = "https://api.anthropic.com"
SPENDING_LIMIT_SIGNS = ("usage limit", "spend limit", "spend_limit", "usage threshold")
AIOHTTP_ABOVE = 8  # calls in flight; from there on it takes a fifth less client CPU (50 in flight)


@dataclass(frozen=True, slots=True)
class Provider:
    """`id` is part of every reply's key. `local_model` is set when the embedded model answers, `notice` then goes into every record."""

    id: str
    base_url: str
    api_key: str = field(repr=False)
    local_model: str = ""
    notice: str = ""

    @property
    def is_local(self) -> bool:
        return bool(self.local_model)

    def width(self, settings: Settings) -> int:
        """Return how many calls may be in flight: the embedded model answers one at a time."""
        return 1 if self.is_local else settings.max_concurrency

    def model(self, asked: str) -> str:
        return self.local_model or asked

    def client(self, *, timeout_s: float, max_connections: int) -> "AsyncAnthropic":
        """Return a client that does not retry (the window does, for all calls together). Create and close it in one loop."""
        import httpx2
        from anthropic import AsyncAnthropic, DefaultAioHttpClient, DefaultAsyncHttpxClient

        limits = httpx2.Limits(max_connections=max_connections, max_keepalive_connections=max_connections)
        timeout = httpx2.Timeout(timeout_s, connect=30.0)
        is_lean = max_connections > AIOHTTP_ABOVE and not getproxies()  # only the default transport is known to heed a proxy
        transport: Any = DefaultAioHttpClient if is_lean else DefaultAsyncHttpxClient
        return AsyncAnthropic(
            api_key=self.api_key,
            base_url=self.base_url,
            max_retries=0,
            timeout=timeout,
            http_client=transport(limits=limits, timeout=timeout, trust_env=not self.is_local),
        )


def chosen(settings: Settings) -> str:
    """Return "anthropic" or "local": what `provider` = auto comes to with this environment."""
    if settings.provider != "auto":
        return settings.provider
    return "anthropic" if _variable("ANTHROPIC_API_KEY") or _variable("ANTHROPIC_BASE_URL") else "local"


@contextmanager
def open_provider(settings: Settings) -> Iterator[Provider]:
    """Yield who answers; the embedded model's server lives as long as the context. Raises ProviderError when nobody can."""
    if chosen(settings) == "local":
        if settings.mode == "batch":
            raise ProviderError("MODE=batch needs Anthropic's Message Batches; the embedded model has none. Use MODE=live.")
        from lib.llm.local import embedded_model_file, local_server

        file = embedded_model_file()
        with local_server(file) as server:
            yield Provider(f"local:{file.name}", server.url, "local", server.model, server.notice)
        return
    base_url = _variable("ANTHROPIC_BASE_URL") or ANTHROPIC_HOST
    key = _variable("ANTHROPIC_API_KEY")
    if not key and base_url == ANTHROPIC_HOST:
        raise ProviderError("No API key: set ANTHROPIC_API_KEY in the environment or in .env (see .env.example), or PROVIDER=local.")
    yield Provider(_endpoint_id(base_url), base_url, key or "none")


async def check_models(client: "AsyncAnthropic", models: Iterable[str]) -> list[str]:
    """Return remarks (a model that retires soon). Raises ProviderError for a model that can't do the work.

    Servers without a models endpoint are taken at their word.
    """
    remarks = []
    for model in dict.fromkeys(models):
        info = await _model_info(client, model)
        if info is None:
            continue
        if info.lifecycle == "retired":
            raise ProviderError(f"Model `{model}` is retired. Set MODEL or JUDGE_MODEL to a current one.")
        if info.capabilities is not None and not info.capabilities.structured_outputs.supported:
            raise ProviderError(
                f"Model `{model}` has no structured outputs, which this kit needs. Set MODEL or JUDGE_MODEL to another one."
            )
        if info.retires_at:
            days = (info.retires_at - datetime.now(UTC)).days
            remarks.append(f"Model `{model}` retires on {info.retires_at:%d %B %Y} (in {days} days).")
    return remarks


async def _model_info(client: "AsyncAnthropic", model: str) -> Any:
    import anthropic

    try:
        return await client.models.retrieve(model)
    except anthropic.NotFoundError as error:
        if _is_anthropic_error(error):
            raise ProviderError(f"Model `{model}` is unknown to {client.base_url}. Check the spelling of MODEL and JUDGE_MODEL.") from None
        return None
    except anthropic.APIStatusError as error:
        if fatal := fatal_error(error):
            raise fatal from None
        return None
    except anthropic.APIConnectionError as error:
        raise unreachable(client, error) from None
    except (AttributeError, TypeError, ValueError):  # an endpoint of another shape
        return None


def unreachable(client: "AsyncAnthropic", error: Exception) -> ProviderError:
    cause = error.__cause__ or error
    return ProviderError(
        f"{client.base_url} can't be reached ({type(cause).__name__}: {cause}). Check ANTHROPIC_BASE_URL and the network, then run again."
    )


def fatal_error(error: Any) -> ProviderError | None:
    """Return what stops the whole run, or None when only this call failed. `error` is the SDK's APIStatusError."""
    status, said = error.status_code, _said(error)
    if status == 401:
        return ProviderError(f"The key is not accepted (401: {said}). Check ANTHROPIC_API_KEY in the environment or in .env.")
    if status == 402:
        return ProviderError(f"Payment is required (402: {said}). Check the account's billing, then run again: what is done is kept.")
    if status == 403:
        return ProviderError(f"The key may not do this (403: {said}). Check its workspace and the model's access.")
    if status == 404:
        return ProviderError(f"Not found (404: {said}). Check MODEL, JUDGE_MODEL and ANTHROPIC_BASE_URL: the model may be retired.")
    if status in (400, 429) and any(sign in str(error.body).lower() for sign in SPENDING_LIMIT_SIGNS):
        return ProviderError(
            f"The account's spending limit is reached ({status}: {said}). Raise it or wait, then run again: what is done is kept."
        )
    return None


def _endpoint_id(base_url: str) -> str:
    """Return "anthropic", or the endpoint's host and port: what may stand in a URL before the host is nobody's business."""
    return "anthropic" if base_url == ANTHROPIC_HOST else urlsplit(base_url).netloc.rpartition("@")[2]


def _is_anthropic_error(error: Any) -> bool:
    return isinstance(error.body, dict) and isinstance(error.body.get("error"), dict)


def _said(error: Any) -> str:
    return str(error.body["error"].get("message", error)) if _is_anthropic_error(error) else str(error.message)[:200]


def _variable(name: str) -> str:
    from dotenv import dotenv_values

    return os.environ.get(name) or dotenv_values(PROJECT_ROOT / ".env").get(name) or ""
