"""Notebook 01: seeds -> plan -> samples."""

from lib.generate.estimate import estimate
from lib.generate.inputs import read_plan
from lib.generate.samples import generate_samples

__all__ = ["estimate", "generate_samples", "read_plan"]
