"""The journal keeps what was paid for: through full disks, damaged files, files that are deleted, and writers that end."""

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from lib.errors import KitError
from lib.generate.estimate import estimate
from lib.generate.inputs import Plan
from lib.generate.seeds import SeedFile
from lib.generate.topics import Topics
from lib.llm.call import Asked, RawReply, Usage
from lib.llm.journal import Journal
from lib.llm.journal_file import JournalError
from lib.llm.ledger import ledger
from lib.run.run import Run
from lib.settings import PROJECT_ROOT, Settings
from tests.build import generate
from tests.llm.test_wire import within
from tests.provider import Provider

PAGE = 4096  # bytes of a page of SQLite


def asked(number: int) -> Asked:
    return Asked(f"{number:064x}"[::-1], f"seed{number:03d}_var1", "scenario", 0, "model", 0.1)


async def stored(journal: Journal, number: int, text: str = "x" * 2_000) -> None:
    raw = RawReply(text, "end_turn", Usage(1, 2), "model", request_id=f"req_{number}", cost_usd=0.01)
    await journal.store(asked(number), raw, number=1, outcome="ok")


def store(path: Path, numbers: range) -> None:
    async def all_of_them(journal: Journal) -> None:
        await asyncio.gather(*(stored(journal, number) for number in numbers))

    with Journal(path) as journal:
        asyncio.run(all_of_them(journal))


def in_one_file(path: Path) -> None:
    """Bring everything from the write-ahead log into the file itself."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA journal_mode = DELETE")


# ── trouble that says nothing against the file ───────────────────────────────────────────────────────────────────────

FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from tests.llm.test_journal import store
from lib.errors import KitError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
try:
    store(Path(sys.argv[1]), range(100, 200))
except KitError as error:
    print(error)
"""


@pytest.mark.parametrize("room", [0, 20_000])
def test_a_full_disk_is_one_line_and_leaves_the_journal_as_it_was(room: int, tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    store(path, range(10))
    limit = str(path.stat().st_size + room)
    command = [sys.executable, "-c", FULL_DISK, str(path), limit]
    done = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    assert "Free some space" in done.stdout
    assert not list(tmp_path.glob("*.corrupt-*"))
    with Journal(path) as journal:
        assert journal.remarks == []
        assert all(journal.find(asked(number).key).outcome == "ok" for number in range(10))


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), lambda path: path.symlink_to(path.parent / "no" / "such" / "file")])
def test_what_is_no_file_at_all_is_one_line(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / "journal.sqlite")
    with pytest.raises(JournalError, match=r"journal\.sqlite: can't be opened"), Journal(tmp_path / "journal.sqlite"):
        pass


def test_a_journal_of_a_newer_version_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    store(path, range(3))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(JournalError, match="newer version"), Journal(path):
        pass


# ── damage ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_of_a_damaged_journal_the_readable_replies_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    store(path, range(300))
    in_one_file(path)
    with path.open("r+b") as file:
        file.seek(PAGE * 40)
        file.write(os.urandom(PAGE))
    with Journal(path) as journal:
        found = sum(journal.find(asked(number).key).outcome == "ok" for number in range(300))
        [remark] = journal.remarks
        [aside] = tmp_path.glob("*.corrupt-*")
    assert 280 <= found < 300  # two or three replies lie in a page
    assert f"{found:,} paid replies" in remark and aside.name in remark
    assert ledger(path)[0].calls == found


@pytest.mark.parametrize("content", [b"not a database, but long enough to be one" * 50, b"SQLite format 3\x00" + b"\xff" * 5000])
def test_what_is_no_journal_is_put_aside_and_said(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    path.write_bytes(content)
    with Journal(path) as journal:
        assert journal.spent_usd() == 0
        assert "0 paid replies" in journal.remarks[0]
    assert [aside.read_bytes() for aside in tmp_path.glob("*.corrupt-*")] == [content]


def test_an_empty_journal_is_said(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    path.touch()
    with Journal(path) as journal:
        assert "was empty" in journal.remarks[0]


# ── a file that goes away ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_a_journal_that_is_gone_while_the_run_is_at_work_is_written_again(
    how: str, provider: Provider, settings: Settings, seed_file: SeedFile, topics: Topics
) -> None:
    folder = Run(settings).dir

    def spoil(*arguments: object) -> object:
        if provider.calls == 5:
            for file in folder.glob("journal.sqlite*"):
                file.unlink()
            if how == "replaced":
                Run(settings).journal.write_text("something else")
        return arguments[-1]

    provider.settings.spoil = spoil
    made = generate(settings)
    assert any("has been written again" in remark for remark in made.remarks)
    provider.settings.spoil = None
    again = generate(settings)
    assert (again.asked, again.replayed) == (0, 12)


# ── a writer that fails ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_failure_to_write_ends_every_call_that_waits_and_the_writer_goes_on(tmp_path: Path) -> None:
    async def all_stored(journal: Journal, numbers: range) -> list[BaseException | None]:
        return await asyncio.gather(*(stored(journal, number) for number in numbers), return_exceptions=True)

    path = tmp_path / "journal.sqlite"
    with within(10), Journal(path) as journal:
        with closing(sqlite3.connect(path)) as other:
            other.execute("ALTER TABLE reply RENAME TO moved")
            problems = asyncio.run(all_stored(journal, range(50)))
            assert all(isinstance(problem, JournalError) and "can't be written" in str(problem) for problem in problems)
            other.execute("ALTER TABLE moved RENAME TO reply")
        assert asyncio.run(all_stored(journal, range(50))) == [None] * 50


def test_a_call_that_is_cancelled_while_it_waits_is_in_the_journal_all_the_same(tmp_path: Path) -> None:
    async def cancelled(journal: Journal) -> None:
        task = asyncio.create_task(stored(journal, 1))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

    with within(10), Journal(tmp_path / "journal.sqlite") as journal:
        asyncio.run(cancelled(journal))
        asyncio.run(stored(journal, 2))
        assert journal.find(asked(1).key).outcome == "ok"


def test_an_entry_that_cannot_be_written_fails_its_own_group_and_the_writer_goes_on(tmp_path: Path) -> None:
    """Such an entry is a bug of the kit, so it shows as one."""
    with within(10), Journal(tmp_path / "journal.sqlite") as journal:
        with pytest.raises(UnicodeEncodeError):
            asyncio.run(stored(journal, 1, text="\ud800"))
        asyncio.run(stored(journal, 2))
        assert journal.find(asked(2).key).outcome == "ok"


# ── values that were put in by hand ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE reply SET text = CAST(text AS BLOB)",
        "UPDATE reply SET input = 'many'",
        "UPDATE reply SET cost_usd = x'00'",
        "INSERT INTO shard (at, keys) VALUES ('yesterday', '[]')",
    ],
)
def test_a_value_of_another_type_is_one_line(change: str, tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    store(path, range(3))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(change)
    with pytest.raises(JournalError, match=r"journal\.sqlite: \d rows of the table (reply|shard) were changed by hand"), Journal(path):
        pass
    with pytest.raises(JournalError, match="changed by hand"):
        ledger(path)


# ── files that earlier versions wrote ────────────────────────────────────────────────────────────────────────────────


def test_a_journal_of_an_earlier_version_replays_without_a_call(
    provider: Provider, settings: Settings, seed_file: SeedFile, topics: Topics
) -> None:
    """Earlier versions wrote no `user_version`, and of a batch only the keys of its requests."""
    generate(settings)
    with closing(sqlite3.connect(Run(settings).journal)) as connection, connection:
        connection.execute("PRAGMA user_version = 0")
        connection.execute("""INSERT INTO shard (at, keys, batch_id) VALUES (0, '["abc", "def"]', 'msgbatch_1')""")
    with Journal(Run(settings).journal) as journal:
        [shard] = journal.open_shards()
        assert (shard.batch_id, [shard.custom_id(request.key) for request in shard.requests]) == ("msgbatch_1", ["abc", "def"])
        journal.close_shard(shard)
    again = generate(settings)
    assert (again.asked, again.replayed) == (0, 12)


def test_a_journal_moves_with_its_folder(provider: Provider, settings: Settings, seed_file: SeedFile, topics: Topics) -> None:
    generate(settings)
    moved = settings.model_copy(update={"run": "moved"})
    shutil.copytree(Run(settings).dir, Run(moved).dir)
    assert generate(moved).asked == 0


@pytest.mark.parametrize("damage", [lambda path: path.write_text("text " * 2_000), lambda path: os.truncate(path, 20_000)])
def test_notebook_1_goes_on_with_a_damaged_journal_and_mends_it(
    damage: Callable[[Path], object], provider: Provider, settings: Settings, seed_file: SeedFile, topics: Topics
) -> None:
    """Its estimate comes first, and counts such a run as not measured."""
    generate(settings)
    in_one_file(Run(settings).journal)
    damage(Run(settings).journal)
    assert not estimate(Run(settings), Plan(settings, seed_file, topics)).measured
    made = generate(settings)
    assert made.done == 6
    assert "The journal was damaged" in made.remarks[0]


def damaged(path: Path) -> bytes:
    """Damage one page of a whole journal of 300 replies, and return the file as it is then."""
    store(path, range(300))
    in_one_file(path)
    with path.open("r+b") as file:
        file.seek(PAGE * 40)
        file.write(b"\xa5" * PAGE)
    return path.read_bytes()


def test_a_disk_that_fills_up_while_a_journal_is_mended_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    as_it_was = damaged(path)
    command = [sys.executable, "-c", FULL_DISK, str(path), "60000"]
    done = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, timeout=60)
    assert (done.stderr, "can't be mended" in done.stdout) == ("", True)
    assert path.read_bytes()[100:] == as_it_was[100:]  # SQLite notes in its header of 100 bytes that it was opened
    with Journal(path) as journal:
        assert sum(journal.find(asked(number).key).outcome == "ok" for number in range(300)) >= 280


def test_a_kill_between_the_renames_of_mending_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    store(path, range(3))
    in_one_file(path)
    path.rename(tmp_path / "journal.sqlite.mended")
    with Journal(path) as journal:
        assert all(journal.find(asked(number).key).outcome == "ok" for number in range(3))


def test_a_journal_that_is_gone_is_written_again_although_the_run_failed(
    provider: Provider, settings: Settings, seed_file: SeedFile, topics: Topics
) -> None:
    def spoil(*arguments: object) -> object:
        if provider.calls == 5:
            for file in Run(settings).dir.glob("journal.sqlite*"):
                file.unlink()
        return arguments[-1]

    provider.settings.spoil = spoil
    provider.settings.fault_for = lambda _request, _attempt: "402" if provider.calls >= 8 else None
    with pytest.raises(KitError, match="402"):
        generate(settings.model_copy(update={"max_concurrency": 1}))
    provider.settings.spoil = provider.settings.fault_for = None
    assert generate(settings).replayed >= 8
    assert provider.stats()["repeated"] == 0


@pytest.mark.parametrize(("text", "asked"), [("CAST(x'ff' || text AS TEXT)", 0), ("substr(text, 1, 50)", 1)])
def test_a_reply_that_was_damaged_in_the_journal_costs_at_most_itself(
    text: str, asked: int, provider: Provider, settings: Settings, seed_file: SeedFile, topics: Topics
) -> None:
    """A byte that is no UTF-8 before the JSON does no harm; half a JSON is asked for anew."""
    generate(settings)
    with closing(sqlite3.connect(Run(settings).journal)) as connection, connection:
        connection.execute(f"UPDATE reply SET text = {text} WHERE slot = 'seed001_var1' AND stage = 'gold'")
    again = generate(settings)
    assert (again.done, again.asked, again.replayed) == (6, asked, 12 - asked)
    assert generate(settings).asked == 0
