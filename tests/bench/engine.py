"""The engine against the loopback provider in a process of its own: time, CPU, memory, faults, kills, cost.

Latency is lognormal (mean 0.5 s, sigma 0.4) and belongs to the request, so the schedule that a perfect window would keep can be
simulated from the very latencies that were served: workers, two calls a sample in turn, then judging. Kernels are left out.
"""

import asyncio
import heapq
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pydantic import BaseModel

from lib.filter.judge import to_judge
from lib.filter.judgement import judge_sample
from lib.generate.plan import plan
from lib.generate.samples import make_sample
from lib.generate.seeds import read_seeds
from lib.generate.topics import read_topics
from lib.llm.addresses import Access, address
from lib.llm.answers import reply_or_failure
from lib.llm.ask import call_for
from lib.llm.call import Asked, Call, RawReply, Usage, no_objection
from lib.llm.journal import Journal
from lib.llm.messages import parameters
from lib.llm.provider import Provider, open_provider
from lib.llm.tally import Tally
from lib.prompts.rendering import Prompt, Stage
from lib.run.records import recorded_failures
from lib.run.run import Run
from lib.settings import PROJECT_ROOT, Settings
from tests.answers import digest
from tests.bench.peak import peak_mb
from tests.build import gate, generate, judge
from tests.provider import latency_of

MEAN_S, SIGMA, WIDTH = 0.5, 0.4, 50
SEEDS = read_seeds(PROJECT_ROOT / "data" / "seeds.csv")
TOPICS = read_topics(PROJECT_ROOT / "data" / "topics.csv")
USAGE = Usage(1000, 500)
WITHOUT_GATES = {"planted_share": 0.0, "max_alike_share": 1.0, "length_tolerance": 100.0}  # every sample made is judged once, …
WITHOUT_GATES |= {"verify_scenarios": False, "second_vote": False}  # … after two calls
FAULTS = ("429=0.02", "529=0.02", "cut=0.01", "drop=0.005", "invalid_json=0.005")


@dataclass(frozen=True)
class Served:
    url: str

    def stats(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}/_stats") as reply:
            return json.load(reply)


@contextmanager
def provider(*arguments: str) -> Iterator[Served]:
    command = [sys.executable, "-m", "tests.provider", *arguments]
    process = subprocess.Popen(command, cwd=PROJECT_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        url = json.loads(process.stdout.readline())["url"]
        os.environ |= {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": "bench"}
        yield Served(url)
    finally:
        process.stdin.close()
        process.wait()


@contextmanager
def folder() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as path:
        yield path


def settings(path: str, **values: Any) -> Settings:
    return Settings.of(run="bench", outputs_dir=path, samples_per_seed=4, budget_usd=1e6, max_concurrency=WIDTH, **WITHOUT_GATES, **values)


def gated_and_judged(run_settings: Settings) -> Tally:
    gate(run_settings)
    return judge(run_settings)


@dataclass
class Spent:
    wall_s: float = 0.0
    cpu_s: float = 0.0


@contextmanager
def measured() -> Iterator[Spent]:
    spent, wall, cpu = Spent(), time.monotonic(), time.process_time()
    with redirect_stdout(StringIO()):
        yield spent
    spent.wall_s, spent.cpu_s = time.monotonic() - wall, time.process_time() - cpu


@dataclass
class Replaying:
    """Stands in for `ask`: answers from the journal and notes each request as it was sent."""

    settings: Settings
    journal: Journal
    answering: Provider
    requests: list[dict[str, Any]] = field(default_factory=list)

    def provider(self, stage: Stage) -> Provider:
        return self.answering

    @property
    def models(self) -> dict[Stage, list[Any]]:
        return {"judge": [SimpleNamespace(endpoint=SimpleNamespace(provider=self.answering))]}

    async def __call__(self, stage: Stage, slot: str, prompt: Prompt, answer: type[BaseModel], place: int = 0, **more: Any) -> Any:
        call = call_for(self.settings, stage, model=address(self.settings, stage).model, slot=slot, prompt=prompt, answer=answer, **more)
        self.requests.append(parameters(call))
        return reply_or_failure(call, self.journal.find(call.key(self.answering.id)).raw, replayed=True)


def requests_of(run_settings: Settings) -> tuple[list[list[dict[str, Any]]], list[dict[str, Any]]]:
    """Return what a finished run has sent: two requests a sample, and one judgement each of those that passed the gates."""

    async def collect() -> tuple[list[list[dict[str, Any]]], list[dict[str, Any]]]:
        seeds = {seed.row: seed for seed in SEEDS.seeds}
        with Journal(Run(run_settings).journal) as journal, open_provider(Access("anthropic", "live"), model_names="MODEL") as answering:
            ask = Replaying(run_settings, journal, answering)
            lost = {failure.id for failure in recorded_failures(Run(run_settings))}  # a figure of the benchmark, not its end
            for slot in plan(run_settings, seeds=SEEDS.seeds, topics=TOPICS):
                if slot.id not in lost:
                    await make_sample(ask, slot, seed=seeds[slot.seed_row])  # type: ignore[arg-type]
            made, ask.requests = ask.requests, []
            for sample in to_judge(Run(run_settings)):
                if sample.id not in lost:
                    await judge_sample(ask, sample)  # type: ignore[arg-type]
            return [made[at : at + 2] for at in range(0, len(made), 2)], ask.requests

    return asyncio.run(collect())


def simulated_s(chains: list[list[dict[str, Any]]]) -> float:
    """Return when the last of `chains` ends if WIDTH workers take them in turn and nothing but the provider takes time."""
    free = [0.0] * WIDTH
    for chain in chains:
        latency = sum(latency_of(digest(body), mean_s=MEAN_S, sigma=SIGMA) for body in chain)
        heapq.heapreplace(free, free[0] + latency)
    return max(free)


async def bare_loop(url: str, chains: list[list[dict[str, Any]]]) -> None:
    """The least that the SDK can do: WIDTH workers, no retries, no journal, no checks."""
    import anthropic

    waiting = iter(chains)
    async with anthropic.AsyncAnthropic(base_url=url, api_key="bench", max_retries=0) as client:

        async def worker() -> None:
            for chain in waiting:
                for body in chain:
                    await client.messages.create(**body)

        async with asyncio.TaskGroup() as group:
            for _ in range(WIDTH):
                group.create_task(worker())


def warmed_up(path: str) -> None:
    """Import and render everything once, so that the figures are those of the calls."""
    once = settings(path, num_seeds=1).model_copy(update={"run": "warm", "samples_per_seed": 1})
    with measured():
        generate(once, SEEDS, TOPICS)
        gated_and_judged(once)


def clean(seeds: int = 250) -> Iterator[tuple[str, str, str]]:
    with provider("--latency", str(MEAN_S), "--sigma", str(SIGMA)) as served, folder() as path:
        run_settings = settings(path, num_seeds=seeds)
        warmed_up(path)
        with measured() as ours:
            generate(run_settings, SEEDS, TOPICS)
            gated_and_judged(run_settings)
        made, judged = requests_of(run_settings)
        calls, ideal = 2 * len(made) + len(judged), simulated_s(made) + simulated_s([[body] for body in judged])
        with measured() as bare:
            asyncio.run(bare_loop(served.url, made))
            asyncio.run(bare_loop(served.url, [[body] for body in judged]))
    yield f"wall ÷ simulated schedule, {calls:,} calls", f"{ours.wall_s / ideal:.3f} ({ours.wall_s:.1f} s of {ideal:.1f} s)", "≤ 1.06"
    yield "  the same for a bare SDK loop", f"{bare.wall_s / ideal:.3f}", "–"
    yield "client CPU a call", f"{ours.cpu_s / calls * 1e3:.2f} ms, {ours.cpu_s / bare.cpu_s:.2f} × the bare loop", "≤ 1.4 ×"


def faults(seeds: int = 250) -> Iterator[tuple[str, str, str]]:
    arguments = [part for fault in FAULTS for part in ("--fault", fault)]
    with provider("--latency", str(MEAN_S), "--sigma", str(SIGMA), "--retry-after", "1", *arguments) as served, folder() as path:
        run_settings = settings(path, num_seeds=seeds)
        with measured() as ours:
            made = generate(run_settings, SEEDS, TOPICS)
            judged = gated_and_judged(run_settings)
        chains, judgements = requests_of(run_settings)
        needed = 2 * len(chains) + len(judgements)
        ideal = simulated_s(chains) + simulated_s([[body] for body in judgements])
        stats = served.stats()
    sent = stats["calls"] + sum(stats["rejected"].values())
    yield "6 % mixed faults: wall ÷ ideal", f"{ours.wall_s / ideal:.3f}", "≤ 1.25"
    yield f"  samples lost of {made.total:,}", f"{len(made.failures) + len(judged.failures)}", "0"
    yield "  calls made ÷ needed", f"{sent / needed:.3f}", "≤ 1.08"


def capacity(seeds: int = 250) -> Iterator[tuple[str, str, str]]:
    for name, arguments, best_s in (
        ("admits 20 at a time", ("--admit", "20"), lambda total, calls: total / 20),
        ("bucket of 50 a second", ("--bucket-per-second", "50", "--bucket-size", "50"), lambda total, calls: max(1, calls - 50) / 50),
    ):
        with provider("--latency", str(MEAN_S), "--sigma", str(SIGMA), "--retry-after", "0.5", *arguments) as served, folder() as path:
            run_settings = settings(path, num_seeds=seeds)
            with measured() as ours:
                generate(run_settings, SEEDS, TOPICS)
                gated_and_judged(run_settings)
            made, judged = requests_of(run_settings)
            calls = 2 * len(made) + len(judged)
            total = sum(latency_of(digest(body), mean_s=MEAN_S, sigma=SIGMA) for chain in (*made, judged) for body in chain)
            rejected = sum(served.stats()["rejected"].values())
        yield f"provider {name}: share of its capacity used", f"{best_s(total, calls) / ours.wall_s:.1%}", "> 90 %"
        yield "  rejected calls", f"{rejected / (calls + rejected):.1%}", "< 3 %"


def kill(seeds: int = 100, kills: int = 5) -> Iterator[tuple[str, str, str]]:
    script = (
        "import sys, json; from tests.bench.engine import *; s = Settings.of(**json.loads(sys.argv[1]));"
        "generate(s, SEEDS, TOPICS); gated_and_judged(s)"
    )
    with provider("--latency", str(MEAN_S), "--sigma", str(SIGMA)) as served, folder() as path, folder() as other:
        run_settings, killed = settings(path, num_seeds=seeds), 0
        for moment in sorted(random.Random(1).uniform(1.0, 9.0) for _ in range(kills)):
            child = subprocess.Popen(
                [sys.executable, "-c", script, run_settings.model_dump_json()],
                cwd=PROJECT_ROOT,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
            time.sleep(moment)
            if child.poll() is None:
                killed += 1
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        with measured():
            generate(run_settings, SEEDS, TOPICS)
            gated_and_judged(run_settings)
        repeated = served.stats()["repeated"]
        fresh = settings(other, num_seeds=seeds)
        with measured():
            generate(fresh, SEEDS, TOPICS)
            gated_and_judged(fresh)
        same = all(
            (Run(fresh).dir / name).read_bytes() == (Run(run_settings).dir / name).read_bytes()
            for name in ("tutoring_samples_generated.jsonl", "evaluations.jsonl")
        )
    moments = f"kill -9 at {kills} random moments, {killed} of them before the work was done"
    yield f"{moments}: calls repeated, all together", f"{repeated}", f"≤ {killed * WIDTH}"
    yield "  files equal to those of an uninterrupted run", "yes, byte for byte" if same else "NO", "yes"


@dataclass
class Canned:
    """A transport that answers at once, so that 100,000 slots fit into a few minutes. Memory is the same as with a real one."""

    texts: dict[str, str]
    provider: Provider
    report: Callable[[str], None] = lambda _: None

    remarks: list[str] = field(default_factory=list)

    def holds(self, key: str) -> bool:
        return False

    async def send(self, call: Call[Any], asked: Asked) -> RawReply:
        await asyncio.sleep(0)
        return RawReply(self.texts[call.stage], "end_turn", USAGE, "canned")


def memory(few: int = 1_000, many: int = 100_000) -> Iterator[tuple[str, str, str]]:
    peaks = {}
    for slots in (few, many):
        started = time.monotonic()
        done = subprocess.run(  # a process of its own: its peak is its own
            [sys.executable, "-m", "tests.bench.engine", str(slots)], cwd=PROJECT_ROOT, capture_output=True, check=True
        )
        peaks[slots] = float(done.stdout.split()[-1])
        wall_s = time.monotonic() - started
    growth = peaks[many] / peaks[few] - 1
    yield f"peak memory at {few:,} and {many:,} slots", f"{peaks[few]:.0f} and {peaks[many]:.0f} MB ({growth:+.0%})", "< +20 %"
    yield f"  {many:,} slots, {2 * many:,} replies journalled", f"{wall_s:.0f} s with a transport that answers at once", "–"


def peak(slots: int) -> None:
    """Print the peak memory in MB of generating `slots` samples with canned replies."""
    from lib.generate import samples
    from lib.llm import session
    from tests.provider import Provider as Loopback

    samples.objection_for = lambda _slot: no_objection  # type: ignore[assignment]  # the canned scenario fits one slot only

    with Loopback() as served, folder() as path:
        os.environ |= {"ANTHROPIC_BASE_URL": served.url, "ANTHROPIC_API_KEY": "bench"}
        small = settings(path, num_seeds=1)
        with redirect_stdout(StringIO()):
            generate(small, SEEDS, TOPICS)
            with closing(sqlite3.connect(Run(small).journal)) as journal:
                texts = dict(journal.execute("SELECT stage, text FROM reply"))
            session.LiveTransport = lambda _client, provider, timeout_s, heed: Canned(texts, provider)  # type: ignore[assignment,misc]
            generate(settings(path, num_seeds=slots // 4).model_copy(update={"run": "large"}), SEEDS, TOPICS)
    print(peak_mb())


def wide(seeds: int = 750, width: int = 1000, latency_s: float = 2.0) -> Iterator[tuple[str, str, str]]:
    """A thousand calls in flight, through the transport that is used from nine on."""
    with provider("--latency", str(latency_s), "--sigma", str(SIGMA)) as served, folder() as path:
        warmed_up(path)
        run_settings = settings(path, num_seeds=seeds).model_copy(update={"max_concurrency": width, "budget_usd": 1e9})
        with measured() as ours:
            made = generate(run_settings, SEEDS, TOPICS)
        most = served.stats()["max_in_flight"]
    yield (
        f"{8 * seeds:,} calls of {latency_s:g} s, {width:,} in flight: wall, failures, most in flight",
        f"{ours.wall_s:.0f} s, {len(made.failures)}, {most}",
        "works",
    )


def journal(replies: int = 300_000) -> Iterator[tuple[str, str, str]]:
    """Many replies of 5 kB: how fast the journal takes the first and the last thirtieth of them, and how fast it finds one."""
    raw, part = RawReply("x" * 5000, "end_turn", USAGE, "m", cost_usd=0.01), replies // 30

    async def store(book: Journal, first: int, count: int) -> float:
        numbers = iter(range(first, first + count))
        started = time.monotonic()

        async def worker() -> None:
            for number in numbers:
                await book.store(Asked(digest(number), "seed001_var1", "gold", 0, "m", 0.1), raw, number=1, outcome="ok")

        await asyncio.gather(*(worker() for _ in range(50)))
        return count / (time.monotonic() - started)

    with folder() as path, Journal(Path(path) / "journal.sqlite") as book:
        first = asyncio.run(store(book, 0, part))
        asyncio.run(store(book, part, replies - 2 * part))
        last = asyncio.run(store(book, replies - part, part))
        looked_up = range(0, replies, max(1, replies // 1000))
        started = time.monotonic()
        for number in looked_up:
            assert book.find(digest(number)).outcome == "ok"
        found_us = (time.monotonic() - started) / len(looked_up) * 1e6
    yield f"journal, replies stored a second: first and last {part:,} of {replies:,}", f"{first:,.0f} and {last:,.0f}", "–"
    yield f"  finding one among {replies:,}", f"{found_us:.0f} µs", "–"


def cost(seeds: int = 25) -> Iterator[tuple[str, str, str]]:
    """US dollars a kept sample at list prices. The loopback's texts are shorter than a model's: read the ratios."""
    from lib.llm.budget import price_table
    from tests.build import count, keep

    paid = {}
    for name, mode, cached in (("live", "live", False), ("batch", "batch", False), ("batch with caching", "batch", True)):
        for model in ("claude-opus-5-5", "claude-sonnet-5-5"):
            price_table()["models"][model]["cache_minimum"] = 512 if cached else 100_000
        with provider("--cache-minimum", "1000") as _, folder() as path:
            run_settings = settings(path, num_seeds=seeds).model_copy(update={"mode": mode, "batch_poll_s": 0.2})
            with measured():
                generate(run_settings, SEEDS, TOPICS)
                total = gated_and_judged(run_settings).cost_usd
                keep(run_settings)
            paid[name] = total / count(run_settings)["kept_samples"]
    price_table.cache_clear()
    figures = ", ".join(f"{name} ${each:.4f} ({each / paid['live']:.0%})" for name, each in paid.items())
    yield "cost a kept sample at list prices", figures, "–"


if __name__ == "__main__":
    peak(int(sys.argv[1]))
