"""A filtered run -> three tables, read once: a row a sample, a row a verdict, a row a planted failure.

All that notebook 3 and the data card show is a function of these tables. They hold no texts but short ones, so that a run of 100,000
samples fits into memory. Of the responses, at most twice MOST_COMPARED are kept, evenly spaced, to measure variety.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lib.analyze.marks import marks
from lib.analyze.rates import Share
from lib.filter.keep import Judged, drop_reason, judged_samples, with_originals
from lib.filter.planted import SPOILINGS
from lib.filter.scores import critical_score, weighted_score
from lib.run.manifest import Manifest, read_manifest
from lib.run.records import planted_copies
from lib.run.run import Run
from lib.schema import Sample
from lib.settings import FEWEST_PLANTED
from lib.taxonomy import AREA_OF

if TYPE_CHECKING:
    import pandas as pd

MOST_COMPARED = 1000  # responses compared pairwise
TOO_FEW = "too few to tell"
EMBEDDED = "EMBEDDED MODEL: proves that the pipeline runs, not training data"


class Responses:
    """Evenly spaced responses, by sample id. When there are too many, every second one is removed."""

    def __init__(self) -> None:
        self.by_id: dict[str, str] = {}
        self._step = 1

    def add(self, number: int, sample: Sample) -> None:
        if number % self._step:
            return
        self.by_id[sample.id] = sample.response
        if len(self.by_id) > 2 * MOST_COMPARED:
            self.by_id = dict(list(self.by_id.items())[::2])
            self._step *= 2


@dataclass(frozen=True)
class Tables:
    """The tables of one run, and the few facts that stand in no table."""

    run: Run
    manifest: Manifest
    samples: "pd.DataFrame"
    verdicts: "pd.DataFrame"
    planted: "pd.DataFrame"
    responses: dict[str, str]

    @cached_property
    def kept(self) -> Share:
        """The keep rate, kept ÷ made."""
        return Share(int(self.samples["kept"].sum()), len(self.samples))

    @cached_property
    def judged(self) -> "pd.DataFrame":
        """The samples that have verdicts."""
        return self.samples[self.samples["critical_total"].notna()]

    @cached_property
    def catches(self) -> dict[str, Share]:
        """How many planted failures of each kind the judge caught, which means that the spoiled copy would not be kept."""
        groups = self.planted.groupby("spoiling")["caught"]
        caught, total = groups.sum().to_dict(), groups.count().to_dict()
        return {kind: Share(int(caught.get(kind, 0)), int(total.get(kind, 0))) for kind in SPOILINGS}

    @property
    def note(self) -> str:
        """The lines above every figure. They name the run, its date, the models as returned, and how many planted failures were caught."""
        name = self.run.settings.run
        if not len(self.samples):
            return f"run {name}: no samples"
        first = self.samples.iloc[0]
        judge = f", judged by {first['judge']}" if first["judge"] else ""
        notice = f"  ·  {EMBEDDED}" if first["notice"] else ""
        made = f"{self.manifest.generation.finished[:10]}  ·  written by {', '.join(first['writers'])}"
        return f"run {name}  ·  {made}{judge}{notice}\n{catch_line(self.catches)}"


def total_of(caught: dict[str, Share]) -> Share:
    return Share(sum(share.hits for share in caught.values()), sum(share.total for share in caught.values()))


def catch_line(caught: dict[str, Share]) -> str:
    """Return the line that stands beside every keep rate."""
    share = total_of(caught)
    if not share.total:
        return "planted failures caught: none were planted, so nothing is known of the judge"
    return f"planted failures caught: {share}{'' if share.total >= FEWEST_PLANTED else f'; {TOO_FEW}'}"


def read_tables(run: Run) -> Tables:
    """Read the run's files once. Raises RunError when the run has not been filtered, or when its files don't belong together."""
    import pandas as pd

    copies = planted_copies(run)
    wanted, originals = {copy.sample_id for copy in copies}, dict[str, Sample]()
    samples, verdicts, responses = list[dict[str, Any]](), list[dict[str, Any]](), Responses()
    for number, judged in enumerate(judged_samples(run)):
        samples.append(_sample_row(judged))
        verdicts += _verdict_rows(judged)
        responses.add(number, judged.sample)
        if judged.sample.id in wanted:
            originals[judged.sample.id] = judged.sample
    threshold = run.settings.threshold
    planted = [
        {"id": copy.id, "spoiling": copy.spoiling, "caught": drop_reason(original, copy.evaluation, threshold=threshold) is not None}
        for copy, original in with_originals(run, copies, originals=originals)
    ]
    return Tables(
        run=run,
        manifest=read_manifest(run),
        samples=pd.DataFrame(samples, columns=SAMPLE_COLUMNS),
        verdicts=pd.DataFrame(verdicts, columns=VERDICT_COLUMNS),
        planted=pd.DataFrame(planted, columns=["id", "spoiling", "caught"]),
        responses=responses.by_id,
    )


SAMPLE_COLUMNS = [
    "id", "subject", "area", "topic", "level", "misconception_type", "origin", "status", "kept", "reason",
    "critical_passed", "critical_total", "critical_pass_rate", "weighted_score", "quality_score", "strengths", "weaknesses",
    "response_words", "opening", "closing", "praise", "you", "question", "em_dash", "response_id", "judge", "writers", "notice",
]  # fmt: skip
VERDICT_COLUMNS = [
    "id", "rubric_id", "criteria", "critical", "severity", "tutoring_skill", "eval_dimension", "met", "evidence_found", "flipped",
]  # fmt: skip


def _sample_row(judged: Judged) -> dict[str, Any]:
    """Return what the sample is about, its decision and its scores. The scores are missing while it is unjudged."""
    sample, evaluation, about = judged.sample, judged.evaluation, judged.sample.metadata
    score = critical_score(sample, evaluation) if evaluation else None
    weighted = weighted_score(about.rubrics, evaluation.verdicts) if evaluation else None
    return {
        "id": sample.id,
        "subject": about.subject,
        "area": AREA_OF.get(about.subject, "Other"),
        "topic": about.topic,
        "level": about.level,
        "misconception_type": about.misconception_type,
        "origin": about.origin,
        "status": judged.decision.status,
        "kept": judged.is_kept,
        "reason": judged.decision.reason,
        "critical_passed": score.passed if score else None,
        "critical_total": score.total if score else None,
        "critical_pass_rate": score.passed / score.total if score and score.total else None,
        "weighted_score": None if weighted is None else float(weighted),
        "quality_score": evaluation.quality_score if evaluation else None,
        "strengths": evaluation.strengths if evaluation else (),
        "weaknesses": evaluation.weaknesses if evaluation else (),
        **marks(sample.response),
        "response_id": sample.response_id,
        "judge": evaluation.model if evaluation else "",
        "writers": tuple(dict.fromkeys(about.models.values())),
        "notice": about.notice,
    }


def _verdict_rows(judged: Judged) -> list[dict[str, Any]]:
    """Return a row a verdict. `flipped` is true where votes differ, and missing where there was one vote."""
    if not judged.evaluation:
        return []
    return [
        {
            "id": judged.sample.id,
            "rubric_id": rubric.id,
            "criteria": rubric.criteria,
            "critical": rubric.critical,
            "severity": rubric.attributes.severity,
            "tutoring_skill": rubric.attributes.tutoring_skill,
            "eval_dimension": rubric.attributes.eval_dimension,
            "met": verdict.met,
            "evidence_found": verdict.evidence_found,
            "flipped": len(set(verdict.votes)) > 1 if verdict.votes else None,
        }
        for rubric, verdict in zip(judged.sample.metadata.rubrics, judged.evaluation.verdicts, strict=True)
    ]
