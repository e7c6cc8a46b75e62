"""The folder of a run and the names of the files in it. Nothing is opened here."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SIDES = ("train", "validation")
DATASET_FILES = (  # beside those of each side
    "README.md", "valid.jsonl", "dataset_info.json", "preferences.jsonl", "preferences_validation.jsonl", "rubrics.jsonl",
)  # fmt: skip
FIGURES = (  # that notebooks 03 and 05 save
    "overview", "catch_rate_by_kind", "keep_rate_by_subject", "keep_rate_by_misconception_type", "keep_rate_by_cell", "scores",
    "criteria_by_tutoring_skill", "criteria_by_eval_dimension", "evaluation_scores", "evaluation_differences", "evaluation_length",
)  # fmt: skip
OLD_CHECKPOINTS = "_checkpoint_*.jsonl"  # their names in earlier versions


@dataclass(frozen=True, slots=True)
class InFolder:
    """A name that reads as the whole path, as in `run.journal`."""

    name: str

    def __get__(self, folder: "Folder", _owner: object = None) -> Path:
        return folder.dir / self.name


class Folder:
    """The folder of one run."""

    generated = InFolder("tutoring_samples_generated.jsonl")  # the samples of the plan
    repaired = InFolder("tutoring_samples_repaired.jsonl")  # near misses with a new response
    topped_up = InFolder("tutoring_samples_topped_up.jsonl")  # samples beyond the plan
    dropped_scenarios = InFolder("scenarios_dropped.jsonl")  # scenarios that the verifier dropped
    dropped_beyond = InFolder("scenarios_dropped_topped_up.jsonl")  # those among them that topping up asked for
    planted_explanations = InFolder("planted_explanations.jsonl")  # explanations made wrong on purpose, and what the verifier said
    failures = InFolder("failures.jsonl")  # samples that could not be made or judged
    gated = InFolder("gated.jsonl")  # samples that the gates dropped
    evaluations = InFolder("evaluations.jsonl")  # the judge's verdicts
    planted = InFolder("planted.jsonl")  # spoiled copies and the verdicts on them
    filtered = InFolder("tutoring_samples_filtered.jsonl")  # the kept samples
    dropped = InFolder("dropped.jsonl")  # the others, each with its reason
    finetune = InFolder("tutoring_finetune_openai.jsonl")  # the training file
    statistics = InFolder("filtering_statistics.json")
    validation = InFolder("validation_report.json")
    manifest = InFolder("manifest.json")
    parameters = InFolder("params.yaml")
    journal = InFolder("journal.sqlite")  # every paid reply
    review = InFolder("review.csv")  # the blind sheet for people
    review_form = InFolder("review.html")  # the same to fill in on the screen
    report = InFolder("report.html")  # the page to browse
    figures = InFolder("figures")
    notebooks = InFolder("notebooks")  # executed copies
    dataset = InFolder("dataset")
    evaluation = InFolder("evaluation")  # what notebook 05 writes, in a folder with a journal of its own
    evaluation_rows = InFolder("rows.jsonl")  # in that folder
    evaluation_answers = InFolder("answers.jsonl")
    evaluation_scores = InFolder("scores.json")

    def __init__(self, path: Path) -> None:
        self.dir = path

    def dataset_files(self) -> list[Path]:
        """Return the files that the kit writes into `dataset/`. Other files there belong to the user."""
        names = [*DATASET_FILES, *(name for side in SIDES for name in (f"{side}.jsonl", f"data/{side}.parquet"))]
        return [self.dataset / name for name in names]

    def figure_files(self) -> list[Path]:
        """Return the figures that the kit writes. Others in the folder belong to the user."""
        return [self.figures / f"{name}.png" for name in FIGURES]

    def checkpoint(self, number: int) -> Path:
        return self.dir / f"{self.generated.stem}_checkpoint_{number}.jsonl"

    def checkpoints_beyond(self, last: int) -> Iterator[Path]:
        """Yield the checkpoints with a higher number than `last`, and those of earlier versions."""
        for path in self.dir.glob(f"{self.generated.stem}_checkpoint_*.jsonl"):
            if (found := re.fullmatch(r".*_checkpoint_(\d+)\.jsonl", path.name)) and int(found[1]) > last:
                yield path
        yield from self.dir.glob(OLD_CHECKPOINTS)
