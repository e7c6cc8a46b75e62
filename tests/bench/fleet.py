"""A fleet of model servers on a local Ray cluster of two nodes, one of which is killed when half of the samples are made.

Four replicas of a stub stand behind the one address of Ray Serve. The kit makes a run there twice, undisturbed and with the kill, in a
process of its own. The figures come from the files of both runs and from what the replicas have noted. It needs the extra `fleet`.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from importlib.util import find_spec
from io import StringIO
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from lib.run.run import Run
from lib.settings import PROJECT_ROOT, Settings
from tests.bench import engine
from tests.bench.replica import MODEL, Replica, Served, served_by
from tests.build import gate, generate, judge

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

REPLICAS, AT_ONCE = 4, 6  # half of the replicas on each node; how many requests each works on at a time
MEAN_S = 0.33  # of the latency, whose median is 0.3 s
REPLY_S = 0.05  # the longest way of a reply back to the kit
FILES = ("tutoring_samples_generated.jsonl", "gated.jsonl", "evaluations.jsonl", "failures.jsonl")
ENVIRONMENT = {
    "PYTHONPATH": str(PROJECT_ROOT),  # because the replicas' processes import `tests`
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # keeps Ray on loopback, on Linux too
    "RAY_SERVE_PROXY_PREFER_LOCAL_NODE_ROUTING": "0",  # else the proxy sends everything to the replicas of its own node
}


@dataclass(frozen=True)
class Fleet:
    """The running cluster. Serve's proxy is on the head node, which stays."""

    cluster: "Cluster"
    url: str
    notes: Path

    def served(self, since_s: float) -> list[Served]:
        """Return the requests that have come since then."""
        return [one for notes in self.notes.iterdir() for one in served_by(notes) if one.came_s >= since_s]

    def kill_node(self) -> tuple[str, float]:
        """Kill all processes of the second node with SIGKILL. Return its id and the time."""
        (node,), now_s = self.cluster.worker_nodes, time.time()
        for notes in self.notes.glob(f"{node.node_id}-*"):  # because Ray kills its own, and the replicas would live on for up to a second
            os.kill(int(notes.stem.partition("-")[2]), signal.SIGKILL)
        self.cluster.remove_node(node, allow_graceful=False)
        return node.node_id, now_s


@contextmanager
def fleet_of(replicas: int, *, mean_s: float) -> Iterator[Fleet]:
    """Start two nodes that hold half of the replicas each. There is no room to start a lost replica anew."""
    os.environ |= ENVIRONMENT
    import ray
    from ray import serve
    from ray.cluster_utils import Cluster

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with engine.folder() as of_ray, engine.folder() as notes:
        node = {"num_cpus": 1, "resources": {"place": replicas // 2}}
        cluster = Cluster(initialize_head=True, head_node_args=node | {"include_dashboard": False, "temp_dir": of_ray})
        try:
            cluster.add_node(**node)
            ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
            serve.start(proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": port})
            options = {"num_replicas": replicas, "max_ongoing_requests": 10**9}  # as many as `ray.serve.llm` sends to an engine
            deployment = serve.deployment(Replica, **options, ray_actor_options={"num_cpus": 0, "resources": {"place": 1}})
            serve.run(deployment.bind(notes, at_once=AT_ONCE, mean_s=mean_s))
            yield Fleet(cluster, f"http://127.0.0.1:{port}/v1", Path(notes))
        finally:
            serve.shutdown()
            ray.shutdown()
            cluster.shutdown()


@dataclass(frozen=True)
class Made:
    """A run that the kit has made. The spans are those of generating and of judging, without what is between them."""

    spans: list[tuple[float, float]]
    served: list[Served]
    killed_node: str
    killed_s: float

    @property
    def repeated(self) -> int:
        """Return how many requests came to a replica again."""
        return len(self.served) - len({one.body_hash for one in self.served})

    @property
    def in_flight(self) -> int:
        """Return how many requests of the killed node had not ended when the kill began, or just had, with the reply on its way."""
        return sum(one.node == self.killed_node and one.ended_s > self.killed_s - REPLY_S for one in self.served)

    @property
    def wall_s(self) -> float:
        return sum(until_s - since_s for since_s, until_s in self.spans)

    @property
    def share_used(self) -> float:
        """Return which share of the other replicas' capacity was used in the spans after the kill."""
        spans = [(max(since_s, self.killed_s), until_s) for since_s, until_s in self.spans]
        busy_s = sum(one.busy_s(*span) for one in self.served for span in spans if one.node != self.killed_node)
        return busy_s / (REPLICAS // 2 * AT_ONCE * sum(until_s - since_s for since_s, until_s in spans))


def made(running: Fleet, settings: Settings, *, kill_after: float = inf) -> Made:
    """Let the kit make a run in a process of its own. Kill the second node after so many answers."""
    began_s, node, killed_s = time.time(), "", inf
    command = [sys.executable, "-m", "tests.bench.fleet", settings.model_dump_json()]
    environment = os.environ | {"OPENAI_BASE_URL": running.url, "OPENAI_API_KEY": "bench"}
    with subprocess.Popen(command, cwd=PROJECT_ROOT, env=environment, stdout=subprocess.PIPE, text=True) as child:
        while child.poll() is None:
            if not node and kill_after < inf and sum(one.ended_s < inf for one in running.served(began_s)) >= kill_after:
                node, killed_s = running.kill_node()
            time.sleep(0.1)
        if child.returncode:
            raise subprocess.CalledProcessError(child.returncode, command)
        return Made(json.load(child.stdout), running.served(began_s), node, killed_s)


def main(settings: Settings) -> None:
    """Generate, gate and judge. Print when generating and judging began and ended."""
    spans = []
    with redirect_stdout(StringIO()):
        for step in (generate, gate, judge):
            began_s = time.time()
            step(settings)
            spans.append((began_s, time.time()))
    print(json.dumps([spans[0], spans[2]]))


def fleet(seeds: int = 250, mean_s: float = MEAN_S) -> Iterator[tuple[str, str, str]]:
    if not find_spec("ray"):
        sys.exit("The benchmark fleet needs Ray Serve, in an environment of its own. How to make one is in tests/bench/README.md.")
    samples, models = 4 * seeds, {"provider": "openai", "model": MODEL, "judge_model": MODEL, "price_usd_per_mtok": "0/0"}
    quiet = redirect_stdout(StringIO())  # Ray prints what happens to its nodes
    with quiet, engine.folder() as one, engine.folder() as other, fleet_of(REPLICAS, mean_s=mean_s) as running:
        calm, struck = (engine.settings(path, num_seeds=seeds, **models) for path in (one, other))
        undisturbed, disturbed = made(running, calm), made(running, struck, kill_after=samples)  # half of the two calls a sample
        lost = samples - len(Run(struck).evaluations.read_bytes().splitlines())
        same = all((Run(calm).dir / name).read_bytes() == (Run(struck).dir / name).read_bytes() for name in FILES)
    yield f"{REPLICAS} replicas on 2 nodes, one killed half-way: samples lost of {samples:,}", f"{lost}", "0"
    yield "  calls repeated; in flight on the killed node", f"{disturbed.repeated}; {disturbed.in_flight}", "≤ in flight"
    yield "  share of the other replicas' capacity used from then on", f"{disturbed.share_used:.1%}", "≥ 90 %"
    yield "  files equal to those of an undisturbed run", "yes, byte for byte" if same else "NO", "yes"
    yield "  generating and judging: undisturbed, with the kill", f"{undisturbed.wall_s:.0f} s, {disturbed.wall_s:.0f} s", "–"


if __name__ == "__main__":
    main(Settings.of(**json.loads(sys.argv[1])))
