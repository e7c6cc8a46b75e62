"""Notebook 02: samples -> gates -> judge -> kept or dropped."""

from lib.filter.gates import gate_samples
from lib.filter.judge import judge_samples
from lib.filter.keep import filter_samples
from lib.filter.topup import top_up_samples
from lib.filter.trial import try_prompt

__all__ = ["filter_samples", "gate_samples", "judge_samples", "top_up_samples", "try_prompt"]
