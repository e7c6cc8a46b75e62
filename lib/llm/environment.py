"""Variables of the environment and of `.env`. They hold keys and addresses, so no error shows a value."""

import os
from base64 import b64encode
from contextlib import suppress
from urllib.parse import unquote, urlsplit

from lib.llm.call import ProviderError
from lib.settings import PROJECT_ROOT


def variable(name: str) -> str:
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


def web_address(name: str, *, default: str) -> str:
    """Return the base URL that a variable holds, or `default`. Raises ProviderError when it is no web address."""
    url = variable(name) or default
    if url and (not is_one_word(url) or not url.lower().startswith(("http://", "https://")) or not host_of(url)):
        raise ProviderError(f"{name} is no web address. Write it like https://host or http://127.0.0.1:8000, or unset it.")
    return url


def key(name: str) -> str:
    """Return the key that a variable holds, or "". Raises ProviderError when it can be no key."""
    value = variable(name)
    if not is_one_word(value):
        raise ProviderError(f"{name} holds a blank, a line break or another character that no key has. Copy the key anew.")
    return value


def headers(name: str) -> dict[str, str]:
    """Return the headers that a variable holds, one a line as "Name: value". Raises ProviderError for what can't be sent."""
    lines = variable(name).splitlines()
    if not all(line.isprintable() and line.isascii() for line in lines):
        raise ProviderError(f"{name} holds a character that can't be sent. Copy its value anew.")
    named = (line.partition(":") for line in lines)
    return {header.strip(): value.strip() for header, colon, value in named if colon and header.strip()}


def host_of(url: str) -> str:
    """Return only the host and port of `url`, or "" when it has none."""
    with suppress(ValueError):  # a port that is no number
        parts = urlsplit(url)
        if parts.hostname and parts.port != 0:
            return parts.netloc.rpartition("@")[2]
    return ""


def is_one_word(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text


def secrets_of(base_url: str, *values: str) -> tuple[str, ...]:
    """Return `values` and the URL's user, password and query, each also as it is sent."""
    parts = urlsplit(base_url)
    secrets = [*values, parts.username or "", parts.password or "", parts.query]
    if parts.username:
        secrets.append(b64encode(unquote(f"{parts.username}:{parts.password or ''}").encode()).decode())
    return tuple(dict.fromkeys(text for secret in secrets for text in (secret, unquote(secret)) if text))
