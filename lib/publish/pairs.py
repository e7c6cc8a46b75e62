"""A run's samples, and answers of candidates to them -> preference pairs, a better and a worse reply to one student each.

There are three sources. A near miss and its repair differ in the criterion that failed. A kept reply stands against a candidate's answer
to the same row where the judge scores it lower (notebook 5 with ROWS_SIDE=train gives such answers). It is left out when the sample was
made anew since, or judged by another judge, because scores of two judges can't be compared. A spoiled copy against its original
is taken only when `pairs_from_planted` asks for it, because such faults are not those of models. Each pair is on the side of the split on
which its sample is, so that no question is on both sides. Source of the forms: TRL 1.16, OpenAI's preference format.
"""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from lib.filter.examples import example_messages
from lib.filter.keep import Copies, Judged, judged_samples
from lib.filter.scores import weighted_score
from lib.generate.dealing import HARMLESS
from lib.publish.splits import Split
from lib.run.files import is_file, one_line, read_jsonl, whole_file
from lib.run.folder import SIDES, Folder
from lib.run.records import remove
from lib.run.run import Run
from lib.schema import CandidateAnswer, EvaluationRow, Rubric, Sample, Verdict

PairSource = Literal["repair", "candidate", "planted"]


@dataclass(frozen=True, slots=True)
class Reply:
    """A response and what the judge found of it."""

    response: str
    verdicts: tuple[Verdict, ...]

    def met(self) -> set[str]:
        return {verdict.rubric_id for verdict in self.verdicts if verdict.met}


@dataclass(frozen=True, slots=True)
class Pair:
    """Two replies to one student, of which the judge scores the first one higher."""

    id: str
    source: PairSource
    sample: Sample
    chosen: Reply
    rejected: Reply

    @property
    def margin(self) -> Fraction:
        """The difference of TutorBench's scores."""
        better, worse = (weighted_score(self.sample.metadata.rubrics, one.verdicts) for one in (self.chosen, self.rejected))
        return (better or Fraction()) - (worse or Fraction())

    @property
    def deciding(self) -> list[Rubric]:
        """The criteria that the chosen reply meets and the rejected one does not."""
        met = self.chosen.met() - self.rejected.met()
        return [rubric for rubric in self.sample.metadata.rubrics if rubric.id in met]

    def lines(self, form: str) -> list[str]:
        """Return the pair as one line, or as two in the form for KTO."""
        system, user, _ = example_messages(self.sample)
        chosen, rejected = ([{"role": "assistant", "content": one.response}] for one in (self.chosen, self.rejected))
        about = {
            "id": self.id,
            "source": self.source,
            "margin": round(float(self.margin), 4),
            "criteria": [rubric.criteria for rubric in self.deciding],
        }
        entries: list[dict[str, Any]]
        match form:
            case "openai":
                entries = [{"input": {"messages": [system, user]}, "preferred_output": chosen, "non_preferred_output": rejected}]
            case "kto":
                entries = [{"prompt": [system, user], "completion": one, "label": one is chosen} | about for one in (chosen, rejected)]
            case _:
                entries = [{"prompt": [system, user], "chosen": chosen, "rejected": rejected} | about]
        return [one_line(json.dumps(entry, ensure_ascii=False)) for entry in entries]


def write_pairs(run: Run, split: Split) -> dict[str, dict[str, int]]:
    """Write `preferences.jsonl`, and `preferences_validation.jsonl`, and return how many pairs of each source each side has."""
    counts = {side: Counter[str]() for side in SIDES}
    paths = {side: preferences_of(run, side) for side in SIDES}
    form = run.settings.preference_form
    with ExitStack() as files:
        open_files: dict[str, Any] = {}
        for pair in pairs_of(run):
            side = "validation" if pair.sample.id in split.validation else "train"
            if side not in open_files:
                open_files[side] = files.enter_context(whole_file(paths[side]))
            open_files[side].writelines(pair.lines(form))
            counts[side][pair.source] += 1
    for side in SIDES:
        if not counts[side]:
            remove(paths[side])
    return {side: dict(found) for side, found in counts.items() if found}


def preferences_of(folder: Folder, side: str) -> Path:
    return folder.dataset / ("preferences.jsonl" if side == "train" else f"preferences_{side}.jsonl")


def pairs_of(run: Run) -> Iterator[Pair]:
    """Yield the pairs of a filtered run whose better reply is kept, and better by the judge. Its files are read one sample at a time."""
    kept_of = {judged.sample.metadata.repaired_from: judged for judged in judged_samples(run) if judged.sample.metadata.repaired_from}
    answers, copies = _answers(run), Copies(run)
    for judged in judged_samples(run):
        own = _reply(judged)
        if not own:
            continue
        better = kept_of.get(judged.sample.id)
        if better and better.is_kept and (repaired := _reply(better)):
            yield from _pair(judged, "repair", sample=better.sample, chosen=repaired, rejected=own)
        spoiled = [one for one in copies.of(judged.sample) if one.spoiling not in HARMLESS] if run.settings.pairs_from_planted else []
        if not judged.is_kept:
            continue
        for answer in answers.get(EvaluationRow.of(judged.sample), ()):
            if judged.evaluation and answer.evaluation.model == judged.evaluation.model:
                rejected = Reply(answer.response, answer.evaluation.verdicts)
                yield from _pair(judged, "candidate", sample=judged.sample, chosen=own, rejected=rejected, name=answer.id)
        for copy in spoiled:
            rejected = Reply(copy.response, copy.evaluation.verdicts)
            yield from _pair(judged, "planted", sample=judged.sample, chosen=own, rejected=rejected, name=copy.id)


def _pair(judged: Judged, source: PairSource, *, sample: Sample, chosen: Reply, rejected: Reply, name: str = "") -> Iterator[Pair]:
    """Yield the pair, unless the judge scores its second reply as high as the first."""
    pair = Pair(name or judged.sample.id, source, sample, chosen, rejected)
    if pair.margin > 0 and chosen.response != rejected.response:
        yield pair


def _reply(judged: Judged) -> Reply | None:
    return Reply(judged.sample.response, judged.evaluation.verdicts) if judged.evaluation else None


def _answers(run: Run) -> dict[EvaluationRow, list[CandidateAnswer]]:
    """Return the candidates' answers by the row that they answer, as it was asked. There are none before notebook 5."""
    folder, found = Folder(run.evaluation), dict[EvaluationRow, list[CandidateAnswer]]()
    if not is_file(folder.evaluation_answers) or not is_file(folder.evaluation_rows):
        return {}
    rows = {row.id: row for row in read_jsonl(folder.evaluation_rows, EvaluationRow, made_by="05_evaluate")}
    for answer in read_jsonl(folder.evaluation_answers, CandidateAnswer, made_by="05_evaluate"):
        if row := rows.get(answer.row_id):
            found.setdefault(row, []).append(answer)
    return found
