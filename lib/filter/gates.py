"""made samples -> what no rubric sees, found before the judge is paid: copies, near-duplicates, formulas, odd lengths, special tokens.

A gate says why a sample must go, or "" to let it pass. Gates that look at one sample are functions of it; gates that look at the set
remember what passed before, in the order of the file, so that a longer run decides as a shorter one did.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from lib.errors import KitError
from lib.generate.benchmark import SEQUENCE, Benchmark, read_benchmark, word_sequences
from lib.generate.seeds import SeedFile, read_seeds
from lib.generate.words import words
from lib.run.files import write_jsonl
from lib.run.folder import holding, made_samples, run_of
from lib.run.manifest import as_planned, read_manifest, update_manifest
from lib.schema import Decision, DropReason, Sample, Seed
from lib.settings import Settings, from_root
from lib.validate.control_tokens import UNMISTAKABLE_TOKEN

if TYPE_CHECKING:
    from rensa import RMinHash

Gate = Callable[[Sample], str]
SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]*_]*\s+")
NUMBER = re.compile(r"\d+")
SHINGLE = 3  # words: near-duplicates are compared by sets of these
OPENING_WORDS = 3
FEWEST_ALIKE = 5  # however small the set: five alike are no formula yet
PERMUTATIONS, BANDS = 128, 32  # two texts of similarity 0.7 meet in a band with 99.98 %, those of 0.3 with 23 %
WRITTEN = ("explanation", "follow_up", "response")


@dataclass(frozen=True, slots=True)
class Gating:
    """What the gates came to: how many samples went in, how many each reason dropped, in the funnel's order."""

    made: int
    dropped: Mapping[DropReason, int]
    remarks: tuple[str, ...]

    def __str__(self) -> str:
        out = sum(self.dropped.values())
        return f"{self.made:,} samples, {out:,} dropped before judging, {self.made - out:,} go to the judge"


@holding
def gate_samples(settings: Settings) -> Gating:
    """Write `gated.jsonl`, the samples that need no judge to be dropped.

    Raises BenchmarkError when the benchmark file can't be read, RunError when there are no samples yet.
    """
    run, seed_file = run_of(settings), seeds_as_used(settings)
    benchmark = benchmark_of(settings)
    gates = gates_of(seed_file, settings, benchmark=benchmark)
    dropped, made = [], 0
    for made, sample in enumerate(made_samples(run), start=1):  # noqa: B007  # the count is used below
        if found := first_objection(sample, gates):
            dropped.append(Decision(id=sample.id, status="dropped", reason=found[0], detail=found[1]))
    write_jsonl(run.gated, dropped)
    counts = Counter(decision.reason for decision in dropped)
    not_checked = ([] if seed_file else [DropReason.COPIED_SEED]) + ([] if settings.benchmark_csv else [DropReason.BENCHMARK_OVERLAP])
    compared = {"rows": benchmark.rows, "sequences": len(benchmark.sequences)}
    update_manifest(run, "gating", {"samples": made, "dropped": len(dropped), "not_checked": not_checked, "benchmark": compared})
    return Gating(made, {reason: counts[reason] for reason, _ in gates}, tuple(_remarks(seed_file, benchmark)))


def seeds_as_used(settings: Settings) -> SeedFile | None:
    """Return the seed file that the samples were made from, or None when it is gone or has changed since."""
    try:
        seed_file = read_seeds(from_root(as_planned(settings).seeds_csv), on_bad_row="skip")
    except KitError:
        return None
    recorded = read_manifest(run_of(settings)).get("generation", {}).get("inputs_sha256", {}).get("seeds")
    return seed_file if seed_file.sha256 == recorded else None


def benchmark_of(settings: Settings) -> Benchmark:
    """Return the benchmark that the settings name, or an empty one. Raises BenchmarkError."""
    return read_benchmark(from_root(settings.benchmark_csv)) if settings.benchmark_csv else Benchmark()


def gates_of(seed_file: SeedFile | None, settings: Settings, *, benchmark: Benchmark | None = None) -> list[tuple[DropReason, Gate]]:
    """Return the gates in the funnel's order, cheapest first. Without a `benchmark`, the one that the settings name is read."""
    limit = Limit(settings.max_shared_words, settings.max_shared_share)
    seeds = {seed.sha256: seed for seed in seed_file.seeds} if seed_file else {}
    sequences = (benchmark or benchmark_of(settings)).sequences
    similarity, share = settings.near_duplicate_similarity, settings.max_alike_share
    return [
        (DropReason.NO_CRITICAL_RUBRIC, no_critical_rubric),
        (DropReason.SPECIAL_TOKEN, special_token),
        (DropReason.LENGTH_FAR_OFF, partial(length_far_off, tolerance=settings.length_tolerance)),
        (DropReason.COPIED_SEED, SeedCopies(seeds, limit)),
        (DropReason.COPIED_EXPLANATION, partial(copied_explanation, limit=limit)),
        (DropReason.BENCHMARK_OVERLAP, partial(benchmark_overlap, sequences=sequences, limit=limit)),
        (DropReason.NEAR_DUPLICATE_QUESTION, NearDuplicates(question_and_follow_up, similarity)),
        (DropReason.NEAR_DUPLICATE_RESPONSE, NearDuplicates(lambda sample: sample.response, similarity)),
        (DropReason.FORMULAIC_OPENING, Formulas(opening, share)),
        (DropReason.FORMULAIC_CLOSING, Formulas(closing, share)),
    ]


def first_objection(sample: Sample, gates: Sequence[tuple[DropReason, Gate]]) -> tuple[DropReason, str] | None:
    """Return the first gate's reason and detail, or None; gates after it don't see the sample."""
    for reason, gate in gates:
        if detail := gate(sample):
            return reason, detail
    return None


# ── gates that look at one sample ────────────────────────────────────────────────────────────────────────────────────


def no_critical_rubric(sample: Sample) -> str:
    return "" if any(rubric.critical for rubric in sample.metadata.rubrics) else "none of its rubrics has weight 5 or -5"


def special_token(sample: Sample) -> str:
    """Trainers read these as control tokens; OpenAI fails the whole job on one.

    Only tokens that nobody writes for another reason count: a lesson on HTML may strike through with <s>. The validator warns of those.
    """
    for name, text in texts(sample).items():
        if found := UNMISTAKABLE_TOKEN.search(text):
            return f"{name} holds {found[0]}"
    return ""


def length_far_off(sample: Sample, *, tolerance: float) -> str:
    """Object when the response is shorter, or longer, than its assigned band (words) by more than this share."""
    count, (low, high) = len(sample.response.split()), sample.metadata.style.words
    if low * (1 - tolerance) <= count <= high * (1 + tolerance):
        return ""
    return f"the response has {count} words, {low} to {high} were assigned"


@dataclass(frozen=True, slots=True)
class Limit:
    """What two texts may share: words in one run, and a share (0..1) of the 8-word sequences of the one."""

    words: int
    share: float


@dataclass(frozen=True, slots=True)
class Shared:
    """`words`: the longest run of words found elsewhere. `share`: of its 8-word sequences, those found elsewhere, 0..1."""

    words: int
    share: float

    def beyond(self, limit: Limit) -> bool:
        return self.words > limit.words or self.share > limit.share


def shared(text: str, sequences: frozenset[int]) -> Shared:
    """Return what `text` shares with the texts that `sequences` come from. Shorter than eight words it shares nothing."""
    longest = run = hits = count = 0
    for sequence in word_sequences(text):
        count += 1
        run = run + 1 if sequence in sequences else 0
        hits += run > 0
        longest = max(longest, run)
    return Shared(longest + SEQUENCE - 1 if longest else 0, hits / count if count else 0.0)


def copied_explanation(sample: Sample, *, limit: Limit) -> str:
    """Object when the response gives the first explanation again, in its own words."""
    found = shared(sample.response, frozenset(word_sequences(sample.metadata.explanation)))
    return _copied("response", found, "the first explanation") if found.beyond(limit) else ""


def benchmark_overlap(sample: Sample, *, sequences: frozenset[int], limit: Limit) -> str:
    """Object by the longest run and by the share of sequences, not by any hit: a stock phrase is in every benchmark."""
    return _overlap(sample, sequences, limit, "the benchmark") if sequences else ""


# ── gates that look at the set ───────────────────────────────────────────────────────────────────────────────────────


class SeedCopies:
    """Objects to what was copied from the sample's own seed. A seed that is not in the file any more can't be compared."""

    def __init__(self, seeds: Mapping[str, Seed], limit: Limit) -> None:
        self._seeds, self._limit = seeds, limit
        self._sequences: dict[str, frozenset[int]] = {}

    def __call__(self, sample: Sample) -> str:
        seed = self._seeds.get(sample.metadata.seed_sha256)
        if seed is None:
            return ""
        if seed.sha256 not in self._sequences:
            copied_from = (seed.prompt, seed.explanation, seed.follow_up)
            self._sequences[seed.sha256] = frozenset(sequence for text in copied_from for sequence in word_sequences(text))
        return _overlap(sample, self._sequences[seed.sha256], self._limit, "its seed")


class NearDuplicates:
    """Objects to a text that is like an earlier one: the same, or of this Jaccard similarity by MinHash over 3-word shingles.

    Numbers count as equal: the same question with other numbers is the same question. A repaired sample may be like the one it repairs.
    Source: Broder 1997, On the resemblance and containment of documents.
    """

    def __init__(self, text: Callable[[Sample], str], similarity: float) -> None:
        from rensa import RMinHashLSH

        self._text, self._similarity = text, similarity
        self._index = RMinHashLSH(threshold=similarity, num_perm=PERMUTATIONS, num_bands=BANDS)
        self._ids: list[str] = []
        self._hashes: list[RMinHash] = []
        self._exact: dict[int, str] = {}

    def __call__(self, sample: Sample) -> str:
        compared = shingled_words(self._text(sample))
        own, exact = sample.metadata.repaired_from, hash(tuple(compared))
        if (twin := self._exact.get(exact)) and twin != own:
            return f"the same as {twin}"
        minhash = minhash_of(compared)
        for number in sorted(self._index.query(minhash)):
            likeness = minhash.jaccard(self._hashes[number])
            if self._ids[number] != own and likeness >= self._similarity:
                return f"{likeness:.0%} the same as {self._ids[number]}"
        self._index.insert(len(self._ids), minhash)
        self._ids.append(sample.id)
        self._hashes.append(minhash)
        self._exact.setdefault(exact, sample.id)
        return ""


def shingled_words(text: str) -> list[str]:
    return NUMBER.sub("0", " ".join(words(text))).split()


def minhash_of(compared: Sequence[str], *, permutations: int = PERMUTATIONS) -> "RMinHash":
    from rensa import RMinHash

    minhash = RMinHash(num_perm=permutations, seed=1)
    minhash.update([" ".join(compared[start : start + SHINGLE]) for start in range(max(1, len(compared) - SHINGLE + 1))])
    return minhash


class Formulas:
    """Objects to the surplus of texts that open, or close, with the same words, above `share` of the samples so far.

    Looks at explanation, follow-up and response, each by itself.
    """

    def __init__(self, move: Callable[[str], str], share: float) -> None:
        self._move, self._share = move, share
        self._seen: Counter[tuple[str, str]] = Counter()
        self._passed = 0

    def __call__(self, sample: Sample) -> str:
        written = ("response",) if sample.metadata.repaired_from else WRITTEN  # the rest was counted with its original
        moves = [(name, self._move(text)) for name, text in texts(sample).items() if name in written]
        allowed = max(FEWEST_ALIKE, math.ceil(self._share * (self._passed + 1)))
        for name, opened in moves:
            if self._seen[name, opened] >= allowed:
                return f"{name}: “{opened} …”, as in {allowed} samples before it"
        self._seen.update(moves)
        self._passed += 1
        return ""


def opening(text: str) -> str:
    """Return the first three words."""
    return " ".join(words(text)[:OPENING_WORDS])


def closing(text: str) -> str:
    """Return the first three words of the last sentence: they tell "Does that make sense?" from a summary."""
    return opening(SENTENCE_END.split(text.strip())[-1])


# ── the texts of a sample ────────────────────────────────────────────────────────────────────────────────────────────


def texts(sample: Sample) -> dict[str, str]:
    """Return everything a model wrote that is trained on, by its name."""
    about = sample.metadata
    return {"question": about.question, "explanation": about.explanation, "follow_up": about.follow_up, "response": sample.response}


def question_and_follow_up(sample: Sample) -> str:
    return f"{sample.metadata.question}\n{sample.metadata.follow_up}"


def _overlap(sample: Sample, sequences: frozenset[int], limit: Limit, source: str) -> str:
    for name, text in texts(sample).items():
        if (found := shared(text, sequences)).beyond(limit):
            return _copied(name, found, source)
    return ""


def _copied(name: str, found: Shared, source: str) -> str:
    return f"{name}: {found.words} words in a row, and {found.share:.0%} of its {SEQUENCE}-word sequences, stand in {source}"


def _remarks(seed_file: SeedFile | None, benchmark: Benchmark) -> Iterable[str]:
    if seed_file is None:
        yield "The seed file that the samples were made from is gone or has changed: they were not compared with their seeds."
    yield from benchmark.remarks or ("benchmark_csv names no file: samples were not compared with a benchmark.",)
