"""Settings and environment -> where the calls of each stage are sent, and under which id the model is known there.

A model's setting may begin with the name of its house, as in `openai/gpt-5.5`. Otherwise `provider` decides, or `judge_provider` for the
judge. An id may have slashes of its own. So only the name of a house is taken off, and on a gateway not even that where it may belong to
the id, as in `openai/gpt-oss-20b`.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from lib.llm.call import ProviderError
from lib.llm.environment import host_of, variable
from lib.llm.names import family
from lib.prompts.rendering import Stage
from lib.settings import Settings

House = Literal["anthropic", "openai", "bedrock", "vertex", "foundry", "local"]
HOUSES: tuple[House, ...] = get_args(House)
OPENAI_HOST = "https://api.openai.com/v1"
SIGNS: dict[House, tuple[str, ...]] = {  # variables of which one is set when a house can be reached
    "anthropic": ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL"),
    "openai": ("OPENAI_API_KEY", "OPENAI_BASE_URL"),
    "bedrock": ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_BEARER_TOKEN_BEDROCK"),
    "vertex": ("CLOUD_ML_REGION",),
    "foundry": ("ANTHROPIC_FOUNDRY_API_KEY",),
    "local": (),
}
SETTINGS_OF: dict[Stage, tuple[str, str]] = {  # the names of the settings that hold a stage's model and its effort
    "scenario": ("model", "scenario_effort"),
    "verify": ("verifier_model", "verify_effort"),
    "misstate": ("model", "gold_effort"),
    "gold": ("model", "gold_effort"),
    "spoil": ("model", "gold_effort"),
    "repair": ("model", "gold_effort"),
    "judge": ("judge_model", "judge_effort"),
}


@dataclass(frozen=True, slots=True)
class Access:
    """The house that answers, and with whose variables it is reached."""

    house: House
    mode: str
    is_judges_own: bool = False  # true when JUDGE_BASE_URL and JUDGE_API_KEY take the place of the house's own variables

    @property
    def is_local(self) -> bool:
        return self.house == "local"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a stage's calls are sent."""

    access: Access
    model: str

    @property
    def is_embedded(self) -> bool:
        """Whether the 135M model that comes with the kit answers, which can neither follow rules nor check anything."""
        return self.access.is_local and not variable("LOCAL_MODEL")


def address(settings: Settings, stage: Stage) -> Address:
    """Return where a stage's calls are sent. Raises ProviderError when the judge's house can't be told."""
    asked = getattr(settings, SETTINGS_OF[stage][0])
    if stage != "judge":
        house, model = _split(asked, usual=_usual(settings.provider), base_url=variable("OPENAI_BASE_URL"))
        return Address(Access(house, settings.mode), model)
    own_url, is_own = variable("JUDGE_BASE_URL"), bool(variable("JUDGE_BASE_URL") or variable("JUDGE_API_KEY"))
    usual = _usual_of_judge(settings, is_own=is_own)
    house, model = _split(asked, usual=usual, base_url=own_url or variable("OPENAI_BASE_URL"))
    return Address(Access(house, settings.judge_mode or settings.mode, is_own and house in ("anthropic", "openai")), model)


def stages_asked(settings: Settings) -> list[Stage]:
    """Return the stages whose models a run with these settings asks, one for each model."""
    return ["scenario", "verify", "judge"] if settings.verify_scenarios else ["scenario", "judge"]


def is_reachable(house: House) -> bool:
    return any(variable(name) for name in SIGNS[house])


def _usual(provider: str) -> House:
    """Return the house of models without a prefix."""
    if provider != "auto":
        return provider  # type: ignore[return-value]  # the setting's type has the same names
    return next((house for house in ("anthropic", "openai") if is_reachable(house)), "local")


def _usual_of_judge(settings: Settings, *, is_own: bool) -> House:
    provider = settings.judge_provider or settings.provider
    if is_own and provider == "auto":
        return "anthropic" if family(settings.judge_model) == "anthropic" and "api.openai" not in variable("JUDGE_BASE_URL") else "openai"
    if is_own and settings.judge_provider not in ("", "auto", "anthropic", "openai"):
        raise ProviderError("JUDGE_BASE_URL and JUDGE_API_KEY are for JUDGE_PROVIDER=anthropic or openai. Unset them, or change it.")
    return _usual(provider)


def _split(asked: str, *, usual: House, base_url: str) -> tuple[House, str]:
    """Return the house and the id of the model there. `base_url` is that of the OpenAI-compatible endpoint."""
    first, _, rest = asked.partition("/")
    if asked == "local":
        return "local", asked
    if first not in HOUSES or not rest:
        return usual, asked
    is_gateway = usual == "openai" and host_of(base_url or OPENAI_HOST) != host_of(OPENAI_HOST)
    if is_gateway and ("/" not in rest if first == "openai" else not is_reachable(first)):
        return usual, asked
    return first, rest
