"""A server that is not ours: llama.cpp's own routes, of which one honours schemas and the other ignores them."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Literal

import pytest
from pydantic import BaseModel

from lib.llm.call import ProviderError, Reply
from lib.llm.embedded.process import embedded_model_file
from lib.llm.ledger import ledger
from lib.llm.loop import Stopping
from lib.llm.session import open_asker
from lib.prompts.rendering import Prompt
from lib.run.run import Run
from lib.settings import PROJECT_ROOT, Settings

pytestmark = pytest.mark.skipif(find_spec("xllamacpp") is None, reason="llama.cpp is not installed (make model)")
SERVER = """
import sys, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.n_ctx, params.n_parallel, params.verbosity, params.ui = sys.argv[1], 2048, 1, 1, False
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
"""
QUESTION = Prompt("You are a teacher.", "Is the sum of two odd numbers odd or even?")


class Parity(BaseModel):
    parity: Literal["odd", "even"]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    command = [sys.executable, "-c", SERVER, str(embedded_model_file())]
    environment = os.environ | {"OMP_WAIT_POLICY": "passive"}  # see lib/llm/embedded/process.py
    with (tmp_path_factory.mktemp("log") / "stderr").open("w") as log:
        server = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, cwd=PROJECT_ROOT, env=environment
        )
        assert server.stdin and server.stdout
        try:
            yield server.stdout.readline().strip()
        finally:
            server.stdin.close()
            server.wait(10)


@pytest.fixture
def there(settings: Settings) -> Settings:
    models = dict.fromkeys(("model", "judge_model", "verifier_model"), "SmolLM2")
    return settings.model_copy(update=models | {"price_usd_per_mtok": "0/0", "gold_effort": "", "max_tokens": 256})


def answered(settings: Settings) -> Reply[Parity]:
    Run(settings).dir.mkdir(parents=True, exist_ok=True)

    async def one() -> Reply[Parity]:
        async with open_asker(settings, journal=Run(settings).journal, stopping=Stopping()) as ask:
            return await ask("gold", "seed001_var1", prompt=QUESTION, answer=Parity)

    return asyncio.run(one())


def test_its_chat_completions_honour_schemas(address: str, there: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", address)
    assert answered(there).answer.parity in ("odd", "even")
    used = {line.stage: line.usage.output for line in ledger(Run(there).journal)}
    assert set(used) == {"canary", "gold"} and min(used.values()) > 0


def test_its_messages_ignore_them_which_is_one_line_before_anything_else_is_asked(
    address: str, there: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", address)
    with pytest.raises(ProviderError, match=r"ignores structured outputs \(output_config\.format\)"):
        answered(there)
    assert [line.stage for line in ledger(Run(there).journal)] == ["canary"]
