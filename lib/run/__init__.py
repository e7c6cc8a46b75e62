"""A run: its settings, its folder, its files and its manifest."""

from lib.run.files import RunError
from lib.run.records import write_report
from lib.run.run import Run, open_run

__all__ = ["Run", "RunError", "open_run", "write_report"]
