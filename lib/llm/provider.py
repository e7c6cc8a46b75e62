"""Settings, environment and `.env` -> who answers: an Anthropic Messages endpoint, or the embedded model on this machine.

The key is read here and given to the SDK's client. It is shown nowhere.
"""

import os
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
AIOHTTP_ABOVE = 8  # calls in flight. With more, aiohttp takes a fifth less of the client's CPU (measured at 50).
SENT = ("ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_CUSTOM_HEADERS")  # variables that the SDK itself reads and sends
OF_CONNECTIONS = ("http_proxy", "https_proxy", "all_proxy", "ssl_cert_file", "ssl_cert_dir")


@dataclass(frozen=True, slots=True)
class Provider:
    """Who answers."""

    id: str  # part of every reply's key
    base_url: str = field(repr=False)
    api_key: str = field(repr=False)
    local_model: str = ""  # the name of the model on this machine when it is the one that answers
    is_embedded: bool = False  # true for the 135M model that comes with the kit, which can neither follow rules nor check anything
    notice: str = ""  # the embedded model's notice, which every record of a run shows
    secrets: tuple[str, ...] = field(default=(), repr=False)  # what must not be shown or stored, wherever the endpoint repeats it

    @property
    def is_local(self) -> bool:
        return bool(self.local_model)

    @property
    def host(self) -> str:
        return host_of(self.base_url) or "the endpoint"

    def width(self, settings: Settings) -> int:
        """Return how many calls may be in flight. The embedded model answers one at a time."""
        return 1 if self.is_local else settings.max_concurrency

    def model(self, asked: str) -> str:
        return self.local_model or asked

    def plain(self, text: object, *, longest: int = LONGEST_QUOTE) -> str:
        """Return foreign text as one line without secrets and control characters, with the host in place of the base URL."""
        path = urlsplit(self.base_url).path.strip("/")  # may be a token. It is no secret elsewhere, where it may be an ordinary word.
        shown = str(text).replace(self.base_url.rstrip("/"), self.host)
        return plain(shown, secrets=(*self.secrets, path), longest=longest)

    def client(self, *, timeout_s: float, max_connections: int) -> "AsyncAnthropic":
        """Return a client that does not follow redirects. It does not retry either, because `ask` does that.

        Create and close it in one event loop. Raises ProviderError when a proxy or certificate of the environment can't be used.
        """
        import httpx2
        from anthropic import AsyncAnthropic, DefaultAioHttpClient, DefaultAsyncHttpxClient

        limits = httpx2.Limits(max_connections=max_connections, max_keepalive_connections=max_connections)
        is_lean = max_connections > AIOHTTP_ABOVE and not getproxies()  # only the default transport is known to use a proxy
        transport: Any = DefaultAioHttpClient if is_lean else DefaultAsyncHttpxClient
        try:
            hooks = {"response": [bound_body]}
            http = transport(limits=limits, trust_env=not self.is_local, follow_redirects=False, event_hooks=hooks)
        except (OSError, ValueError, ImportError) as error:  # a certificate, a proxy's address, a missing package for SOCKS
            names = ", ".join(sorted(name for name in os.environ if name.lower() in OF_CONNECTIONS and os.environ[name]))
            reason = f": {error.strerror}" if isinstance(error, OSError) and error.strerror else ""
            raise ProviderError(
                f"No connection can be set up with {names or 'the proxy and certificate variables'} as set in the environment "
                f"({type(error).__name__}{reason}). Correct or unset it, then run again."
            ) from None
        return AsyncAnthropic(
            api_key=self.api_key,
            base_url=self.base_url,
            http_client=http,
            timeout=httpx2.Timeout(timeout_s, connect=min(30.0, timeout_s)),
            max_retries=0,
            default_headers={"Accept-Encoding": "identity"},  # because a small compressed body can be huge
        )


def host_of(url: str) -> str:
    """Return only the host and port of `url`, or "" when it has none."""
    with suppress(ValueError):  # a port that is no number
        parts = urlsplit(url)
        if parts.hostname and parts.port != 0:
            return parts.netloc.rpartition("@")[2]
    return ""


def chosen(settings: Settings) -> str:
    """Return "anthropic" or "local". When `provider` is auto, the environment decides."""
    if settings.provider != "auto":
        return settings.provider
    return "anthropic" if _variable("ANTHROPIC_API_KEY") or _variable("ANTHROPIC_BASE_URL") else "local"


def chooses_embedded(settings: Settings) -> bool:
    """Whether the 135M model that comes with the kit is the one that will answer."""
    return chosen(settings) == "local" and not os.environ.get("LOCAL_MODEL")


@contextmanager
def open_provider(settings: Settings) -> Iterator[Provider]:
    """Yield who answers. The embedded model's server ends with the context. Raises ProviderError when nobody can answer."""
    if chosen(settings) == "anthropic":
        yield _endpoint()
        return
    if settings.mode == "batch":
        raise ProviderError("MODE=batch needs Anthropic's Message Batches; the embedded model has none. Use MODE=live.")
    from lib.llm.embedded.process import embedded_model_file, local_server

    file = embedded_model_file()
    with local_server(file) as server:
        yield Provider(f"local:{file.name}", server.url, "local", server.model, server.is_embedded, server.notice)


def _endpoint() -> Provider:
    """Return the endpoint that the environment names. The errors show no values, because they may hold a key or a password."""
    base_url, key = _variable("ANTHROPIC_BASE_URL") or ANTHROPIC_HOST, _variable("ANTHROPIC_API_KEY")
    if not _is_one_word(base_url) or not base_url.lower().startswith(("http://", "https://")) or not host_of(base_url):
        raise ProviderError("ANTHROPIC_BASE_URL is no web address. Write it like https://host or http://127.0.0.1:8000, or unset it.")
    if not key and base_url == ANTHROPIC_HOST:
        raise ProviderError("No API key: set ANTHROPIC_API_KEY in the environment or in .env (see .env.example), or PROVIDER=local.")
    if not _is_one_word(key):
        raise ProviderError("ANTHROPIC_API_KEY holds a blank, a line break or another character that no key has. Copy the key anew.")
    if not all(line.isprintable() for name in SENT for line in _variable(name).splitlines()):
        raise ProviderError(f"{' or '.join(SENT)} holds a character that can't be sent. Copy its value anew.")
    name = "anthropic" if base_url == ANTHROPIC_HOST else host_of(base_url)
    return Provider(name, base_url, key or "none", secrets=_secrets(base_url, key))


def _is_one_word(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text


def _secrets(base_url: str, key: str) -> tuple[str, ...]:
    """Return the key, the URL's user, password and query, and the values of the headers that the SDK sends."""
    parts = urlsplit(base_url)
    secrets = [key, parts.username or "", parts.password or "", parts.query, _variable("ANTHROPIC_AUTH_TOKEN")]
    if parts.username:  # as it is sent
        secrets.append(b64encode(unquote(f"{parts.username}:{parts.password or ''}").encode()).decode())
    secrets += [line.partition(":")[2].strip() for line in _variable("ANTHROPIC_CUSTOM_HEADERS").splitlines()]
    return tuple(dict.fromkeys(text for secret in secrets for text in (secret, unquote(secret)) if text))


def _variable(name: str) -> str:
    """Return a variable of the environment, or else of `.env`, without the blanks around it. Raises ProviderError."""
    from dotenv import dotenv_values

    if value := os.environ.get(name, "").strip():
        return value
    file = PROJECT_ROOT / ".env"
    try:
        return (dotenv_values(file, encoding="utf-8-sig").get(name) or "").strip()
    except UnicodeDecodeError:
        raise ProviderError(f"{file} is not UTF-8. Save it as UTF-8 (plain text), then run again.") from None
    except OSError as error:
        raise ProviderError(f"{file} can't be read ({error.strerror}). Correct or remove it, then run again.") from None
