"""Check any JSONL file of chat-format examples, and report its problems by line and its tokens."""

from lib.validate.check import TrainingFileError, require_valid, validate_file
from lib.validate.report import Report

__all__ = ["Report", "TrainingFileError", "require_valid", "validate_file"]
