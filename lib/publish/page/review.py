"""A judged run -> `review.html`, the form in which people say of each critical criterion whether a response meets it.

The samples and criteria are those of `review.csv`. Neither verdicts nor severities are in the file.
"""

from collections.abc import Mapping
from pathlib import Path

from lib.analyze.sheet import Criterion, Written, answers_so_far, reviewed_criteria, to_review
from lib.publish.markdown import rendered
from lib.publish.page.entries import Entry
from lib.publish.page.html import Chunks, write_html
from lib.run.lock import holding
from lib.run.run import Run
from lib.schema import Sample


@holding
def write_review_form(run: Run) -> Path:
    """Write the form and return its path. Raises ReviewError when no sample has been judged."""
    answers, seed = answers_so_far(run), run.settings.random_seed
    entries = (_entry(sample, random_seed=seed, answers=answers) for sample in to_review(run).samples)
    write_html(run.review_form, mode="review", title=run.settings.run, chunks=Chunks(entries, columns=("id",)), summary={})
    return run.review_form


def _entry(sample: Sample, *, random_seed: int, answers: Mapping[Criterion, Written]) -> Entry:
    about = sample.metadata
    texts = {
        "id": sample.id,
        "response_id": sample.response_id,
        "question": rendered(about.question),
        "explanation": rendered(about.explanation),
        "follow_up": rendered(about.follow_up),
        "response": rendered(sample.response),
        "criteria": [
            {"id": rubric.id, "text": rubric.criteria, "met": answers.get((sample.id, sample.response_id, rubric.id), ("", ""))[0]}
            for rubric in reviewed_criteria(sample, random_seed)
        ],
    }
    return Entry((sample.id,), texts)
