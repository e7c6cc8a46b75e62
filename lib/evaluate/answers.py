"""Rows and candidates -> their replies and the judge's verdicts on them, in `evaluation/` of the run's folder.

A candidate answers in plain text. The judge of notebook 2 decides each criterion. Every reply is journalled, so that the same
command goes on where it was stopped. The budget is that of the evaluation alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from lib.errors import counted
from lib.evaluate.estimate import Task
from lib.evaluate.questions import EvaluationFolder, Question, as_sample, prompt_of
from lib.evaluate.rows import Rows
from lib.filter.judgement import judge_sample
from lib.llm.ask import Asker
from lib.llm.tally import Tally
from lib.llm.work import Pass, work_through
from lib.prompts.answers import PlainAnswer
from lib.run.files import make_folder, write_jsonl
from lib.run.lock import holding
from lib.run.manifest import update_manifest
from lib.run.run import Run
from lib.schema import CandidateAnswer


def answer_and_judge(run: Run, task: Task) -> Tally:
    """Let every candidate answer every row and the judge judge it, or replay it. Write `evaluation/rows.jsonl` and `answers.jsonl`.

    Raises NothingToEvaluate without a candidate, RunFailed when fewer than `min_call_success` could be answered and judged, and
    ProviderError when no call can succeed.
    """
    folder = EvaluationFolder(run)
    make_folder(folder.dir)
    return _work(folder, task=task)


@holding
def _work(folder: EvaluationFolder, *, task: Task) -> Tally:
    rows, candidates = task.rows_asked, task.candidates
    questions = list(_questions(rows, candidates, named=folder.settings.candidates.split(",")))

    async def answer(ask: Asker, question: Question) -> tuple[CandidateAnswer]:
        reply = await ask("answer", question.id, prompt=prompt_of(question.row), answer=PlainAnswer, place=question.place)
        judged = await judge_sample(ask, as_sample(question, response=reply.answer.text))
        return (
            CandidateAnswer(
                id=question.id,
                row_id=question.row.id,
                candidate=question.candidate,
                model=reply.model,
                response=reply.answer.text,
                evaluation=judged,
            ),
        )

    work = Pass(
        verb="answered and judged",
        things=questions,
        total=len(questions),
        make=answer,
        targets={CandidateAnswer: folder.evaluation_answers},
        is_own=lambda failure: failure.stage in ("answer", "judge"),
        stages=("answer", "judge"),
        opens=("answer", "judge", "criterion"),
    )
    tally = work_through(folder, work)
    note = f"{counted(len(rows), 'row')} for each of {counted(len(candidates), 'candidate')}"
    tally = replace(tally, note=note)
    if not tally.keeps_files:
        write_jsonl(folder.evaluation_rows, rows)
        about = {"source": rows.source, "is_own": rows.is_own, "set_aside": rows.set_aside, "not_drawn": rows.not_drawn}
        update_manifest(folder, "evaluation", values={"candidates": candidates, "rows": about, **tally.section(folder)})
    return tally.require_enough(folder)


def _questions(rows: Rows, candidates: Sequence[str], *, named: list[str]) -> Iterator[Question]:
    """Yield the rows one after the other, each for all candidates, so that a part of them compares them already."""
    for row in rows:
        yield from (Question(row, candidate, named.index(candidate)) for candidate in candidates)
