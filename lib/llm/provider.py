"""Settings, environment and `.env` -> who answers: an Anthropic Messages endpoint, or the embedded model on loopback.

The key is read here, handed to the SDK's client and shown nowhere.
"""

import os
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies

from lib.errors import LONGEST_QUOTE, plain
from lib.llm.body import bound_body
from lib.llm.call import ProviderError
from lib.settings import PROJECT_ROOT, Settings

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

ANTHROPIC_HOST = "https://api.anthropic.com"
AIOHTTP_ABOVE = 8  # calls in flight; from there on it takes a fifth less client CPU (50 in flight)
SENT = ("ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_CUSTOM_HEADERS")  # variables that the SDK reads by itself
NO_COMPRESSION = {"Accept-Encoding": "identity"}  # so that the size of what comes is the size of what is read


@dataclass(frozen=True, slots=True)
class Provider:
    """`id` is part of every reply's key. `local_model` is set when the embedded model answers, `notice` then goes into every record."""

    id: str
    base_url: str = field(repr=False)
    api_key: str = field(repr=False)
    local_model: str = ""
    notice: str = ""
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def is_local(self) -> bool:
        return bool(self.local_model)

    @property
    def all_secrets(self) -> tuple[str, ...]:
        """What must not be shown or stored, wherever the endpoint repeats it."""
        return (self.api_key, *self.secrets)

    @property
    def host(self) -> str:
        return host_of(self.base_url) or "the endpoint"

    def width(self, settings: Settings) -> int:
        """Return how many calls may be in flight: the embedded model answers one at a time."""
        return 1 if self.is_local else settings.max_concurrency

    def model(self, asked: str) -> str:
        return self.local_model or asked

    def plain(self, text: object, *, longest: int = LONGEST_QUOTE) -> str:
        """Return what the endpoint, or an error about it, says: without keys and control characters, and with the host for the URL."""
        path = urlsplit(self.base_url).path.strip("/")  # it may be a token; in a sample's text it would be an ordinary word
        shown = str(text).replace(self.base_url.rstrip("/"), self.host)
        return plain(shown, secrets=(*self.all_secrets, path), longest=longest)

    def client(self, *, timeout_s: float, max_connections: int) -> "AsyncAnthropic":
        """Return a client that neither retries (the window does, for all calls together) nor follows redirects.

        Create and close it in one loop. Raises ProviderError when a proxy or certificate of the environment can't be used.
        """
        import httpx2
        from anthropic import AsyncAnthropic, DefaultAioHttpClient, DefaultAsyncHttpxClient

        limits = httpx2.Limits(max_connections=max_connections, max_keepalive_connections=max_connections)
        timeout = httpx2.Timeout(timeout_s, connect=min(30.0, timeout_s))
        is_lean = max_connections > AIOHTTP_ABOVE and not getproxies()  # only the default transport is known to heed a proxy
        transport: Any = DefaultAioHttpClient if is_lean else DefaultAsyncHttpxClient
        try:
            http = transport(
                limits=limits,
                timeout=timeout,
                trust_env=not self.is_local,
                follow_redirects=False,
                event_hooks={"response": [bound_body]},
            )
        except (OSError, ValueError, ImportError) as error:  # ssl.SSLError is an OSError; a SOCKS proxy without its package an ImportError
            raise ProviderError(self._environment_problem(error)) from None
        return AsyncAnthropic(
            api_key=self.api_key, base_url=self.base_url, max_retries=0, timeout=timeout, http_client=http, default_headers=NO_COMPRESSION
        )

    def _environment_problem(self, error: Exception) -> str:
        names = [name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name)]
        if not isinstance(error, OSError):
            names = [name for name in os.environ if name.lower().endswith("_proxy") and os.environ[name]] or names
        which = ", ".join(sorted(names)) or "the proxy and certificate variables"
        said = f"{type(error).__name__}: {error.strerror}" if isinstance(error, OSError) and error.strerror else type(error).__name__
        return f"No connection can be set up with {which} as set in the environment ({said}). Correct or unset it, then run again."


def host_of(url: str) -> str:
    """Return host and port of `url`, without what may stand before, behind or after them; "" when it has none."""
    try:
        parts = urlsplit(url)
        host = f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else parts.hostname
        return f"{host}:{parts.port}" if host and parts.port else host or ""
    except ValueError:  # a port that is no number
        return ""


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
        from lib.llm.embedded.process import embedded_model_file, local_server

        file = embedded_model_file()
        with local_server(file) as server:
            yield Provider(f"local:{file.name}", server.url, "local", server.model, server.notice)
        return
    base_url = _base_url()
    key = _variable("ANTHROPIC_API_KEY")
    if not key and base_url == ANTHROPIC_HOST:
        raise ProviderError("No API key: set ANTHROPIC_API_KEY in the environment or in .env (see .env.example), or PROVIDER=local.")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise ProviderError("ANTHROPIC_API_KEY holds a blank, a line break or another character that no key has. Copy the key anew.")
    if not all(line.isprintable() for name in SENT for line in _variable(name).splitlines()):
        raise ProviderError(f"{' or '.join(SENT)} holds a character that can't be sent. Copy its value anew.")
    yield Provider(_endpoint_id(base_url), base_url, key or "none", secrets=_secrets(base_url))


def _base_url() -> str:
    """Return where calls go. Raises ProviderError for what is no web address, without showing it: it may hold a password."""
    base_url = _variable("ANTHROPIC_BASE_URL") or ANTHROPIC_HOST
    is_clean = base_url.isascii() and base_url.isprintable() and " " not in base_url
    if not is_clean or not base_url.lower().startswith(("http://", "https://")) or not host_of(base_url):
        raise ProviderError("ANTHROPIC_BASE_URL is no web address. Write it like https://host or http://127.0.0.1:8000, or unset it.")
    return base_url


def _endpoint_id(base_url: str) -> str:
    """Return "anthropic", or the endpoint's host and port."""
    return "anthropic" if base_url == ANTHROPIC_HOST else urlsplit(base_url).netloc.rpartition("@")[2]


def _secrets(base_url: str) -> tuple[str, ...]:
    """Return what besides the key must not be shown: what stands before the host or in the query, and the values of custom headers."""
    parts = urlsplit(base_url)
    found = [parts.username or "", parts.password or "", parts.query, _variable("ANTHROPIC_AUTH_TOKEN")]
    if parts.username:  # as it is sent
        found.append(b64encode(unquote(f"{parts.username}:{parts.password or ''}").encode()).decode())
    found += [line.partition(":")[2].strip() for line in _variable("ANTHROPIC_CUSTOM_HEADERS").splitlines()]
    return tuple(dict.fromkeys(text for secret in found for text in (secret, unquote(secret)) if text))


def _variable(name: str) -> str:
    """Return a variable of the environment, or else of `.env`, without blanks around it. Raises ProviderError."""
    from dotenv import dotenv_values

    if value := os.environ.get(name, "").strip():
        return value
    file = PROJECT_ROOT / ".env"
    try:
        return (dotenv_values(file, encoding="utf-8-sig").get(name) or "").strip()
    except UnicodeDecodeError:
        raise ProviderError(f"{file} is not UTF-8. Save it as UTF-8 (plain text), then run again.") from None
    except OSError as error:
        raise ProviderError(f"{file} can't be read ({error.strerror}). Mend or remove it, then run again.") from None
