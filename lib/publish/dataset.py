"""kept samples, their verdicts and the split -> `dataset/`: Parquet with everything, the chat-format lines of each side, a data card.

`datasets.load_dataset("outputs/<run>/dataset")` opens it as it is: the card's header names the Parquet files.
"""

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from lib.filter.examples import example_line, example_messages
from lib.filter.keep import judged_samples
from lib.filter.scores import critical_score, weighted_score
from lib.publish.pairs import write_pairs
from lib.publish.rewards import write_rubrics
from lib.publish.splits import Split
from lib.publish.trainers import write_for_trainers
from lib.run.files import whole_file
from lib.run.folder import SIDES
from lib.run.lock import holding
from lib.run.manifest import update_manifest
from lib.run.records import remove
from lib.run.run import Run
from lib.schema import Evaluation, Sample
from lib.taxonomy import AREA_OF

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_A_GROUP = 1000


@holding
def write_dataset(run: Run, split: Split) -> dict[str, int]:
    """Write the Parquet and JSONL files of each side that has samples, in plan order. Return how many are on each side."""
    with ExitStack() as files:
        sides = {side: _Side(run, side, files=files) for side in SIDES}
        for judged in judged_samples(run):
            if judged.is_kept and judged.evaluation:
                sides["validation" if judged.sample.id in split.validation else "train"].add(judged.sample, judged.evaluation)
        for side in sides.values():
            side.finish()
    counts = {name: side.count for name, side in sides.items()}
    further = {"preferences": write_pairs(run, split), "rubrics": write_rubrics(run, split)}
    write_for_trainers(run, counts=counts)
    strata = {f"{name}={value}": list(sides) for (name, value), sides in split.counts.items()}
    values = {"counts": counts, "groups": split.groups, "validation_share": run.settings.validation_share, "strata": strata, **further}
    update_manifest(run, "dataset", values=values)
    return counts


class _Side:
    """The two files of one side. They are opened with the first sample. A side without samples has none."""

    def __init__(self, run: Run, side: str, *, files: ExitStack) -> None:
        self._table_path, self._lines_path, self._files = run.dataset / "data" / f"{side}.parquet", run.dataset / f"{side}.jsonl", files
        self._rows: list[dict[str, Any]] = []
        self._table: Any = None
        self.count = 0

    def add(self, sample: Sample, evaluation: Evaluation) -> None:
        if self._table is None:
            self._open()
        self._lines.write(example_line(sample))
        self._rows.append(row(sample, evaluation))
        self.count += 1
        if len(self._rows) == ROWS_A_GROUP:
            self._write_rows()

    def finish(self) -> None:
        """Write the rows that are left, or remove the files of an earlier split when there is no sample."""
        if self._rows:
            self._write_rows()
        if not self.count:
            remove(self._table_path)
            remove(self._lines_path)

    def _write_rows(self) -> None:
        import pyarrow as pa

        self._table.write_table(pa.Table.from_pylist(self._rows, schema=schema()))
        self._rows.clear()

    def _open(self) -> None:
        from pyarrow import parquet

        file = self._files.enter_context(whole_file(self._table_path, binary=True))
        self._lines = self._files.enter_context(whole_file(self._lines_path))
        self._table = self._files.enter_context(parquet.ParquetWriter(file, schema(), compression="zstd"))


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
        "student": about.student.voice if about.student else "",
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
        **dict.fromkeys(("student", "opening", "closing", "origin", "repaired_from"), text),
        "seed_row": number,
        **dict.fromkeys(("seed_sha256", "seed_prompt_sha256"), text),
        "generator": pa.list_(text),
        **dict.fromkeys(("judge", "notice"), text),
    }
    return pa.schema(list(columns.items()))
