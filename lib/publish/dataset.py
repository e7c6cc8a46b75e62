"""kept samples, their verdicts and the split -> `dataset/`: Parquet with everything, the chat-format lines of each side, a data card.

`datasets.load_dataset("outputs/<run>/dataset")` opens it as it is: the card's header names the Parquet files.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from typing import TYPE_CHECKING, Any

from lib.filter.examples import example_line, example_messages
from lib.filter.keep import decisions
from lib.filter.scores import critical_score, weighted_score
from lib.publish.splits import Split
from lib.run.files import whole_file
from lib.run.folder import SIDES, Run, holding, remove, run_of
from lib.run.manifest import update_manifest
from lib.schema import Evaluation, Sample
from lib.settings import Settings
from lib.taxonomy import AREA_OF

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_A_GROUP = 1000


@holding
def write_dataset(settings: Settings, split: Split) -> dict[str, int]:
    """Write the Parquet and JSONL files of each side that has samples, in plan order; return how many are on each."""
    run = run_of(settings)
    counts = dict.fromkeys(SIDES, 0)
    for side in SIDES:
        rows = (row for row in _kept(settings) if (row[0].id in split.validation) == (side == "validation"))
        counts[side] = _write_side(run, side, rows)
    strata = {f"{name}={value}": list(sides) for (name, value), sides in split.counts.items()}
    update_manifest(
        run, "dataset", {"counts": counts, "groups": split.groups, "validation_share": settings.validation_share, "strata": strata}
    )
    return counts


def _write_side(run: Run, side: str, rows: Iterator[tuple[Sample, Evaluation]]) -> int:
    import pyarrow as pa
    from pyarrow import parquet

    paths = run.dataset / "data" / f"{side}.parquet", run.dataset / f"{side}.jsonl"
    first = next(rows, None)
    if first is None:
        for path in paths:
            remove(path)
        return 0
    count, chunk = 0, [first, *islice(rows, ROWS_A_GROUP - 1)]
    with ExitStack() as files:
        table_file = files.enter_context(whole_file(paths[0], binary=True))
        lines = files.enter_context(whole_file(paths[1]))
        table = files.enter_context(parquet.ParquetWriter(table_file, schema(), compression="zstd"))
        while chunk:
            table.write_table(pa.Table.from_pylist([row(*pair) for pair in chunk], schema=schema()))
            lines.writelines(example_line(sample) for sample, _ in chunk)
            count, chunk = count + len(chunk), list(islice(rows, ROWS_A_GROUP))
    return count


def _kept(settings: Settings) -> Iterator[tuple[Sample, Evaluation]]:
    for sample, evaluation, decision in decisions(settings):
        if decision.status == "kept" and evaluation:
            yield sample, evaluation


def row(sample: Sample, evaluation: Evaluation) -> dict[str, Any]:
    """Return the Parquet row: the training example first, then what it is about, how it was judged and where it came from."""
    about = sample.metadata
    score, weighted = critical_score(sample, evaluation), weighted_score(about.rubrics, evaluation.verdicts)
    return {
        "id": sample.id,
        "messages": example_messages(sample),
        "subject": about.subject,
        "area": AREA_OF.get(about.subject, "Other"),
        "topic": about.topic,
        "level": about.level,
        "misconception_type": about.misconception_type,
        "misconception": about.misconception,
        "question": about.question,
        "explanation": about.explanation,
        "follow_up": about.follow_up,
        "response": sample.response,
        "rubrics": [
            {"id": rubric.id, "criteria": rubric.criteria, "weight": rubric.weight, **rubric.attributes.model_dump()}
            for rubric in about.rubrics
        ],
        "verdicts": [verdict.model_dump(exclude={"votes"}) | {"votes": list(verdict.votes)} for verdict in evaluation.verdicts],
        "critical_passed": score.passed,
        "critical_total": score.total,
        "weighted_score": None if weighted is None else float(weighted),
        "quality_score": evaluation.quality_score,
        "strengths": list(evaluation.strengths),
        "weaknesses": list(evaluation.weaknesses),
        "opening": about.style.opening,
        "closing": about.style.closing,
        "origin": about.origin,
        "repaired_from": about.repaired_from,
        "seed_row": about.seed_row,
        "seed_sha256": about.seed_sha256,
        "seed_prompt_sha256": about.seed_prompt_sha256,
        "generator": sorted(set(about.models.values())),
        "judge": evaluation.model,
        "notice": about.notice,
    }


def schema() -> "pa.Schema":
    """Return the columns, the same ones for every run."""
    import pyarrow as pa

    text, number = pa.string(), pa.int32()
    rubric = [(name, text) for name in ("id", "criteria")] + [("weight", number)]
    rubric += [(name, text) for name in ("severity", "tutoring_skill", "eval_dimension", "explicitness", "objectivity")]
    verdict = [("rubric_id", text), ("met", pa.bool_()), ("reasoning", text), ("evidence", text), ("evidence_found", pa.bool_())]
    columns = {
        "id": text,
        "messages": pa.list_(pa.struct([("role", text), ("content", text)])),
        **dict.fromkeys(("subject", "area", "topic", "level", "misconception_type", "misconception"), text),
        **dict.fromkeys(("question", "explanation", "follow_up", "response"), text),
        "rubrics": pa.list_(pa.struct(rubric)),
        "verdicts": pa.list_(pa.struct([*verdict, ("votes", pa.list_(pa.bool_()))])),
        "critical_passed": number,
        "critical_total": number,
        "weighted_score": pa.float64(),
        "quality_score": number,
        "strengths": pa.list_(text),
        "weaknesses": pa.list_(text),
        **dict.fromkeys(("opening", "closing", "origin", "repaired_from"), text),
        "seed_row": number,
        **dict.fromkeys(("seed_sha256", "seed_prompt_sha256"), text),
        "generator": pa.list_(text),
        **dict.fromkeys(("judge", "notice"), text),
    }
    return pa.schema(list(columns.items()))
