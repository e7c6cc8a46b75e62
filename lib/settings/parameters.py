"""Every parameter of a run, typed, with its default, unit and bounds; what notebooks and Make pass in.

A notebook calls `settings = notebook_settings(globals())` right after its parameters cell. Values come from there, everything
else from the defaults below; a name that is no setting is an error, not silence.
"""

import ast
import math
import os
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from lib.errors import KitError, plain
from lib.settings.bounds import MOST_SAMPLES, MOST_SEED, ModelName, Names, PathText, PriceText, RunName, Text, problem
from lib.taxonomy import MISCONCEPTION_TYPES, SUBJECTS

PROJECT_ROOT = Path(__file__).resolve().parents[2]
DEFAULT_MODEL = "claude-opus-5-5"
DEFAULT_JUDGE_MODEL = "claude-sonnet-5-5"
INJECTED_CELL = "# Parameters"  # the first line of the cell that papermill adds


class SettingsError(KitError):
    """A parameter is misspelt or out of bounds."""


Effort = Literal["", "low", "medium", "high"]


class Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, coerce_numbers_to_str=True, allow_inf_nan=False)

    run: RunName = Field("quick", description="name of the run: its folder is outputs/<run>")
    outputs_dir: PathText = Field("outputs", description="where run folders are")
    seeds_csv: PathText = Field("data/seeds.csv", description="seed prompts in TutorBench's columns")
    topics_csv: PathText = Field("data/topics.csv", description="columns subject, topic, level")
    on_bad_row: Literal["skip", "stop"] = Field("skip", description="set an unusable seed row aside, or stop")
    num_seeds: int = Field(2, ge=1, le=MOST_SAMPLES, description="seeds used")
    samples_per_seed: int = Field(2, ge=1, le=MOST_SAMPLES, description="variations made of each seed")
    subjects: Names = Field(SUBJECTS, description="subjects of the samples; empty: all 28")
    misconception_types: Names = Field(tuple(kind.id for kind in MISCONCEPTION_TYPES), description="kinds of misconception; empty: all 8")
    random_seed: int = Field(0, ge=0, le=MOST_SEED, description="plan, order of criteria and every other draw")

    provider: Literal["auto", "anthropic", "local"] = Field("auto", description="auto: local when there is no key")
    mode: Literal["live", "batch"] = Field("live", description="batch: half the price, up to 24 h")
    model: ModelName = Field(DEFAULT_MODEL, description="writes scenarios and gold responses")
    judge_model: ModelName = Field(DEFAULT_JUDGE_MODEL, description="judges them; another model than the writer")
    max_concurrency: int = Field(50, ge=1, le=5000, description="calls in flight (the embedded model: always 1)")
    budget_usd: float = Field(5.0, gt=0, le=10_000_000, description="hard cap of what this run may cost in all, US dollars")
    price_usd_per_mtok: PriceText = Field("", description="'input/output' for a model without a listed price, e.g. '2/10'; '0/0' if free")
    scenario_effort: Effort = Field("medium", description="how much the model thinks; empty: not sent")
    gold_effort: Effort = Field("medium", description="the same for gold responses")
    judge_effort: Effort = Field("low", description="the same for judging")
    max_tokens: int = Field(8000, ge=256, le=21_000, description="room for one answer, thinking included, tokens")
    batch_poll_s: float = Field(30.0, ge=0.01, le=3_600, description="how often a batch is looked at, seconds")
    timeout_s: float = Field(600.0, ge=1, le=86_400, description="longest wait for one answer, seconds")
    min_call_success: float = Field(0.9, ge=0, le=1, description="share of samples made below which the run counts as failed")

    length_tolerance: float = Field(
        0.5, ge=0, le=1_000, description="share by which a response may leave its assigned length before it is dropped"
    )
    max_shared_words: int = Field(
        20, ge=8, le=10_000, description="longest run of words that may stand in its seed, its explanation or the benchmark"
    )
    max_shared_share: float = Field(0.25, ge=0, le=1, description="the same as a share of its 8-word sequences")
    benchmark_csv: Text = Field(
        "", description="what samples must not overlap with: a CSV, JSON Lines or text file, all of its texts; empty: not checked"
    )
    near_duplicate_similarity: float = Field(0.7, ge=0.6, le=1, description="Jaccard similarity from which two texts count as the same")
    max_alike_share: float = Field(0.05, gt=0, le=1, description="share of samples that may open, or close, with the same three words")

    votes: int = Field(1, ge=1, le=9, description="judgements a sample, each with another order of criteria; odd, the majority counts")
    planted_share: float = Field(0.05, ge=0, le=1, description="share of samples judged again in a spoiled copy, to measure the judge")
    show_rubrics_to_tutor: bool = Field(default=False, description="true only to measure what it does: it inflates keep rates")
    critical_pass_threshold: float = Field(0.80, ge=0, lt=1, description="keep when MORE than this share of critical rubrics pass")
    review_samples: int = Field(30, ge=1, le=10_000, description="samples on the sheet that people fill in (make review)")
    review_csv: Text = Field("", description="the filled-in sheet; empty: none")
    compare_with: Text = Field("", description="another run of the same plan to compare with; empty: none")
    validation_share: float = Field(0.1, ge=0, le=0.5, description="share of kept samples set aside for validation; 0: no split")
    top_up: bool = Field(default=False, description="after filtering, repair near misses and refill what fell short")
    target_kept: int = Field(0, ge=0, le=MOST_SAMPLES, description="kept samples to reach by topping up; 0: as many as were planned")

    @field_validator("subjects")
    @classmethod
    def _no_misspelt_subject(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        """Subjects of the user's own are welcome; one that is nearly a known one is a slip that would cost money."""
        for name in names:
            if name not in SUBJECTS and (nearest := _nearest(name, SUBJECTS, cutoff=0.93)):
                raise ValueError(f"did you mean {nearest} instead of {name}?")
        return _distinct(names or SUBJECTS)

    @field_validator("misconception_types")
    @classmethod
    def _known_types(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        known = tuple(kind.id for kind in MISCONCEPTION_TYPES)
        if unknown := [name for name in names if name not in known]:
            raise ValueError(f"unknown: {', '.join(unknown)}; known: {', '.join(known)}")
        return _distinct(names or known)

    @field_validator("votes")
    @classmethod
    def _odd(cls, votes: int) -> int:
        if votes % 2 == 0:
            raise ValueError("must be odd, so that there is a majority")
        return votes

    @model_validator(mode="after")
    def _not_too_many(self) -> Self:
        if self.planned_samples > MOST_SAMPLES:
            raise ValueError(
                f"`num_seeds` × `samples_per_seed` = {self.planned_samples:,}: a run can have up to {MOST_SAMPLES:,} samples. "
                "Lower one of them, or make several runs."
            )
        return self

    @property
    def run_dir(self) -> Path:
        return from_root(self.outputs_dir) / self.run

    @property
    def threshold(self) -> Fraction:
        """The threshold as it was written: 0.8 is 4/5, not the nearest float."""
        return Fraction(str(self.critical_pass_threshold))

    @property
    def planned_samples(self) -> int:
        return self.num_seeds * self.samples_per_seed

    @classmethod
    def of(cls, **values: Any) -> Self:
        """Return settings from `values`. Raises SettingsError with one line a problem."""
        try:
            return cls(**values)
        except ValidationError as error:
            raise SettingsError("\n".join(problem(entry, cls.model_fields) for entry in error.errors())) from None

    @classmethod
    def accepts(cls, name: str, value: Any) -> bool:
        """Whether `value` alone, with every other parameter at its default, is allowed."""
        try:
            cls(**{name: value})
        except ValidationError:
            return False
        return True


FEWEST_PLANTED = 16  # all caught, the catch rate is at least 81 % (Wilson); with fewer it can't be told from 80 %


def planted_count(samples: int, share: float) -> int:
    """Return how many failures to plant: `share` of the samples, at least 16 when there are as many."""
    count = math.ceil(share * samples)
    return max(FEWEST_PLANTED, count) if share and samples >= FEWEST_PLANTED else count


def from_root(path: str) -> Path:
    """Return `path`, relative ones taken from the project's root, whatever folder the kernel runs in. Raises SettingsError."""
    try:
        return PROJECT_ROOT / Path(path).expanduser()
    except RuntimeError:  # `~name`, and there is no such user
        raise SettingsError(f"{plain(path)}: the home folder that it begins with is not there. Write the whole path.") from None


def short_path(path: Path) -> str:
    """Return `path` as people are told it: from the project's root where it lies in there."""
    return str(path.relative_to(PROJECT_ROOT)) if path.is_relative_to(PROJECT_ROOT) else str(path)


def notebook_settings(namespace: Mapping[str, Any]) -> Settings:
    """Return the settings that a notebook's parameters cells define; `namespace` is the notebook's `globals()`.

    Also makes the notebook print a user's mistake as one clear line. Raises SettingsError for an injected name that is no setting.
    """
    _show_errors_plainly()
    known = Settings.model_fields
    for source in namespace.get("In", []):
        if source.startswith(INJECTED_CELL):
            check_names(name for name in _assigned(source))
    return Settings.of(**{name: namespace[name] for name in known if name in namespace})


def check_names(names: Any) -> None:
    """Raise SettingsError when one of `names` is no setting, and suggest the nearest."""
    for name in names:
        if name not in Settings.model_fields:
            nearest = _nearest(name, Settings.model_fields, cutoff=0.6)
            hint = f"Did you mean `{nearest}`?" if nearest else f"Known: {', '.join(Settings.model_fields)}."
            raise SettingsError(f"`{name}` is not a parameter. {hint}")


def settings_of(pairs: list[str]) -> Settings:
    """Return settings from `name=value` words of a command line; Make writes the names in capitals."""
    values = {name.lower(): value for name, _, value in (pair.partition("=") for pair in pairs)}
    check_names(values)
    return Settings.of(**values)


def setting_pairs(settings: Settings) -> list[str]:
    """Return the `name=value` words that give these settings."""
    values = settings.model_dump(mode="json").items()
    return [f"{name}={','.join(value) if isinstance(value, list) else value}" for name, value in values]


def headless() -> bool:
    """Whether papermill runs this notebook (progress is then written line by line)."""
    shell = _shell()
    injected = shell is not None and any(source.startswith(INJECTED_CELL) for source in shell.user_ns.get("In", []))
    return injected or "TUTORING_HEADLESS" in os.environ


def _assigned(source: str) -> list[str]:
    statements = ast.parse(source).body
    targets = [target for line in statements if isinstance(line, ast.Assign) for target in line.targets]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _nearest(name: str, known: Iterable[str], *, cutoff: float) -> str:
    from difflib import get_close_matches

    return next(iter(get_close_matches(name, list(known), n=1, cutoff=cutoff)), "")


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _shell() -> Any:
    import sys

    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython else None


def _show_errors_plainly() -> None:
    shell = _shell()
    if shell is None:
        return

    def handler(shell: Any, kind: type, error: KitError, _traceback: Any, tb_offset: Any = None) -> list[str]:
        lines = [f"{kind.__name__}: {error}"]
        shell._showtraceback(kind, error, lines)
        return lines

    shell.set_custom_exc((KitError,), handler)
