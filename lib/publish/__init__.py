"""Notebook 04: kept samples -> train and validation, and a data card. For notebook 02, the page on which people browse them."""

from lib.publish.card import write_card
from lib.publish.dataset import write_dataset
from lib.publish.page import write_page
from lib.publish.splits import split_samples

__all__ = ["split_samples", "write_card", "write_dataset", "write_page"]
