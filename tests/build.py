"""Small valid records and whole runs for tests: a test names what it is about, the rest is filled in.

Tests make and read runs through the functions under "runs", so that a change of how `lib` is called is a change of this file.
"""

import gzip
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib.analyze import write_statistics
from lib.analyze.statistics import Statistics
from lib.analyze.tables import Tables, read_tables
from lib.filter import filter_samples, gate_samples, judge_samples
from lib.filter.gates import Gating
from lib.generate import generate_samples
from lib.generate.inputs import Plan
from lib.generate.seeds import SeedFile, read_seeds
from lib.generate.topics import Topics, read_topics
from lib.llm.tally import Tally
from lib.prompts.answers import RubricAnswer, ScenarioAnswer
from lib.publish.card import write_card
from lib.publish.dataset import write_dataset
from lib.publish.splits import split_samples
from lib.run.files import write_jsonl
from lib.run.folder import Folder
from lib.run.records import write_report
from lib.run.run import Run
from lib.schema import (
    Decision,
    Evaluation,
    Failure,
    Message,
    Planted,
    Rubric,
    RubricAttributes,
    Sample,
    SampleMetadata,
    Seed,
    Severity,
    Slot,
    Spoiling,
    Student,
    Style,
    Verdict,
)
from lib.settings import PROJECT_ROOT, Settings, from_root
from lib.validate.check import validate_file

if TYPE_CHECKING:
    import tiktoken

SEVERITY_OF: dict[int, Severity] = {5: "critical", -5: "critical_negative", 1: "not_critical"}
STUDENT = Student(voice="terse", words=(10, 40), asks="asks whether the conclusion is right", has_question=True)
STYLE = Style(opening="begin with a case", words=(90, 150), closing="end with a question")


def a_rubric(
    id: str = "r1",
    weight: int = 5,
    *,
    criteria: str = "The response must name the sunk cost.",
    skill: str = "identifies_misconception",
    dimension: str = "truthfulness",
) -> Rubric:
    attributes = RubricAttributes(
        severity=SEVERITY_OF[weight], tutoring_skill=skill, eval_dimension=dimension, explicitness="explicit", objectivity="objective"
    )
    return Rubric(id=id, criteria=criteria, weight=weight, attributes=attributes)


def rubrics_of(*weights: int) -> tuple[Rubric, ...]:
    """Return rubrics r1, r2, … of these weights."""
    return tuple(a_rubric(f"r{number}", weight) for number, weight in enumerate(weights, start=1))


def a_seed(row: int = 1, **changes: Any) -> Seed:
    values: dict[str, Any] = {
        "row": row,
        "prompt": "Why does the ball slow down?",
        "explanation": "Friction takes its energy.",
        "follow_up": "So without friction it would speed up?",
        "subject": "Physics",
        "rubrics": (a_rubric(),),
        "sha256": "0" * 64,
    }
    return Seed(**values | changes)


def a_slot(**changes: Any) -> Slot:
    values: dict[str, Any] = {
        "id": "seed001_var1",
        "seed_row": 1,
        "subject": "microeconomics",
        "misconception_type": "overgeneralization",
        "topic": "sunk costs",
        "level": "high_school",
        "style": STYLE,
        "student": STUDENT,
    }
    return Slot(**values | changes)


def a_control(**changes: Any) -> Slot:
    """Return a slot in which the student is right."""
    return a_slot(**{"id": "control001", "misconception_type": "student_is_right", "origin": "control"} | changes)


def a_rubric_answer(severity: Severity = "critical", **changes: Any) -> RubricAnswer:
    values: dict[str, Any] = {
        "criteria": "The response must name the sunk cost.",
        "severity": severity,
        "tutoring_skill": "identifies_misconception",
        "eval_dimension": ["truthfulness"],
        "explicitness": "explicit",
        "objectivity": "objective",
    }
    return RubricAnswer(**values | changes)


def a_scenario(**changes: Any) -> ScenarioAnswer:
    values: dict[str, Any] = {
        "topic": "sunk costs",
        "question": "Should the firm finish the bridge?",
        "explanation": "Only what is still to be spent counts.",
        "misconception": "counts money already spent",
        "follow_up": "But then the nine million are lost.",
        "rubrics": [a_rubric_answer() for _ in range(6)],
    }
    return ScenarioAnswer(**values | changes)


def a_sample(
    id: str = "seed001_var1", *, rubrics: Sequence[Rubric] = (), response: str = "They are lost either way.", **about: Any
) -> Sample:
    """Return a sample with these rubrics (one critical one when there are none to give); `about` goes into its metadata."""
    metadata: dict[str, Any] = {
        "subject": "microeconomics",
        "topic": "sunk costs",
        "level": "high_school",
        "misconception_type": "overgeneralization",
        "misconception": "counts money already spent",
        "question": "Should the firm finish the bridge?",
        "explanation": "Only what is still to be spent counts.",
        "follow_up": "But then the nine million are lost.",
        "rubrics": tuple(rubrics) or (a_rubric(),),
        "style": STYLE,
        "seed_row": 1,
        "seed_sha256": "0" * 64,
        "seed_prompt_sha256": "0" * 64,
        "provider": "test",
        "models": {"scenario": "writer-1", "gold": "writer-1"},
        "prompt_sha256": {"scenario": "1" * 64, "gold": "2" * 64},
    }
    messages = (
        Message(role="system", content="You are an expert tutor."),
        Message(role="user", content="But then the nine million are lost."),
        Message(role="assistant", content=response),
    )
    return Sample(id=id, messages=messages, metadata=SampleMetadata(**metadata | about))


def an_evaluation(sample: Sample, *, failed: Sequence[str] = (), **changes: Any) -> Evaluation:
    """Return an evaluation of `sample` in which every rubric is met but those in `failed`."""
    verdicts = tuple(
        Verdict(rubric_id=rubric.id, met=rubric.id not in failed, reasoning="It says so.", evidence="", evidence_found=None)
        for rubric in sample.metadata.rubrics
    )
    values: dict[str, Any] = {
        "id": sample.id,
        "verdicts": verdicts,
        "quality_score": 4,
        "strengths": (),
        "weaknesses": (),
        "provider": "test",
        "model": "judge-1",
        "prompt_sha256": "3" * 64,
    }
    return Evaluation(**values | changes)


def a_planted(sample: Sample, spoiling: Spoiling = "praise_only", *, failed: Sequence[str] = ()) -> Planted:
    """Return a planted failure of which the judge fails these rubrics; with none it was let through."""
    copy_id = f"{sample.id}+{spoiling}"
    evaluation = an_evaluation(sample, failed=failed, id=copy_id)
    return Planted(id=copy_id, sample_id=sample.id, spoiling=spoiling, response="Spoiled.", fault="spoiled", evaluation=evaluation)


# ── runs ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@cache
def seeds_of(path: str) -> SeedFile:
    return read_seeds(from_root(path))


@cache
def kit_topics() -> Topics:
    return read_topics(PROJECT_ROOT / "data" / "topics.csv")


def generate(settings: Settings, seeds: SeedFile | None = None, topics: Topics | None = None) -> Tally:
    """Do the work of notebook 1, from the settings' seeds and the kit's topics when no others are given."""
    plan = Plan(settings, seeds or seeds_of(settings.seeds_csv), kit_topics() if topics is None else topics)
    return generate_samples(Run(settings), plan)


def gate(settings: Settings) -> Gating:
    return gate_samples(Run(settings))


def judge(settings: Settings) -> Tally:
    """Judge what has passed the gates."""
    return judge_samples(Run(settings))


def keep(settings: Settings) -> None:
    """Write which samples are kept and which are dropped."""
    filter_samples(Run(settings))


def tables(settings: Settings) -> Tables:
    """Read the tables of a run. One whose files were written by hand is filtered first."""
    if not Run(settings).dropped.exists():
        keep(settings)
    return read_tables(Run(settings))


def count(settings: Settings) -> Statistics:
    """Write the run's statistics and return them."""
    return write_statistics(tables(settings))


def filter_run(settings: Settings) -> Tally:
    """Do the work of notebook 2. Return what judging came to."""
    gate(settings)
    judged = judge(settings)
    keep(settings)
    count(settings)
    return judged


def make_run(settings: Settings) -> tuple[Tally, Tally]:
    """Do the work of notebooks 1 and 2. Return what generating and what judging came to."""
    return generate(settings), filter_run(settings)


def publish(settings: Settings) -> tuple[dict[str, int], str]:
    """Write the data set and its card. Return how many samples each side has, and the card's text."""
    split = split_samples(Run(settings))
    sides = write_dataset(Run(settings), split)
    return sides, write_card(tables(settings), split).read_text("utf-8")


def validate_run(settings: Settings) -> None:
    """Do the work of notebook 4."""
    run = Run(settings).as_filtered
    write_report(run, validate_file(run.finetune, few_is="warning"))
    publish(run.settings)


def copy_run(of: Settings, *, to: Settings) -> Settings:
    """Copy a run that many tests share to the place of `to`, where one test may change it. Return its settings there."""
    copy = of.model_copy(update={"run": to.run, "outputs_dir": to.outputs_dir})
    shutil.copytree(Run(of).dir, Run(copy).dir)
    return copy


def write_run(
    settings: Settings,
    samples: Sequence[Sample],
    evaluations: Sequence[Evaluation] = (),
    *,
    planted: Sequence[Planted] = (),
    gated: Sequence[Decision] = (),
    failures: Sequence[Failure] = (),
) -> Settings:
    """Write a run's files as the notebooks leave them, up to judging."""
    run = Run(settings)
    for decided in (run.filtered, run.dropped):  # they would not belong to these samples
        decided.unlink(missing_ok=True)
    for path, records in (
        (run.generated, samples),
        (run.evaluations, evaluations),
        (run.planted, planted),
        (run.gated, gated),
        (run.failures, failures),
    ):
        write_jsonl(path, records)
    return settings


def write_kept(settings: Settings, samples: Sequence[Sample]) -> Settings:
    """Write a run all of whose samples are judged and kept."""
    write_run(settings, samples, [an_evaluation(sample) for sample in samples])
    keep(settings)
    return settings


class FolderBusy(Exception):
    """The second process was refused."""


@contextmanager
def held_by_another_process(run: Folder) -> Iterator[None]:
    """Hold the run's folder in a second process, as a run that is under way does. Raises FolderBusy when that is refused."""
    script = "import sys, pathlib; from lib.run.folder import Folder; from lib.run.lock import held\n"
    script += "with held(Folder(pathlib.Path(sys.argv[1]))): print(flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", script, str(run.dir)]
    pipe, none = subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen(command, cwd=PROJECT_ROOT, stdin=pipe, stdout=pipe, stderr=none) as other:
        if not (other.stdout and other.stdout.readline() == b"\n"):
            raise FolderBusy
        yield


def tiktoken_o200k(cache: Path) -> "tiktoken.Encoding":
    """Return tiktoken's own encoding without network: `bpe-openai` holds the genuine file, whose sha256 tiktoken verifies."""
    import tiktoken

    packed = resources.files("bpe_openai.data").joinpath("o200k_base.tiktoken.gz").read_bytes()
    (cache / "fb374d419588a4632f3f557e76b4b70aebbca790").write_bytes(gzip.decompress(packed))
    os.environ["TIKTOKEN_CACHE_DIR"] = str(cache)
    return tiktoken.get_encoding("o200k_base")
