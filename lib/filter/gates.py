"""The gates: made samples -> those that need no judge to be dropped, such as copies, near-duplicates and odd lengths.

A gate is a function of a sample. It returns why the sample must be dropped, or "" to let it pass. To add one, write the function and its
line in GATES, which names the reason and orders the funnel. A threshold is a setting in `lib/settings/parameters.py`.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from lib.errors import counted
from lib.filter.general import general_rubric
from lib.filter.similar import Formulas, Limit, NearDuplicates, SeedCopies, closing, opening, question_and_follow_up, texts
from lib.generate.benchmark import Benchmark, read_benchmark, word_sequences
from lib.generate.inputs import seeds_as_used
from lib.generate.seeds import SeedFile
from lib.run.files import write_jsonl
from lib.run.lock import holding
from lib.run.manifest import update_manifest
from lib.run.records import made_samples
from lib.run.run import Run
from lib.schema import Decision, Sample
from lib.settings import Settings, from_root
from lib.taxonomy import label
from lib.validate.control_tokens import UNMISTAKABLE_TOKEN

Gate = Callable[[Sample], str]


@dataclass(frozen=True, slots=True)
class Given:
    """What gates compare samples with. The seed file is None when it is not the one that the samples were made from."""

    settings: Settings
    seed_file: SeedFile | None
    benchmark: Benchmark

    @property
    def limit(self) -> Limit:
        return Limit(self.settings.max_shared_words, self.settings.max_shared_share)

    @property
    def not_checked(self) -> list[str]:
        """The gates that have nothing to compare with."""
        return ([] if self.seed_file else ["copied_seed"]) + ([] if self.settings.benchmark_csv else ["benchmark_overlap"])

    @property
    def remarks(self) -> tuple[str, ...]:
        gone = "The seed file that the samples were made from is gone or has changed: they were not compared with their seeds."
        none = "benchmark_csv names no file: samples were not compared with a benchmark."
        return (*(() if self.seed_file else (gone,)), *(self.benchmark.remarks or (none,)))


def no_critical_rubric(sample: Sample) -> str:
    return "" if any(rubric.critical for rubric in sample.metadata.rubrics) else "none of its rubrics has weight 5 or -5"


def special_token(sample: Sample) -> str:
    """Drop a text with a token that trainers read as a control token. OpenAI fails the whole job on one.

    Only tokens that nobody writes for another reason count, because a lesson on HTML may strike through with <s>.
    """
    found = ((name, UNMISTAKABLE_TOKEN.search(text)) for name, text in texts(sample).items())
    return next((f"{name} holds {token[0]}" for name, token in found if token), "")


def length_far_off(sample: Sample, *, tolerance: float) -> str:
    """Drop a response that is shorter or longer than its assigned band (words) by more than this share."""
    count, (low, high) = len(sample.response.split()), sample.metadata.style.words
    if low * (1 - tolerance) <= count <= high * (1 + tolerance):
        return ""
    return f"the response has {count} words, {low} to {high} were assigned"


def copied_explanation(sample: Sample, *, limit: Limit) -> str:
    """Drop a response that repeats the first explanation."""
    sequences = frozenset(word_sequences(sample.metadata.explanation))
    return limit.objection("response", sample.response, sequences=sequences, source="the first explanation")


def benchmark_overlap(sample: Sample, *, benchmark: Benchmark, limit: Limit) -> str:
    """Drop a text that shares a long run, or a large share, of its words. A single hit is allowed, because a stock phrase is anywhere."""
    return limit.first_objection(sample, sequences=benchmark.sequences, source="the benchmark") if benchmark.sequences else ""


GATES: dict[str, Callable[[Given], Gate]] = {  # reason -> its gate, in the order of the funnel, cheapest first
    "no_critical_rubric": lambda given: no_critical_rubric,
    "general_rubric": lambda given: general_rubric,
    "special_token": lambda given: special_token,
    "length_far_off": lambda given: partial(length_far_off, tolerance=given.settings.length_tolerance),
    "copied_seed": lambda given: SeedCopies(given.seed_file.seeds if given.seed_file else (), given.limit),
    "copied_explanation": lambda given: partial(copied_explanation, limit=given.limit),
    "benchmark_overlap": lambda given: partial(benchmark_overlap, benchmark=given.benchmark, limit=given.limit),
    "near_duplicate_question": lambda given: NearDuplicates(question_and_follow_up, given.settings.near_duplicate_similarity),
    "near_duplicate_response": lambda given: NearDuplicates(lambda sample: sample.response, given.settings.near_duplicate_similarity),
    "formulaic_opening": lambda given: Formulas(opening, given.settings.max_alike_share),
    "formulaic_closing": lambda given: Formulas(closing, given.settings.max_alike_share),
}


@dataclass(frozen=True, slots=True)
class Gating:
    """How many samples came to the gates, and how many each reason dropped, in the order of the funnel."""

    made: int
    dropped: Mapping[str, int]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        out = sum(self.dropped.values())
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in self.dropped.items() if count)
        dropped = f"{out:,} dropped before judging{f' ({reasons})' if reasons else ''}"
        counts = f"{counted(self.made, 'sample')}, {dropped}, {self.made - out:,} left for the judge"
        return "\n".join((counts, *self.notes))

    def rows(self) -> list[dict[str, Any]]:
        """Return the gates as rows of a table."""
        left, rows = self.made, []
        for reason, count in self.dropped.items():
            rows.append({"gate": label(reason).lower(), "samples": left, "dropped": count, "left": left - count})
            left -= count
        return rows


@holding
def gate_samples(run: Run) -> Gating:
    """Write `gated.jsonl`, which lists the samples that are dropped before judging.

    Raises BenchmarkError when the benchmark file can't be read, RunError when there are no samples yet.
    """
    given = Given(run.settings, seeds_as_used(run), benchmark_of(run.settings))
    gates = {reason: gate(given) for reason, gate in GATES.items()}
    dropped: list[Decision] = []
    made = 0
    for sample in made_samples(run):
        made += 1
        if found := first_objection(sample, gates):
            dropped.append(Decision(id=sample.id, status="dropped", reason=found[0], detail=found[1]))
    write_jsonl(run.gated, dropped)
    counts = Counter(decision.reason for decision in dropped)
    compared = {"rows": given.benchmark.rows, "sequences": len(given.benchmark.sequences)}
    values = {"samples": made, "dropped": len(dropped), "not_checked": given.not_checked, "benchmark": compared}
    update_manifest(run, "gating", values=values)
    return Gating(made, {reason: counts[reason] for reason in GATES}, given.remarks)


def benchmark_of(settings: Settings) -> Benchmark:
    """Return the benchmark that the settings name, or an empty one. Raises BenchmarkError."""
    return read_benchmark(from_root(settings.benchmark_csv)) if settings.benchmark_csv else Benchmark()


def first_objection(sample: Sample, gates: Mapping[str, Gate]) -> tuple[str, str] | None:
    """Return the first gate's reason and detail, or None. The gates after it don't see the sample."""
    for reason, gate in gates.items():
        if detail := gate(sample):
            return reason, detail
    return None
