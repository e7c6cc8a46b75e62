"""Every parameter of a run, with its default, unit and bounds, and the part of a run that it decides.

A new parameter also needs its name, in capitals, in PARAMETERS of the Makefile.
"""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, field_validator, model_validator

from lib.settings.bounds import (
    MOST_SAMPLES,
    MOST_SEED,
    ModelName,
    ModelNames,
    Names,
    PanelNames,
    PathText,
    PriceText,
    RunName,
    Text,
    distinct,
    nearest,
    planned,
)
from lib.settings.parts import setting
from lib.taxonomy import MISCONCEPTION_TYPES, SUBJECTS

DEFAULT_MODEL = "claude-opus-5-5"
DEFAULT_JUDGE_MODEL = "claude-sonnet-5-5"
TYPES = tuple(kind.id for kind in MISCONCEPTION_TYPES)
Effort = Literal["", "low", "medium", "high"]


class Parameters(BaseModel):
    """The parameters of a run, each with its bounds."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, coerce_numbers_to_str=True, allow_inf_nan=False)

    run: RunName = setting("place", "quick", means="name of the run: its folder is outputs/<run>")
    outputs_dir: PathText = setting("place", "outputs", means="where run folders are")
    seeds_csv: PathText = setting("input", "data/seeds.csv", means="seed prompts in TutorBench's columns")
    topics_csv: PathText = setting("input", "data/topics.csv", means="columns subject, topic, level, kinds")
    on_bad_row: Literal["skip", "stop"] = setting("input", "skip", means="set an unusable seed row aside, or stop")
    num_seeds: int = setting("plan", 2, ge=1, le=MOST_SAMPLES, means="seeds used")
    samples_per_seed: int = setting("plan", 2, ge=1, le=MOST_SAMPLES, means="variations made of each seed")
    subjects: Names = setting("plan", SUBJECTS, means=f"ids of subjects, such as us_history, or of your own; empty: all {len(SUBJECTS)}")
    misconception_types: Names = setting("plan", TYPES, means=f"ids of kinds of misconception; empty: all {len(TYPES)}")
    random_seed: int = setting("plan", 0, ge=0, le=MOST_SEED, means="plan, order of criteria and every other draw")
    control_share: float = setting(
        "plan", 0.0, ge=0, le=1, means="further samples, as a share of the plan, in which the student is right or asks an open question"
    )
    scenarios_from: Text = setting(
        "input", "", means="another run of the same plan whose scenarios are used instead of new ones; empty: none"
    )
    provider: Literal["auto", "anthropic", "openai", "bedrock", "vertex", "foundry", "local"] = setting(
        "endpoint", "auto", means="who answers; auto: whose key is set, Anthropic's before OpenAI's, or else the embedded model"
    )
    judge_provider: Literal["", "auto", "anthropic", "openai", "bedrock", "vertex", "foundry", "local"] = setting(
        "endpoint", "", means="who judges; empty: as provider"
    )
    mode: Literal["live", "batch"] = setting("engine", "live", means="batch: half the price, up to 24 h")
    judge_mode: Literal["", "live", "batch"] = setting("engine", "", means="mode of the judge's calls; empty: as mode")
    model: ModelName = setting("writing", DEFAULT_MODEL, means="writes scenarios and gold responses")
    judge_model: PanelNames = setting(
        "judging", DEFAULT_JUDGE_MODEL, means="judges the responses; another model than the writer; three names with commas: a panel"
    )
    max_concurrency: int = setting("engine", 50, ge=1, le=5000, means="calls in flight (the embedded model: always 1)")
    budget_usd: float = setting("engine", 5.0, gt=0, le=10_000_000, means="hard cap of what this run may cost in all, US dollars")
    price_usd_per_mtok: PriceText = setting(
        "engine", "", means="'input/output' for models without a listed price, '0/0' if free; or by model: 'gpt-5.5=1/8, qwen3:8b=0/0'"
    )
    scenario_effort: Effort = setting("writing", "medium", means="how much the model thinks about a scenario; empty: not sent")
    verify_scenarios: bool = setting(
        "writing", default=True, means="another model checks each scenario before its response is paid for; off with the embedded model"
    )
    verifier_model: ModelName = setting("writing", DEFAULT_JUDGE_MODEL, means="verifies the scenarios; another model than the writer")
    verify_effort: Effort = setting("writing", "medium", means="how much the verifier thinks; empty: not sent")
    gold_effort: Effort = setting("writing", "medium", means="how much the model thinks about a gold response; empty: not sent")
    judge_effort: Effort = setting("judging", "low", means="how much the judge thinks; empty: not sent")
    max_tokens: int = setting("endpoint", 8000, ge=256, le=21_000, means="room for one answer, thinking included, tokens")
    batch_poll_s: float = setting("engine", 30.0, ge=0.01, le=3_600, means="how often a batch is looked at, seconds")
    timeout_s: float = setting("engine", 600.0, ge=1, le=86_400, means="longest wait for one answer, seconds")
    min_call_success: float = setting("engine", 0.9, ge=0, le=1, means="share of samples made below which the run counts as failed")
    length_tolerance: float = setting(
        "filtering", 0.5, ge=0, le=1_000, means="share by which a response may leave its assigned length before it is dropped"
    )
    max_shared_words: int = setting(
        "filtering", 20, ge=8, le=10_000, means="longest run of words that may stand in its seed, its explanation or the benchmark"
    )
    max_shared_share: float = setting("filtering", 0.25, ge=0, le=1, means="largest share of its 8-word sequences that may stand there")
    benchmark_csv: Text = setting(
        "filtering", "", means="what samples must not overlap with: a CSV, JSON Lines or text file, all of its texts; empty: not checked"
    )
    near_duplicate_similarity: float = setting(
        "filtering", 0.7, ge=0.6, le=1, means="Jaccard similarity from which two texts count as the same"
    )
    max_alike_share: float = setting(
        "filtering", 0.05, gt=0, le=1, means="share of samples that may open, or close, with the same three words"
    )
    votes: int = setting(
        "judging", 1, ge=1, le=9, means="judgements a sample, each with another order of criteria; odd, the majority counts"
    )
    second_vote: bool = setting(
        "judging", default=True, means="with one vote, judge again where it is close, and a third time where the two differ"
    )
    planted_share: float = setting(
        "judging", 0.05, ge=0, le=1, means="share of samples judged again in a spoiled copy, to measure the judge"
    )
    subtle_share: float = setting("judging", 0.5, ge=0, le=1, means="share of the planted failures that are hard to see")
    harmless_share: float = setting(
        "judging", 0.05, ge=0, le=1, means="share of samples judged again in a copy of another form, to measure the judge's false alarms"
    )
    one_criterion_a_call: bool = setting(
        "judging", default=False, means="judge copies once more with one call a criterion, to see what judging all in one call loses"
    )
    show_rubrics_to_tutor: bool = setting("writing", default=False, means="true only to measure what it does: it inflates keep rates")
    critical_pass_threshold: float = setting("filtering", 0.80, ge=0, lt=1, means="keep when MORE than this share of critical rubrics pass")
    min_quality_score: int = setting("filtering", 3, ge=1, le=5, means="lowest quality score of the judge that is kept; 1: any")
    drop_factual_errors: bool = setting("filtering", default=True, means="drop what the judge says holds a factual error")
    ban_is_veto: bool = setting("filtering", default=True, means="drop what breaks a ban (weight -5), whatever share passes")
    review_samples: int = setting("publishing", 30, ge=1, le=10_000, means="samples on the sheet that people fill in (make review)")
    review_csv: Text = setting("place", "", means="the filled-in sheet; empty: none")
    compare_with: Text = setting("place", "", means="another run of the same plan to compare with; empty: none")
    preference_form: Literal["trl", "openai", "kto"] = setting("publishing", "trl", means="form of the preference pairs in dataset/")
    pairs_from_planted: bool = setting(
        "publishing", default=False, means="also pair responses with their spoiled copies, whose faults are not those of models"
    )
    validation_share: float = setting("publishing", 0.1, ge=0, le=0.5, means="share of kept samples set aside for validation; 0: no split")
    candidates: ModelNames = setting(
        "once", "", means="models that notebook 05 evaluates, with commas between them; each may begin with its house, as openai/<id>"
    )
    baseline: Text = setting("once", "", means="the candidate that the others are compared with; empty: the first one")
    rows_csv: Text = setting("once", "", means="a CSV in TutorBench's columns to evaluate on; empty: the run's own validation samples")
    rows_side: Literal["validation", "train"] = setting(
        "once", "validation", means="which of the run's samples are rows; train: only to make preference pairs of the answers"
    )
    max_rows: int = setting("once", 0, ge=0, le=MOST_SAMPLES, means="rows to evaluate on, drawn by random_seed; 0: all")
    candidate_effort: Effort = setting("once", "", means="how much a candidate thinks about its answer; empty: not sent")
    edited_prompt: Literal["", "gold", "judge"] = setting(
        "once", "", means="the edited prompt to try in 02 on five samples before it is used on all"
    )
    subjects_anyway: bool = setting(
        "once", default=False, means="true: subjects without topics are meant, and the model chooses the topics"
    )
    replace: bool = setting("once", default=False, means="true: another plan may replace the samples of a finished run of this name")
    top_up: bool = setting("once", default=False, means="after filtering, repair near misses and refill what fell short")
    target_kept: int = setting(
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
        return distinct(names or SUBJECTS)

    @field_validator("misconception_types")
    @classmethod
    def _known_types(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := [name for name in names if name not in TYPES]:
            raise ValueError(f"unknown: {', '.join(unknown)}; known: {', '.join(TYPES)}")
        return distinct(names or TYPES)

    @field_validator("votes")
    @classmethod
    def _odd(cls, votes: int) -> int:
        if votes % 2 == 0:
            raise ValueError("must be odd, so that there is a majority")
        return votes

    @model_validator(mode="after")
    def _not_too_many(self) -> Self:
        samples, controls = planned(self.num_seeds, self.samples_per_seed, control_share=self.control_share)
        if samples + controls > MOST_SAMPLES:
            more = f" and {controls:,} controls" if controls else ""
            raise ValueError(
                f"`num_seeds` × `samples_per_seed` = {samples:,}{more}: a run can have up to {MOST_SAMPLES:,} samples. "
                "Lower one of them, or make several runs."
            )
        return self
