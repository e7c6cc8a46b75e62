"""A training file -> what this kit and three independent checkers say of it: "right", or the first complaint. None needs a network."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from lib.validate.check import validate_file

RIGHT = "right"


def kit(path: Path, *, strict: bool = True) -> str:
    """Return the codes of what is wrong, warnings among them."""
    return ", ".join(validate_file(path, strict=strict).counts) or RIGHT


def kit_general(path: Path) -> str:
    return kit(path, strict=False)


def parallelogram(path: Path) -> str:
    """Return the rules that complain. Its exit code alone would do, but says less."""
    from parallelogram.cli import app
    from typer.testing import CliRunner

    words = ["check", str(path), "--json", "--format", "openai-chat", "--max-seq-len", "65536"]
    done = CliRunner().invoke(app, words)  # in this process: to start one for each file takes longer than all checks together
    try:
        issues = json.loads(done.stdout)["issues"]
    except (ValueError, KeyError):
        return f"fails: {done.exception or done.output}"[:70] if done.exit_code else RIGHT
    return ", ".join(dict.fromkeys(issue["rule"] for issue in issues if issue["severity"] != "info")) or RIGHT


def datasets(path: Path) -> str:
    """Return whether Hugging Face's loader takes the file, and with the features that a chat trainer expects."""
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
    from datasets import List, Value, load_dataset

    wanted = {"messages": List({"role": Value("string"), "content": Value("string")})}
    with TemporaryDirectory() as cache:
        plain = Path(cache) / "train.jsonl"  # it reads a path as a pattern
        plain.write_bytes(path.read_bytes())
        try:
            found = load_dataset("json", data_files=str(plain), split="train", cache_dir=cache)
        except Exception as error:  # noqa: BLE001  # whatever it raises is its verdict
            return f"fails: {type(error).__name__}"
        return RIGHT if dict(found.features) == wanted else f"other features: {found.features}"[:80]


def mistral(path: Path) -> str:
    """Return the first complaint of Mistral's request validator in its mode for fine-tuning, line by line."""
    from mistral_common.exceptions import MistralCommonException
    from mistral_common.protocol.instruct.request import ChatCompletionRequest
    from mistral_common.protocol.instruct.validator import MistralRequestValidatorV3, ValidationMode
    from pydantic import ValidationError

    validator = MistralRequestValidatorV3(mode=ValidationMode.finetuning)
    try:
        for raw in path.read_text(encoding="utf-8").removesuffix("\n").split("\n"):
            value = json.loads(raw)
            request = ChatCompletionRequest(messages=value["messages"], tools=value.get("tools"))
            validator.validate_messages(request.messages, continue_final_message=False)
    except (ValueError, KeyError, TypeError, RecursionError, ValidationError, MistralCommonException) as error:
        return f"{type(error).__name__}"
    return RIGHT


CHECKERS: dict[str, Callable[[Path], str]] = {
    "this kit, strict": kit,
    "this kit, general": kit_general,
    "parallelogram": parallelogram,
    "datasets": datasets,
    "mistral-common": mistral,
}
