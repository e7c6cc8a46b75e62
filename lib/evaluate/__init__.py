"""Notebook 05: candidates and rows -> replies -> judge -> scores with intervals, and paired differences."""

from lib.evaluate.answers import answer_and_judge
from lib.evaluate.estimate import read_task
from lib.evaluate.figures import plot_evaluation
from lib.evaluate.scores import write_scores

__all__ = ["answer_and_judge", "plot_evaluation", "read_task", "write_scores"]
