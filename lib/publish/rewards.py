"""Kept samples -> `rubrics.jsonl`: prompts with the criteria of a good reply, for training by reward, such as TRL's GRPO.

Every weight is positive, because trainers refuse others. A ban has one too: it is phrased so that satisfied is good ("must not …").
"""

import json
from collections.abc import Iterator
from pathlib import Path

from lib.filter.examples import example_messages
from lib.publish.splits import Split
from lib.run.files import one_line, whole_file
from lib.run.folder import Folder
from lib.run.records import kept_samples
from lib.run.run import Run
from lib.schema import Sample


def write_rubrics(run: Run, split: Split) -> int:
    """Write `rubrics.jsonl` for the samples of the train side, and return their number."""
    count = 0
    with whole_file(rubrics_of(run)) as file:
        for line in _lines(run, split):
            file.write(line)
            count += 1
    return count


def rubrics_of(folder: Folder) -> Path:
    return folder.dataset / "rubrics.jsonl"


def _lines(run: Run, split: Split) -> Iterator[str]:
    for sample in kept_samples(run):
        if sample.id not in split.validation:
            yield one_line(json.dumps(rubric_entry(sample), ensure_ascii=False))


def rubric_entry(sample: Sample) -> dict[str, object]:
    """Return prompt, rubrics and what the sample is about. Source of the form: Oumi 0.9 and RaR (arXiv 2507.17746)."""
    about = sample.metadata
    return {
        "prompt": example_messages(sample)[:2],
        "rubrics": [{"name": rubric.id, "description": rubric.criteria, "weight": abs(rubric.weight)} for rubric in about.rubrics],
        "metadata": {"id": sample.id, "subject": about.subject, "topic": about.topic, "misconception_type": about.misconception_type},
    }
