"""A filtered run -> the records that its page shows, one at a time: a line of the list, and the texts of one sample."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from re import findall
from typing import Any

from lib.filter.keep import Judged, judged_samples, planted_failures
from lib.filter.scores import critical_failures, weighted_score
from lib.generate.dealing import HARMLESS
from lib.publish.markdown import rendered
from lib.run.records import dropped_scenarios, planted_explanations
from lib.run.run import Run
from lib.schema import DroppedScenario, Evaluation, Planted, PlantedExplanation, Rubric, Sample, SampleMetadata
from lib.taxonomy import label

COLUMNS = ("id", "status", "reason", "subject", "kind", "level", "origin", "near", "quality", "weighted", "failed", "title")
ORIGINS = {"plan": "planned", "control": "control", "repair": "repaired", "top_up": "topped up"}
MOST_COMPARED = 4_000_000  # pairs of words; two texts of 1,000 words have a million and take a tenth of a second
PIECES = r"\s+|\w+|[^\w\s]"  # what a diff compares


@dataclass(frozen=True, slots=True)
class Entry:
    """What the page shows of a sample, or of a dropped scenario."""

    line: tuple[Any, ...]  # its values of COLUMNS
    texts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Beside:
    """What belongs to other samples of the run, by the id of the sample that it is shown with."""

    planted: dict[str, list[Planted]] = field(default_factory=dict)
    misstated: dict[str, PlantedExplanation] = field(default_factory=dict)
    twins: dict[str, Sample] = field(default_factory=dict)  # the near miss of a repaired sample, and the other way round


def entries(run: Run) -> Iterator[Entry]:
    """Yield an entry for each sample in plan order, then one for each dropped scenario. Raises RunError as `judged_samples` does."""
    beside = _beside(run)
    for judged in judged_samples(run):
        yield _of_sample(judged, beside=beside)
    for scenario in dropped_scenarios(run):
        yield _of_scenario(scenario)


def _beside(run: Run) -> Beside:
    found = Beside()
    for copy, _ in planted_failures(run):
        found.planted.setdefault(copy.sample_id, []).append(copy)
    found.misstated.update({copy.sample_id: copy for copy in planted_explanations(run)})
    origins = {one.sample.id: one.sample.metadata.repaired_from for one in judged_samples(run) if one.sample.metadata.repaired_from}
    twin_of = {**origins, **{near: repaired for repaired, near in origins.items()}}
    if twin_of:
        found.twins.update({twin_of[one.sample.id]: one.sample for one in judged_samples(run) if one.sample.id in twin_of})
    return found


def _of_sample(judged: Judged, *, beside: Beside) -> Entry:
    sample, evaluation, decision, about = judged.sample, judged.evaluation, judged.decision, judged.sample.metadata
    failed = critical_failures(sample, evaluation) if evaluation else []
    weighted = weighted_score(about.rubrics, evaluation.verdicts) if evaluation else None
    line = (
        sample.id, decision.status, label(decision.reason).lower() if decision.reason else "", label(about.subject),
        label(about.misconception_type), label(about.level), ORIGINS[about.origin], int(len(failed) == 1 and not judged.is_kept),
        evaluation.quality_score if evaluation else None, None if weighted is None else round(float(weighted), 3),
        _failed_skills(about.rubrics, evaluation), about.misconception,
    )  # fmt: skip
    twin = beside.twins.get(sample.id)
    wrong = beside.misstated.get(sample.id)
    return Entry(
        line,
        {
            "detail": decision.detail,
            "topic": about.topic,
            **_exchange(about),
            "response": rendered(sample.response),
            "critical": f"{sum(r.critical for r in about.rubrics) - len(failed)} of {sum(r.critical for r in about.rubrics)}",
            "verdicts": _verdicts(about.rubrics, evaluation),
            "strengths": [label(name).lower() for name in (evaluation.strengths if evaluation else ())],
            "weaknesses": [label(name).lower() for name in (evaluation.weaknesses if evaluation else ())],
            "planted": [_planted(copy, sample) for copy in beside.planted.get(sample.id, ())],
            "wrong": wrong and {"fault": wrong.fault, "caught": bool(wrong.reason), "diff": diff(about.explanation, wrong.explanation)},
            "twin": twin and _twin(sample, twin),
            "lineage": _lineage(about, evaluation),
            "notice": about.notice,
        },
    )


def _of_scenario(one: DroppedScenario) -> Entry:
    line: tuple[Any, ...] = (
        one.id, "scenario dropped", label(one.reason).lower(), label(one.subject), label(one.misconception_type), label(one.level),
        ORIGINS[one.origin], 0, None, None, [], one.misconception,
    )  # fmt: skip
    found = one.verification
    lineage = {"verifier": found.model, "verifier's belief": found.belief, "verifier's kind": label(found.kind)}
    texts = {"detail": one.detail, "topic": one.topic, **_exchange(one), "verdicts": _verdicts(one.rubrics, None), "lineage": lineage}
    return Entry(line, texts)


def _exchange(about: SampleMetadata | DroppedScenario) -> dict[str, str]:
    return {"question": rendered(about.question), "explanation": rendered(about.explanation), "follow_up": rendered(about.follow_up)}


def _failed_skills(rubrics: Sequence[Rubric], evaluation: Evaluation | None) -> list[str]:
    """Return the tutoring skills of the criteria that failed, each once."""
    pairs = zip(rubrics, evaluation.verdicts, strict=True) if evaluation else ()
    return list(dict.fromkeys(label(rubric.attributes.tutoring_skill) for rubric, verdict in pairs if not verdict.met))


def _verdicts(rubrics: Sequence[Rubric], evaluation: Evaluation | None) -> list[dict[str, Any]]:
    """Return the criteria with their verdicts, failed ones first and critical ones before minor ones. Without verdicts, the criteria."""
    rows = []
    for place, rubric in enumerate(rubrics):
        row: dict[str, Any] = {"id": rubric.id, "importance": rubric.importance, "criterion": rubric.criteria}
        row["skill"] = label(rubric.attributes.tutoring_skill)
        if evaluation:
            verdict = evaluation.verdicts[place]
            row |= {"met": verdict.met, "why": verdict.reasoning, "quote": verdict.evidence, "found": verdict.evidence_found}
            row |= {"votes": [int(vote) for vote in verdict.votes]} if verdict.votes else {}
        rows.append(row)
    return sorted(rows, key=lambda row: (row.get("met", False), row["importance"] == "minor"))


def _planted(copy: Planted, sample: Sample) -> dict[str, Any]:
    met = {verdict.rubric_id: verdict.met for verdict in copy.evaluation.verdicts}
    failed = [rubric.id for rubric in sample.metadata.rubrics if not met[rubric.id]]
    about = {"spoiling": label(copy.spoiling).lower(), "fault": copy.fault, "failed": failed, "quality": copy.evaluation.quality_score}
    about["what"] = "Harmless copy" if copy.spoiling in HARMLESS else "Planted failure"
    return about | {"diff": diff(sample.response, copy.response)}


def _twin(sample: Sample, twin: Sample) -> dict[str, Any]:
    """Return the repaired response beside the near miss that it was written from."""
    near, repaired = (twin, sample) if sample.metadata.repaired_from else (sample, twin)
    return {"id": twin.id, "is_near": bool(sample.metadata.repaired_from), "diff": diff(near.response, repaired.response)}


def diff(before: str, after: str) -> list[tuple[int, str]]:
    """Return the words of both texts in order, each run of them with 0 (in both), -1 (only before) or 1 (only after)."""
    one, two = findall(PIECES, before), findall(PIECES, after)
    if len(one) * len(two) > MOST_COMPARED:
        return [(-1, before), (1, after)]
    parts: list[tuple[int, str]] = []
    for name, start, end, start_2, end_2 in SequenceMatcher(None, one, two, autojunk=False).get_opcodes():
        if name == "equal":
            parts.append((0, "".join(one[start:end])))
            continue
        parts += [(-1, "".join(one[start:end]))] if end > start else []
        parts += [(1, "".join(two[start_2:end_2]))] if end_2 > start_2 else []
    return parts


def _lineage(about: SampleMetadata, evaluation: Evaluation | None) -> dict[str, str]:
    """Return where a sample comes from, as names and values that people read."""
    found = {"seed row": str(about.seed_row), "assigned opening": about.style.opening, "assigned closing": about.style.closing}
    found["assigned length"] = "{} to {} words".format(*about.style.words)
    if student := about.student:
        found["student"] = f"{student.voice}; {student.asks}; {student.words[0]} to {student.words[1]} words"
    if checked := about.verification:
        found["verified by"] = checked.model
        found["recomputed equations"] = f"{checked.equations} right, {checked.not_computed} not computable"
        found["verifier's belief"] = checked.belief
    found |= {f"{label(stage).lower()} by": model for stage, model in about.models.items()}
    found |= {"judge": evaluation.model} if evaluation else {}
    digests = about.prompt_sha256 | ({"judge": evaluation.prompt_sha256} if evaluation else {})
    found["prompts"] = ", ".join(f"{label(stage).lower()} {digest[:8]}" for stage, digest in digests.items())
    return found | {"provider": about.provider} | ({"repaired from": about.repaired_from} if about.repaired_from else {})
