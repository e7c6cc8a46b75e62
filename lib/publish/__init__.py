"""Notebook 04: kept samples -> train and validation, and a data card."""
