"""Large sets without a model: seconds and peak memory of each step from the gates to the data set, each in a process of its own.

    python -m tests.bench.million 20000 100000 1000000

The samples, verdicts and planted failures are nonsense like that of `tests.bench.gates`. The gates drop only one sample of twenty, whose
response is nearly that of the sample before it. So each step has nearly all samples before it. A million samples take some 25 GB of the
temporary folder (TMPDIR).
"""

import csv
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from functools import cache
from io import StringIO
from itertools import pairwise
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from lib.filter.examples import example_messages
from lib.generate.dealing import SPOILINGS
from lib.run.files import json_line, whole_file
from lib.run.manifest import update_manifest
from lib.run.run import Run
from lib.schema import Message, Rubric, Sample
from lib.settings import PROJECT_ROOT, Settings
from lib.taxonomy import MISCONCEPTION_TYPES, SUBJECTS
from lib.validate.check import validate_file
from tests.answers import digest
from tests.bench.gates import LENGTHS, SEEDS, SENTENCE_WORDS, SHARES, VOCABULARY, prose
from tests.bench.peak import peak_mb
from tests.build import a_planted, a_rubric, a_sample, an_evaluation, count, gate, keep, publish

SIZES = (100_000,)
AIM = "linear; a million in < 30 min and < 4 GB"
WRITTEN_AT_ONCE, SAMPLES_A_PLANTED, SAMPLES_A_COPY, SAMPLES_A_SEED = 1_000, 20, 20, 4
WORDS = [*VOCABULARY, *(f"{word}." for word in VOCABULARY)]
MARKS = re.compile(r"@(\w+)@")  # in a template, where a text goes
FAILED: dict[int, tuple[str, ...]] = {0: ("r1",), 1: ("r4",), 2: ("r5",)}  # number of a sample modulo 10 -> criteria that fail


def million(sizes: Sequence[int] = SIZES) -> Iterator[tuple[str, str, str]]:
    for samples in sizes:
        with TemporaryDirectory() as folder:
            _measured("write", folder, samples=samples)
            for step in STEPS:
                seconds, peak = _measured(step, folder, samples=samples)
                yield f"{step}: {samples:,} samples", f"{seconds:,.0f} s, {peak:,.0f} MB", AIM


def _measured(step: str, folder: str, *, samples: int) -> tuple[float, float]:
    command = [sys.executable, "-m", "tests.bench.million", step, folder, str(samples)]
    seconds, peak = subprocess.run(command, cwd=PROJECT_ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    return float(seconds), float(peak)


def write(settings: Settings, samples: int) -> None:
    """Write the run as it is before the gates, but with the verdicts."""
    run, random = Run(settings), Random(1)
    with whole_file(Path(settings.benchmark_csv)) as file:
        csv.writer(file).writerows([prose(random, 80), prose(random, 150), prose(random, 60), prose(random, 300)] for _ in range(250))
    with whole_file(run.generated) as made, whole_file(run.evaluations) as evaluations, whole_file(run.planted) as planted:
        for number, texts in enumerate(_texts(samples)):
            made.write(_sample_line(number % len(SUBJECTS), number % len(MISCONCEPTION_TYPES)) % texts)
            evaluations.write(_evaluation_line(number % 10) % texts)
            if number % SAMPLES_A_PLANTED == 0:
                planted.write(_planted_line(number // SAMPLES_A_PLANTED % len(SPOILINGS)) % texts)
    made_with = {"settings": settings.model_dump(mode="json"), "inputs_sha256": {"seeds": SEEDS.sha256}}
    update_manifest(run, "generation", values=made_with)
    update_manifest(run, "judging", values={"planted": {"total": -(-samples // SAMPLES_A_PLANTED)}})


def _texts(samples: int) -> Iterator[dict[str, str]]:
    """Yield the texts of each sample, with words drawn as `prose` draws them."""
    import numpy

    random, ends = numpy.random.default_rng(0), [sum(list(LENGTHS.values())[:count]) for count in range(len(LENGTHS) + 1)]
    stops = len(VOCABULARY) * (numpy.arange(ends[-1]) % SENTENCE_WORDS == SENTENCE_WORDS - 1)
    before = ""
    for number in range(samples):
        if number % WRITTEN_AT_ONCE == 0:
            drawn = numpy.searchsorted(SHARES, random.random((WRITTEN_AT_ONCE, ends[-1])) * SHARES[-1], side="right") + stops
        words = [WORDS[place] for place in drawn[number % WRITTEN_AT_ONCE].tolist()]
        texts = {name: " ".join(words[start:end]) for name, (start, end) in zip(LENGTHS, pairwise(ends), strict=True)}
        if number % SAMPLES_A_COPY == SAMPLES_A_COPY // 2:
            texts["response"] = f"Then {before}"
        before = texts["response"]
        names = {"id": f"seed{number // SAMPLES_A_SEED:06d}_var{number % SAMPLES_A_SEED}", "prompt": digest(number // SAMPLES_A_SEED)}
        seed = SEEDS.seeds[number // SAMPLES_A_SEED % len(SEEDS.seeds)]
        parts = {"criterion": " ".join(words[:12]), "evidence": " ".join(words[-8:]), "reason": " ".join(words[100:115])}
        yield {**texts, **names, **parts, "seed": seed.sha256}


@cache
def _sample_line(subject: int, kind: int) -> str:
    about = {name: f"@{name}@" for name in LENGTHS} | {"subject": SUBJECTS[subject], "misconception_type": MISCONCEPTION_TYPES[kind].id}
    sample = a_sample("@id@", rubrics=_rubrics(), seed_sha256="@seed@", seed_prompt_sha256="@prompt@", **about)
    user = Message(role="user", content=example_messages(sample)[1]["content"])
    return _template(json_line(sample.model_copy(update={"messages": (sample.messages[0], user, sample.messages[2])})))


def _rubrics() -> list[Rubric]:
    skills = ("identifies_misconception", "guides_student", "asks_questions", "not_applicable", "gives_examples")
    dimensions = ("truthfulness", "instruction_following, style_tone", "truthfulness", "style_tone", "instruction_following")
    weights = (5, 5, 5, 1, -5)
    return [
        a_rubric(f"r{number}", weight, criteria=f"Criterion {number}: @criterion@", skill=skill, dimension=dimension)
        for number, (weight, skill, dimension) in enumerate(zip(weights, skills, dimensions, strict=True), start=1)
    ]


@cache
def _evaluation_line(turn: int) -> str:
    evaluation = an_evaluation(a_sample("@id@", rubrics=_rubrics()), failed=FAILED.get(turn, ()), quality_score=2 + turn % 4)
    changes = {"reasoning": "@reason@", "evidence": "@evidence@", "evidence_found": True}
    votes = {"votes": (False, False, True)} if turn == 0 else {}
    verdicts = tuple(verdict.model_copy(update=changes | votes) for verdict in evaluation.verdicts)
    named = {"strengths": ("clear", "warm"), "weaknesses": ("too_long",) if turn % 2 else ()}
    return _template(json_line(evaluation.model_copy(update={"verdicts": verdicts, **named})))


@cache
def _planted_line(turn: int) -> str:
    sample: Sample = a_sample("@id@", rubrics=_rubrics())
    copy = a_planted(sample, SPOILINGS[turn], failed=("r1",) if turn else ())
    return _template(json_line(copy.model_copy(update={"response": "@response@"})))


def _template(line: str) -> str:
    return MARKS.sub(r"%(\1)s", line.replace("%", "%%"))


STEPS: dict[str, Callable[[Settings], object]] = {
    "all gates": gate,
    "filtering": keep,
    "tables and statistics": count,
    "splits, data set and card": publish,
    "validation": lambda settings: validate_file(Run(settings).finetune, few_is="warning"),
}


def main(step: str, folder: str, samples: str) -> None:
    """Print the seconds and the peak memory in MB of one step."""
    settings = Settings.of(run="million", outputs_dir=folder, benchmark_csv=str(Path(folder) / "benchmark.csv"))
    with redirect_stdout(StringIO()):
        started = time.monotonic()
        if step == "write":
            write(settings, int(samples))
        else:
            STEPS[step](settings)
        seconds = time.monotonic() - started
    print(seconds, peak_mb())


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1].isdecimal():
        for row in million([int(size) for size in sys.argv[1:]]):
            print(f"| {' | '.join(row)} |", flush=True)
    else:
        main(*sys.argv[1:])
