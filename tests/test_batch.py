"""`mode = batch`: the same plan through Message Batches, at half the price, and what happens when it is interrupted."""

import signal
import subprocess
import sys
import time

import pytest

from lib.generate import generate_samples
from lib.judge import judge_samples
from lib.llm.journal import Journal
from lib.plan import Topics
from lib.quality import gate_samples
from lib.run import run_of
from lib.seeds import SeedFile
from lib.settings import PROJECT_ROOT, Settings
from tests.provider import Provider


@pytest.fixture
def batched(settings: Settings) -> Settings:
    return settings.model_copy(update={"mode": "batch", "batch_poll_s": 0.05})


def test_a_plan_in_batches_gives_the_same_bytes_for_half_the_price(
    provider: Provider, settings: Settings, batched: Settings, seed_file: SeedFile, topics: Topics
) -> None:
    provider.settings.cache_minimum = 1_000_000  # whether a prompt is read from the cache depends on timing, and changes the price
    live = settings.model_copy(update={"run": "live"})
    paid = [generate_samples(seed_file, topics, each).cost_usd for each in (live, batched)]
    assert run_of(batched).generated.read_bytes() == run_of(live).generated.read_bytes()
    assert paid[1] == pytest.approx(paid[0] / 2)
    assert provider.stats()["batches"] == 2  # all scenarios, then all gold responses


def test_judging_in_batches_works_the_same_way(provider: Provider, batched: Settings, seed_file: SeedFile, topics: Topics) -> None:
    generate_samples(seed_file, topics, batched)
    gate_samples(batched)
    assert judge_samples(batched).done == 6


@pytest.mark.parametrize("fault", ["errored", "expired", "canceled"])
def test_what_did_not_succeed_in_a_batch_is_asked_again(
    fault: str, provider: Provider, batched: Settings, seed_file: SeedFile, topics: Topics
) -> None:
    provider.settings.batch_faults = {fault: 0.4}
    made = generate_samples(seed_file, topics, batched)
    assert made.done == made.total
    assert provider.stats()["batches"] > 2
    assert provider.stats()["repeated"] == 0


@pytest.mark.parametrize("fault", ["429", "529", "500", "drop"])
def test_an_error_while_creating_never_buys_a_batch_twice(
    fault: str, provider: Provider, batched: Settings, seed_file: SeedFile, topics: Topics
) -> None:
    """A dropped answer leaves open whether the batch was created: it is looked up, not sent again."""
    provider.settings.batch_script = [fault]
    assert generate_samples(seed_file, topics, batched).done == 6
    assert provider.stats()["repeated"] == 0


def test_a_run_killed_while_its_batch_is_under_way_picks_the_batch_up(
    provider: Provider, batched: Settings, seed_file: SeedFile, topics: Topics
) -> None:
    provider.settings.batch_delay_s = 1.5
    script = (
        "import sys; from lib.settings import *; from lib.seeds import *; from lib.plan import *; from lib.generate import *\n"
        "s = Settings.of(**__import__('json').loads(sys.argv[1]))\n"
        "generate_samples(read_seeds(from_root(s.seeds_csv)), read_topics(from_root(s.topics_csv)), s)"
    )
    child = subprocess.Popen([sys.executable, "-c", script, batched.model_dump_json()], cwd=PROJECT_ROOT)
    while not provider.stats()["batches"] and child.poll() is None:
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    made = generate_samples(seed_file, topics, batched)
    assert made.done == 6
    assert provider.stats()["batches"] == 2
    assert provider.stats()["repeated"] == 0


def test_a_batch_that_was_created_before_its_id_was_written_down_is_found_again(
    provider: Provider, batched: Settings, seed_file: SeedFile, topics: Topics
) -> None:
    generate_samples(seed_file, topics, batched)
    run = run_of(batched)
    with Journal(run.journal) as journal:  # as a crash between creating and naming would have left it
        journal._reader.execute("UPDATE shard SET open = 1, batch_id = ''")
        journal._reader.execute("DELETE FROM reply")
        journal._reader.commit()
    assert generate_samples(seed_file, topics, batched).done == 6
    assert provider.stats()["batches"] == 2
