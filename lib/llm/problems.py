"""An error of the SDK -> what it means: the run can't go on, this call failed, or another attempt may succeed.

No text of a server is shown or stored before `provider.plain` has removed secrets and control characters from it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from email.utils import parsedate_to_datetime
from importlib import import_module
from typing import Any

from lib.llm.body import BodyError
from lib.llm.call import CallFailed, NotFound, ProviderError, Transient
from lib.llm.environment import host_of
from lib.llm.provider import CREDENTIALS, Provider
from lib.llm.wire import Unreadable, WireError, read

ENDS_THE_RUN = {  # status -> the problem, and what to do next
    401: ("The key is not accepted", "Check {keys} in the environment or in .env."),
    402: ("Payment is required", "Check the account's billing, then run again: what is done is kept."),
    403: ("The key may not do this", "Check {keys}, its workspace and the model's access."),
    404: ("Not found", "Check that {models} names a model of this endpoint, and check {url}."),
}
SPENDING_LIMIT = ("The account's spending limit is reached", "Raise it or wait, then run again: what is done is kept.")
# In an error with status 400 or 429.
SPENDING_LIMIT_SIGNS = ("usage limit", "spend limit", "spend_limit", "usage threshold", "insufficient_quota")


@asynccontextmanager
async def one_attempt(provider: Provider, *, timeout_s: float) -> AsyncIterator[None]:
    """Bound the time of one request. Raises what its errors mean, which is Transient, CallFailed or ProviderError."""
    import httpx2

    sdk = sdk_of(provider)
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except (sdk.APITimeoutError, TimeoutError):
        raise Transient("timeout", f"no whole answer within {timeout_s:g} s") from None
    except sdk.APIStatusError as error:
        raise problem_of(error, provider) from None
    except (sdk.APIConnectionError, httpx2.HTTPError, BodyError, OSError) as error:  # the SDK does not wrap all of them
        cause = error.__cause__ or error  # its text only: the `repr` of aiohttp's errors holds the headers that were sent, and the key
        name = "" if isinstance(cause, BodyError) else f"{type(cause).__name__}: "
        raise Transient("connection", name + provider.plain(cause, longest=200)) from None
    except Exception as error:
        if not _is_of_credentials(error, provider):
            raise
        raise ProviderError(
            f"PROVIDER={provider.house}: {provider.plain(error, longest=200).rstrip('.')}. Check {provider.key_names}."
        ) from None


def sdk_of(provider: Provider) -> Any:
    """Return the module of the provider's SDK. Both name their errors alike."""
    return import_module("openai" if provider.speaks_completions else "anthropic")


def _is_of_credentials(error: Exception, provider: Provider) -> bool:
    """Whether a cloud's library found no credentials, or none that are valid. The SDK itself raises RuntimeError then."""
    return provider.house in CREDENTIALS and (
        type(error).__module__.partition(".")[0] in ("botocore", "boto3", "google") or isinstance(error, RuntimeError)
    )


def problem_of(error: Any, provider: Provider) -> Exception:
    """Return the ProviderError, Transient or CallFailed that an HTTP error (the SDK's APIStatusError) means."""
    if fatal := fatal_error(error, provider):
        return fatal
    status, detail, headers = error.status_code, detail_of(error, provider), error.response.headers
    if headers.get("x-should-retry") == "false":
        return CallFailed("unavailable", f"{status}, and the provider says not to try again: {detail}")
    if status in (408, 409, 429) or status >= 500:
        kind = str(status) if status in (429, 529) else "5xx"
        return Transient(kind, f"{status}: {detail}", retry_after_s=retry_after_s(headers))
    return CallFailed("rejected", f"{status}: {detail}")


def fatal_error(error: Any, provider: Provider) -> ProviderError | None:
    """Return what ends the whole run, or None when only this call failed."""
    status = error.status_code
    if 300 <= status < 400:
        target = host_of(str(error.response.headers.get("location", ""))) or "another address"
        return ProviderError(
            f"{provider.host} redirects to {provider.plain(target)} ({status}). Redirects are not followed, because prompts and key would "
            f"go there: set {provider.url_name} to the final address."
        )
    is_spending_limit = status in (400, 429) and any(sign in str(error.body).lower() for sign in SPENDING_LIMIT_SIGNS)
    if not (found := SPENDING_LIMIT if is_spending_limit else ENDS_THE_RUN.get(status)):
        return None
    problem, next_step = found
    next_step = next_step.format(keys=provider.key_names, models=provider.model_names, url=provider.url_name)
    kind = NotFound if status == 404 else ProviderError
    return kind(f"{problem} ({status}: {detail_of(error, provider)}). {next_step}")


def detail_of(error: Any, provider: Provider) -> str:
    """Return the server's own description of the error."""
    return provider.plain(error_body(error).message or error.message, longest=200)


def error_body(error: Any) -> WireError:
    """Return the body of an HTTP error, or an empty one when it has another shape."""
    try:
        return read(WireError, error.body)
    except Unreadable:
        return WireError()


def retry_after_s(headers: Any) -> float | None:
    """Return the wait that the provider asks for, or None. `retry-after` holds seconds or a date, `retry-after-ms` milliseconds."""
    forms: tuple[tuple[str, Callable[[str], float]], ...] = (
        ("retry-after-ms", lambda value: float(value) / 1000),
        ("retry-after", float),
        ("retry-after", lambda value: parsedate_to_datetime(value).timestamp() - time.time()),
    )
    for name, seconds in forms:
        with suppress(KeyError, ValueError, TypeError, OverflowError):
            return max(0.0, seconds(headers[name]))
    return None
