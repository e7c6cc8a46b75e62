"""Notebook 01: seeds -> plan -> samples."""
