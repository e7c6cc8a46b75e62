"""Notebook 02: samples -> gates -> judge -> kept or dropped."""
