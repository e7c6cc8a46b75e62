"""Who answers, and how that endpoint's texts can be shown. The key is given to the SDK's client, and is shown nowhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

from lib.errors import LONGEST_QUOTE, plain
from lib.llm.addresses import OPENAI_HOST, Access, House
from lib.llm.call import ProviderError
from lib.llm.environment import headers, host_of, key, secrets_of, variable, web_address

ANTHROPIC_HOST = "https://api.anthropic.com"
OF_ACCOUNT = {"OpenAI-Organization": "OPENAI_ORG_ID", "OpenAI-Project": "OPENAI_PROJECT_ID"}  # headers that are for OpenAI alone
CLOUDS: dict[House, str] = {  # the variable with another base URL
    "bedrock": "ANTHROPIC_BEDROCK_BASE_URL",
    "vertex": "ANTHROPIC_VERTEX_BASE_URL",
    "foundry": "ANTHROPIC_FOUNDRY_BASE_URL",
}
CREDENTIALS: dict[House, str] = {
    "bedrock": "the AWS credentials (AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY) and AWS_REGION",
    "vertex": "Google's credentials (`gcloud auth application-default login`), CLOUD_ML_REGION and ANTHROPIC_VERTEX_PROJECT_ID",
    "foundry": "ANTHROPIC_FOUNDRY_API_KEY and ANTHROPIC_FOUNDRY_RESOURCE",
}
SECRET_VARIABLES = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_BEARER_TOKEN_BEDROCK", "ANTHROPIC_FOUNDRY_API_KEY")


@dataclass(frozen=True, slots=True)
class Provider:
    """Who answers."""

    id: str  # part of every reply's key
    base_url: str = field(repr=False)
    api_key: str = field(repr=False)
    house: House = "anthropic"
    auth_token: str = field(default="", repr=False)  # takes the place of the key
    headers: dict[str, str | None] = field(default_factory=dict, repr=False)  # further ones of every request; None: not even the SDK's own
    local_model: str = ""  # the name of the model on this machine when it is the one that answers
    is_embedded: bool = False  # true for the 135M model that comes with the kit, which can neither follow rules nor check anything
    notice: str = ""  # the embedded model's notice, which every record of a run shows
    secrets: tuple[str, ...] = field(default=(), repr=False)  # what must not be shown or stored, wherever the endpoint repeats it
    key_names: str = "ANTHROPIC_API_KEY"  # what to check when the key is not accepted
    url_name: str = "ANTHROPIC_BASE_URL"  # what to check when the endpoint can't be reached
    model_names: str = "MODEL"  # the settings that name its models

    @property
    def is_local(self) -> bool:
        return bool(self.local_model)

    @property
    def speaks_completions(self) -> bool:
        """Whether it is asked through OpenAI's SDK, and not through Anthropic's."""
        return self.house in ("openai", "local")

    @property
    def host(self) -> str:
        return host_of(self.base_url) or self.house

    def width(self, most: int) -> int:
        """Return how many calls may be in flight. The embedded model answers one at a time."""
        return 1 if self.is_local else most

    def model(self, asked: str) -> str:
        return self.local_model or asked

    def plain(self, text: object, *, longest: int = LONGEST_QUOTE) -> str:
        """Return foreign text as one line without secrets and control characters, with the host in place of the base URL."""
        path = urlsplit(self.base_url).path.strip("/")  # may be a token. It is no secret elsewhere, where it may be an ordinary word.
        secrets = self.secrets if path in ("", "v1") else (*self.secrets, path)
        url = self.base_url.rstrip("/")
        return plain(str(text).replace(url, self.host) if url else text, secrets=secrets, longest=longest)


@contextmanager
def open_provider(access: Access, *, model_names: str) -> Iterator[Provider]:
    """Yield who answers. The embedded model's server ends with the context. Raises ProviderError when nobody can answer."""
    match access.house:
        case "local":
            from lib.llm.embedded.process import embedded_model_file, local_server

            if access.mode == "batch":
                raise ProviderError("MODE=batch needs a provider's batches; the embedded model has none. Use MODE=live.")
            file = embedded_model_file()
            with local_server(file) as server:
                yield Provider(
                    f"local:{file.name}",
                    server.url,
                    "local",
                    "local",
                    local_model=server.model,
                    is_embedded=server.is_embedded,
                    notice=server.notice,
                )
        case "anthropic":
            yield _anthropic(is_judges_own=access.is_judges_own, model_names=model_names)
        case "openai":
            yield _openai(is_judges_own=access.is_judges_own, model_names=model_names)
        case cloud:
            yield _cloud(cloud, model_names=model_names)


def _anthropic(*, is_judges_own: bool, model_names: str) -> Provider:
    """Return the endpoint that the environment names. The errors show no values, because they may hold a key or a password."""
    key_name, url_name = _names("ANTHROPIC", is_judges_own=is_judges_own)
    base_url = _without_end(web_address(url_name, default=ANTHROPIC_HOST), "/v1/messages", "/v1")
    api_key, further = key(key_name), headers("ANTHROPIC_CUSTOM_HEADERS")
    auth_token = "" if is_judges_own or api_key else key("ANTHROPIC_AUTH_TOKEN")
    if not api_key and not auth_token and base_url == ANTHROPIC_HOST:
        raise ProviderError(f"No API key for {model_names}: set {key_name} in the environment or in .env (see .env.example).")
    return Provider(
        "anthropic" if base_url == ANTHROPIC_HOST else host_of(base_url),
        base_url,
        api_key or ("" if auth_token else "none"),
        auth_token=auth_token,
        headers=_left_out(further, api_key=api_key) if is_judges_own else dict(further),
        secrets=secrets_of(base_url, api_key, auth_token, variable("ANTHROPIC_AUTH_TOKEN"), *further.values()),
        key_names=key_name if api_key or not auth_token else "ANTHROPIC_AUTH_TOKEN",
        url_name=url_name,
        model_names=model_names,
    )


def _openai(*, is_judges_own: bool, model_names: str) -> Provider:
    key_name, url_name = _names("OPENAI", is_judges_own=is_judges_own)
    base_url = _without_end(web_address(url_name, default=OPENAI_HOST), "/chat/completions")
    if not urlsplit(base_url).path:
        base_url = urlunsplit(urlsplit(base_url)._replace(path="/v1"))
    api_key, further = key(key_name), headers("OPENAI_CUSTOM_HEADERS")
    account = {name: variable(name) for name in OF_ACCOUNT.values()}
    if not api_key and base_url == OPENAI_HOST:
        raise ProviderError(f"No API key for {model_names}: set {key_name} in the environment or in .env (see .env.example).")
    return Provider(
        "openai" if base_url == OPENAI_HOST else f"openai:{host_of(base_url)}",
        base_url,
        api_key or "none",
        "openai",
        headers=(_left_out(further, api_key=api_key) if is_judges_own else dict(further))
        | ({} if base_url == OPENAI_HOST and not is_judges_own else dict.fromkeys(OF_ACCOUNT)),
        secrets=secrets_of(base_url, api_key, *further.values(), *account.values()),
        key_names=key_name,
        url_name=url_name,
        model_names=model_names,
    )


def _cloud(house: House, *, model_names: str) -> Provider:
    """Return a cloud. Its own client finds the credentials (see `clients`)."""
    base_url = web_address(CLOUDS[house], default="")
    further = headers("ANTHROPIC_CUSTOM_HEADERS")
    secrets = secrets_of(base_url, *(variable(name) for name in SECRET_VARIABLES), *further.values())
    return Provider(
        house,
        base_url,
        "",
        house,
        headers=dict(further),
        secrets=secrets,
        key_names=CREDENTIALS[house],
        url_name=CLOUDS[house],
        model_names=model_names,
    )


def _left_out(further: dict[str, str], *, api_key: str) -> dict[str, str | None]:
    """Return the headers that keep the SDK from sending another house's, which it reads from the environment by itself."""
    own = {"authorization": f"Bearer {api_key or 'none'}", "x-api-key": api_key}
    return {name: own.get(name.lower()) or None for name in further}


def _names(house: str, *, is_judges_own: bool) -> tuple[str, str]:
    """Return the variables that hold the key and the base URL."""
    owner = "JUDGE" if is_judges_own else house
    return f"{owner}_API_KEY", f"{owner}_BASE_URL"


def _without_end(url: str, *ends: str) -> str:
    """Return the URL without the part that the SDK adds itself, which people copy along."""
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    for end in ends:
        path = path.removesuffix(end)
    return urlunsplit(parts._replace(path=path))
