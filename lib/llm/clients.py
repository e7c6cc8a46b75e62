"""A provider -> the client of its SDK. Create and close a client in one event loop."""

import os
from importlib.util import find_spec
from typing import Any
from urllib.request import getproxies

from lib.llm.addresses import House
from lib.llm.body import bound_body
from lib.llm.call import ProviderError
from lib.llm.environment import variable
from lib.llm.problems import sdk_of
from lib.llm.provider import CREDENTIALS, Provider

AIOHTTP_ABOVE = 8  # calls in flight. With more, aiohttp takes a fifth less of the client's CPU (measured at 50).
OF_CONNECTIONS = ("http_proxy", "https_proxy", "all_proxy", "ssl_cert_file", "ssl_cert_dir")
EXTRAS: dict[House, tuple[str, str]] = {"bedrock": ("boto3", "boto3"), "vertex": ("google.auth", "google-auth")}  # module, package


def client(provider: Provider, *, timeout_s: float, max_connections: int) -> Any:
    """Return a client that does not follow redirects. It does not retry either, because `ask` does that.

    Raises ProviderError when a proxy or certificate of the environment can't be used, and when a cloud's package or variable is missing.
    """
    import httpx2

    left_out = sdk_of(provider).Omit()
    further = {name: left_out if value is None else value for name, value in provider.headers.items()}
    common: dict[str, Any] = {
        "http_client": _http(provider, max_connections=max_connections),
        "timeout": httpx2.Timeout(timeout_s, connect=min(30.0, timeout_s)),
        "max_retries": 0,
        # No compression, because a small compressed body can be huge.
        "default_headers": {**further, "Accept-Encoding": "identity"},
    }
    if provider.speaks_completions:
        from openai import AsyncOpenAI

        return AsyncOpenAI(api_key=provider.api_key, base_url=provider.base_url, **common)
    if provider.house in CREDENTIALS:
        return _cloud_client(provider, common)
    from anthropic import AsyncAnthropic

    return AsyncAnthropic(api_key=provider.api_key or None, auth_token=provider.auth_token or None, base_url=provider.base_url, **common)


def _http(provider: Provider, *, max_connections: int) -> Any:
    """Return the HTTP client. Both SDKs take the same one."""
    import httpx2
    from anthropic import DefaultAioHttpClient, DefaultAsyncHttpxClient

    limits = httpx2.Limits(max_connections=max_connections, max_keepalive_connections=max_connections)
    # Only the default transport is known to use a proxy, and to take a password in the address beside a key.
    is_lean = max_connections > AIOHTTP_ABOVE and not getproxies() and "@" not in provider.base_url
    transport: Any = DefaultAioHttpClient if is_lean else DefaultAsyncHttpxClient
    try:
        return transport(limits=limits, trust_env=not provider.is_local, follow_redirects=False, event_hooks={"response": [bound_body]})
    except (OSError, ValueError, ImportError) as error:  # a certificate, a proxy's address, a missing package for SOCKS
        names = ", ".join(sorted(name for name in os.environ if name.lower() in OF_CONNECTIONS and os.environ[name]))
        reason = f": {error.strerror}" if isinstance(error, OSError) and error.strerror else ""
        raise ProviderError(
            f"No connection can be set up with {names or 'the proxy and certificate variables'} as set in the environment "
            f"({type(error).__name__}{reason}). Correct or unset it, then run again."
        ) from None


def _cloud_client(provider: Provider, common: dict[str, Any]) -> Any:
    import anthropic

    house = provider.house
    if house in EXTRAS and not _is_installed(EXTRAS[house][0]):
        raise ProviderError(f"PROVIDER={house} needs the package {EXTRAS[house][1]}: `.venv/bin/python -m pip install {EXTRAS[house][1]}`.")
    try:
        common |= {"base_url": provider.base_url or None}
        if house == "bedrock":
            regions = "AWS_REGION", "AWS_DEFAULT_REGION"
            return anthropic.AsyncAnthropicBedrock(
                aws_region=_any_of(*regions) if variable("AWS_PROFILE") else _needed(*regions, house=house),
                aws_profile=_any_of("AWS_PROFILE"),
                aws_access_key=_any_of("AWS_ACCESS_KEY_ID"),
                aws_secret_key=_any_of("AWS_SECRET_ACCESS_KEY"),
                aws_session_token=_any_of("AWS_SESSION_TOKEN"),
                api_key=_any_of("AWS_BEARER_TOKEN_BEDROCK"),
                **common,
            )
        if house == "vertex":
            region, project = _needed("CLOUD_ML_REGION", house=house), _needed("ANTHROPIC_VERTEX_PROJECT_ID", house=house)
            return anthropic.AsyncAnthropicVertex(region=region, project_id=project, **common)
        resource = None if provider.base_url else _needed("ANTHROPIC_FOUNDRY_RESOURCE", house=house)
        return anthropic.AsyncAnthropicFoundry(api_key=_needed("ANTHROPIC_FOUNDRY_API_KEY", house=house), resource=resource, **common)
    except (ValueError, anthropic.AnthropicError) as error:
        raise ProviderError(
            f"PROVIDER={house}: {provider.plain(error).rstrip('.')}. The kit reads {CREDENTIALS[house]}, also from .env."
        ) from None


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of the package around it
        return False


def _any_of(*names: str) -> str | None:
    return next((value for name in names if (value := variable(name))), None)


def _needed(*names: str, house: House) -> str:
    if value := _any_of(*names):
        return value
    raise ProviderError(f"PROVIDER={house} needs {names[0]}: set it in the environment or in .env (see .env.example).")
