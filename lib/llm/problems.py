"""An error of the SDK -> what it means: the run can't go on, this call can't be had, or another attempt may succeed.

Nothing that a server says is shown or stored before `provider.plain` has taken the key and control characters out of it.
"""

import time
from email.utils import parsedate_to_datetime
from typing import Any

from lib.llm.call import CallFailed, ProviderError, Transient
from lib.llm.provider import Provider, host_of
from lib.llm.wire import Unreadable, WireError, of

SPENDING_LIMIT_SIGNS = ("usage limit", "spend limit", "spend_limit", "usage threshold")


def problem_of(error: Any, provider: Provider) -> Exception:
    """Return what an HTTP error means: ProviderError, Transient, or CallFailed (rejected). `error` is the SDK's APIStatusError."""
    if fatal := fatal_error(error, provider):
        return fatal
    status, said = error.status_code, said_by(error, provider)
    if error.response.headers.get("x-should-retry") == "false":
        return CallFailed("unavailable", f"{status}, and the provider says not to try again: {said}")
    if status in (408, 409, 429) or status >= 500:
        kind = str(status) if status in (429, 529) else "5xx"
        return Transient(kind, f"{status}: {said}", retry_after_s=retry_after_s(error.response.headers))
    return CallFailed("rejected", f"{status}: {said}")


def fatal_error(error: Any, provider: Provider) -> ProviderError | None:
    """Return what stops the whole run, or None when only this call failed."""
    status, said = error.status_code, said_by(error, provider)
    if 300 <= status < 400:
        target = host_of(str(error.response.headers.get("location", ""))) or "another address"
        return ProviderError(
            f"{provider.host} redirects to {provider.plain(target)} ({status}). Redirects are not followed, because prompts and key would "
            "go there: set ANTHROPIC_BASE_URL to the final address."
        )
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


def unreachable(error: BaseException, provider: Provider) -> ProviderError:
    return ProviderError(
        f"{provider.host} can't be reached ({cause_of(error, provider)}). Check ANTHROPIC_BASE_URL and the network, then run again."
    )


def cause_of(error: BaseException, provider: Provider) -> str:
    """Return what broke a connection. Never the error's `repr`: aiohttp's holds the headers that were sent, and the key is one."""
    cause = error.__cause__ or error
    return f"{type(cause).__name__}: {provider.plain(cause, longest=200)}"


def said_by(error: Any, provider: Provider) -> str:
    """Return the server's own words."""
    try:
        said = of(WireError, error.body)
    except Unreadable:
        return provider.plain(error.message, longest=200)
    return provider.plain(said.error.message or error.message, longest=200)


def is_anthropic_error(error: Any) -> bool:
    """Whether the body is an error in Anthropic's own shape; what other servers answer says nothing about a model."""
    try:
        return of(WireError, error.body).is_anthropic
    except Unreadable:
        return False


def retry_after_s(headers: Any) -> float | None:
    """Return the wait that the provider asks for, in seconds: from `retry-after-ms`, or `retry-after` in seconds or as a date."""
    try:
        if milliseconds := headers.get("retry-after-ms"):
            return max(0.0, float(milliseconds) / 1000)
        if not (value := headers.get("retry-after")):
            return None
        try:
            return max(0.0, float(value))
        except ValueError:
            return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None
