"""Notebook 04: kept samples -> train and validation, and a data card."""

from lib.publish.card import write_card
from lib.publish.dataset import write_dataset
from lib.publish.splits import split_samples

__all__ = ["split_samples", "write_card", "write_dataset"]
