"""Every parameter of a run, with its default, unit and bounds, and the part of a run that it decides.

A new parameter also needs its name, in capitals, in PARAMETERS of the Makefile.
"""

import math
from collections.abc import Iterable
from difflib import get_close_matches
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from lib.settings.bounds import MOST_SAMPLES, MOST_SEED, ModelName, Names, PathText, PriceText, RunName, Text, problem
from lib.settings.paths import SettingsError, from_root
from lib.taxonomy import MISCONCEPTION_TYPES, SUBJECTS

DEFAULT_MODEL = "claude-opus-5-5"
DEFAULT_JUDGE_MODEL = "claude-sonnet-5-5"
TYPES = tuple(kind.id for kind in MISCONCEPTION_TYPES)
FEWEST_PLANTED = 16  # all caught, the catch rate is at least 81 % (Wilson); with fewer it can't be told from 80 %
# place: where files are. input: the files that are read. plan: which slots there are. writing and judging: what is sent to which model.
# endpoint: who answers, and how long. engine: speed and money. filtering: what is kept. publishing: what is drawn from what was kept.
Part = Literal["place", "input", "plan", "writing", "endpoint", "engine", "judging", "filtering", "publishing"]
Effort = Literal["", "low", "medium", "high"]


def _setting(part: Part, default: Any, *, means: str, **bounds: Any) -> Any:
    return Field(default, description=means, json_schema_extra={"part": part}, **bounds)


class Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, coerce_numbers_to_str=True, allow_inf_nan=False)

    run: RunName = _setting("place", "quick", means="name of the run: its folder is outputs/<run>")
    outputs_dir: PathText = _setting("place", "outputs", means="where run folders are")
    seeds_csv: PathText = _setting("input", "data/seeds.csv", means="seed prompts in TutorBench's columns")
    topics_csv: PathText = _setting("input", "data/topics.csv", means="columns subject, topic, level")
    on_bad_row: Literal["skip", "stop"] = _setting("input", "skip", means="set an unusable seed row aside, or stop")
    num_seeds: int = _setting("plan", 2, ge=1, le=MOST_SAMPLES, means="seeds used")
    samples_per_seed: int = _setting("plan", 2, ge=1, le=MOST_SAMPLES, means="variations made of each seed")
    subjects: Names = _setting("plan", SUBJECTS, means=f"ids of subjects, such as us_history, or of your own; empty: all {len(SUBJECTS)}")
    misconception_types: Names = _setting("plan", TYPES, means=f"ids of kinds of misconception; empty: all {len(TYPES)}")
    random_seed: int = _setting("plan", 0, ge=0, le=MOST_SEED, means="plan, order of criteria and every other draw")
    provider: Literal["auto", "anthropic", "local"] = _setting(
        "endpoint", "auto", means="who answers; auto: the embedded model when there is no key"
    )
    mode: Literal["live", "batch"] = _setting("engine", "live", means="batch: half the price, up to 24 h")
    model: ModelName = _setting("writing", DEFAULT_MODEL, means="writes scenarios and gold responses")
    judge_model: ModelName = _setting("judging", DEFAULT_JUDGE_MODEL, means="judges the responses; another model than the writer")
    max_concurrency: int = _setting("engine", 50, ge=1, le=5000, means="calls in flight (the embedded model: always 1)")
    budget_usd: float = _setting("engine", 5.0, gt=0, le=10_000_000, means="hard cap of what this run may cost in all, US dollars")
    price_usd_per_mtok: PriceText = _setting(
        "engine", "", means="'input/output' for a model without a listed price, e.g. '2/10'; '0/0' if free"
    )
    scenario_effort: Effort = _setting("writing", "medium", means="how much the model thinks about a scenario; empty: not sent")
    gold_effort: Effort = _setting("writing", "medium", means="how much the model thinks about a gold response; empty: not sent")
    judge_effort: Effort = _setting("judging", "low", means="how much the judge thinks; empty: not sent")
    max_tokens: int = _setting("endpoint", 8000, ge=256, le=21_000, means="room for one answer, thinking included, tokens")
    batch_poll_s: float = _setting("engine", 30.0, ge=0.01, le=3_600, means="how often a batch is looked at, seconds")
    timeout_s: float = _setting("engine", 600.0, ge=1, le=86_400, means="longest wait for one answer, seconds")
    min_call_success: float = _setting("engine", 0.9, ge=0, le=1, means="share of samples made below which the run counts as failed")
    length_tolerance: float = _setting(
        "filtering", 0.5, ge=0, le=1_000, means="share by which a response may leave its assigned length before it is dropped"
    )
    max_shared_words: int = _setting(
        "filtering", 20, ge=8, le=10_000, means="longest run of words that may stand in its seed, its explanation or the benchmark"
    )
    max_shared_share: float = _setting("filtering", 0.25, ge=0, le=1, means="largest share of its 8-word sequences that may stand there")
    benchmark_csv: Text = _setting(
        "filtering", "", means="what samples must not overlap with: a CSV, JSON Lines or text file, all of its texts; empty: not checked"
    )
    near_duplicate_similarity: float = _setting(
        "filtering", 0.7, ge=0.6, le=1, means="Jaccard similarity from which two texts count as the same"
    )
    max_alike_share: float = _setting(
        "filtering", 0.05, gt=0, le=1, means="share of samples that may open, or close, with the same three words"
    )
    votes: int = _setting(
        "judging", 1, ge=1, le=9, means="judgements a sample, each with another order of criteria; odd, the majority counts"
    )
    planted_share: float = _setting(
        "judging", 0.05, ge=0, le=1, means="share of samples judged again in a spoiled copy, to measure the judge"
    )
    show_rubrics_to_tutor: bool = _setting("writing", default=False, means="true only to measure what it does: it inflates keep rates")
    critical_pass_threshold: float = _setting(
        "filtering", 0.80, ge=0, lt=1, means="keep when MORE than this share of critical rubrics pass"
    )
    review_samples: int = _setting("publishing", 30, ge=1, le=10_000, means="samples on the sheet that people fill in (make review)")
    review_csv: Text = _setting("place", "", means="the filled-in sheet; empty: none")
    compare_with: Text = _setting("place", "", means="another run of the same plan to compare with; empty: none")
    validation_share: float = _setting("publishing", 0.1, ge=0, le=0.5, means="share of kept samples set aside for validation; 0: no split")
    top_up: bool = _setting("filtering", default=False, means="after filtering, repair near misses and refill what fell short")
    target_kept: int = _setting(
        "filtering", 0, ge=0, le=MOST_SAMPLES, means="kept samples to reach by topping up; 0: as many as were planned"
    )

    @field_validator("subjects")
    @classmethod
    def _no_misspelt_subject(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return the ids. A name in capitals or with blanks is read as its id, and one that is nearly a known id is refused."""
        ids = [name.casefold().replace(" ", "_") for name in names]
        names = tuple(known if known in SUBJECTS else name for known, name in zip(ids, names, strict=True))
        for name in names:
            if name not in SUBJECTS and (close := nearest(name, SUBJECTS, cutoff=0.93)):
                raise ValueError(f"did you mean {close} instead of {name}?")
        return _distinct(names or SUBJECTS)

    @field_validator("misconception_types")
    @classmethod
    def _known_types(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := [name for name in names if name not in TYPES]:
            raise ValueError(f"unknown: {', '.join(unknown)}; known: {', '.join(TYPES)}")
        return _distinct(names or TYPES)

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

    @property
    def planned_planted(self) -> int:
        """How many failures are planted when every planned sample is judged."""
        return planted_count(self.planned_samples, self.planted_share)

    @classmethod
    def of(cls, **values: Any) -> Self:
        """Return settings from `values`. Raises SettingsError with one line a problem."""
        try:
            return cls(**values)
        except ValidationError as error:
            raise SettingsError("\n".join(problem(entry, cls.model_fields) for entry in error.errors())) from None

    @classmethod
    def names_of(cls, *parts: Part) -> list[str]:
        """Return the names of the settings that decide these parts of a run."""
        return [name for name, field in cls.model_fields.items() if part_of(field) in parts]

    @classmethod
    def accepts(cls, name: str, value: Any) -> bool:
        """Whether `value` alone, with every other parameter at its default, is allowed."""
        try:
            cls(**{name: value})
        except ValidationError:
            return False
        return True


def part_of(field: Any) -> str:
    """Return the part of a run that a field of Settings decides."""
    return str(field.json_schema_extra["part"])


def planted_count(samples: int, share: float) -> int:
    """Return how many failures to plant. That is `share` of the samples, but at least 16 when there are as many samples."""
    count = math.ceil(share * samples)
    return max(FEWEST_PLANTED, count) if share and samples >= FEWEST_PLANTED else count


def nearest(name: str, known: Iterable[str], *, cutoff: float) -> str:
    """Return the known name that is most like `name`, or "" when none is alike enough (`cutoff`, 0 to 1)."""
    return next(iter(get_close_matches(name, list(known), n=1, cutoff=cutoff)), "")


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
