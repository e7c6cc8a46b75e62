"""A file is written whole or not at all, and what is wrong with one is told in a line that names it, the cause and what to do."""

import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import BaseModel

from lib.generate.seeds import SeedFile
from lib.generate.topics import Topics
from lib.run.files import (
    RunError,
    make_folder,
    read_jsonl,
    read_object,
    read_text,
    remove_unfinished,
    require_writable,
    sha256_of,
    whole_file,
    write_json,
)
from lib.run.lock import held
from lib.run.ordered_lines import OrderedLines
from lib.run.run import Run
from lib.schema import Failure
from lib.settings import PROJECT_ROOT, Settings
from tests.build import generate
from tests.provider import Provider

unhurried = hypothesis_settings(deadline=None, max_examples=60)


class Point(BaseModel):
    x: int


def everything_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# ── a disk on which nothing can be written ───────────────────────────────────────────────────────────────────────────


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with room for 256 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk], capture_output=True, check=False).returncode:
        pytest.skip("a small file system can't be mounted here")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


def fill(disk: Path) -> None:
    with (disk / "filler").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass


def test_on_a_full_disk_the_old_file_stays_and_nothing_is_left_behind(small_disk: Path) -> None:
    path = small_disk / "a.json"
    write_json(path, {"old": 1})
    with pytest.raises(RunError, match=r"a\.json: can't be written \(No space left on device\)\. Free some space"):
        write_json(path, {"new": "x" * 1_000_000})
    assert read_object(path, remedy="") == {"old": 1}
    assert everything_in(small_disk) == ["a.json"]


def test_lines_that_wait_on_a_full_disk_end_in_one_line_too(small_disk: Path) -> None:
    lines = OrderedLines(small_disk)
    with pytest.raises(RunError, match="No space left on device"):
        for index in range(1000):
            lines.add(index, "x" * 10_000 + "\n")
    lines.close()
    assert everything_in(small_disk) == []


def test_on_a_full_disk_no_call_is_paid(
    small_disk: Path, provider: Provider, settings: Settings, seed_file: SeedFile, topics: Topics
) -> None:
    settings = settings.model_copy(update={"outputs_dir": str(small_disk / "outputs")})
    Run(settings).dir.mkdir(parents=True)
    fill(small_disk)
    with pytest.raises(RunError, match="No space left on device"):
        generate(settings)
    assert provider.calls == 0


def test_on_a_read_only_disk_no_call_is_paid(
    small_disk: Path, provider: Provider, settings: Settings, seed_file: SeedFile, topics: Topics
) -> None:
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    settings = settings.model_copy(update={"outputs_dir": str(small_disk / "outputs")})
    with pytest.raises(RunError, match=r"can't be written \(Read-only file system\)\. Choose another outputs_dir"):
        generate(settings)
    assert provider.calls == 0


def test_a_file_above_the_users_limit_is_told_and_nothing_is_left_behind(tmp_path: Path) -> None:
    """As `ulimit -f` sets it."""
    script = (
        "import sys; from pathlib import Path; from lib.run.files import RunError, write_json\n"
        "try: write_json(Path(sys.argv[1]), {'a': 'x' * 100_000})\n"
        "except RunError as error: print(error)"
    )
    said = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "a.json")],
        cwd=PROJECT_ROOT, capture_output=True, text=True, check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)),
    ).stdout  # fmt: skip
    assert f"{tmp_path / 'a.json'}: can't be written (File too large). Raise the limit" in said
    assert everything_in(tmp_path) == []


def a_file(place: Path) -> Path:
    place.write_text("notes", "utf-8")
    return place


def a_dangling_link(place: Path) -> Path:
    place.symlink_to(place.with_name("nowhere"))
    return place


def a_link_to_itself(place: Path) -> Path:
    place.symlink_to(place)
    return place


BAD_PLACES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "a file": (a_file, "move it away"),
    "below a file": (lambda place: a_file(place) / "below", "move it away"),
    "a dangling link": (a_dangling_link, "move it away"),
    "a link to itself": (a_link_to_itself, "move it away"),
    "a name that is too long": (lambda place: place / ("n" * 256), "Choose a shorter name"),
    "where no folder can be made": (lambda _: Path("/proc/tutoring"), "run again"),
}


@pytest.mark.skipif(sys.platform != "linux", reason="the words are Linux's")
@pytest.mark.parametrize("name", BAD_PLACES)
def test_a_place_that_can_hold_no_run_is_named_with_the_cause_and_the_way_out(
    name: str, provider: Provider, settings: Settings, seed_file: SeedFile, topics: Topics, tmp_path: Path
) -> None:
    make, advice = BAD_PLACES[name]
    place = make(tmp_path / "place")
    before = everything_in(tmp_path)
    with pytest.raises(RunError) as caught:
        generate(settings.model_copy(update={"outputs_dir": str(place)}))
    assert str(place) in str(caught.value) and "can't be written (" in str(caught.value) and advice in str(caught.value)
    assert "\n" not in str(caught.value)
    assert provider.calls == 0
    assert [path for path in everything_in(tmp_path) if "n" * 256 not in path and path != "place"] == [p for p in before if p != "place"]


def test_a_folder_in_a_files_place_is_told_and_nothing_is_left_behind(tmp_path: Path) -> None:
    (tmp_path / "a.json").mkdir()
    with pytest.raises(RunError, match=r"a\.json: can't be written \(.*move it away"):
        write_json(tmp_path / "a.json", {})
    assert everything_in(tmp_path) == ["a.json"]


def test_a_name_of_the_longest_length_can_be_written(tmp_path: Path) -> None:
    name = "a" * 250 + ".json"
    write_json(tmp_path / name, {})
    assert everything_in(tmp_path) == [name]


def test_what_fails_in_the_middle_leaves_the_old_file_and_keeps_its_own_error(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"old": 1})
    with pytest.raises(ZeroDivisionError), whole_file(tmp_path / "a.json") as file:
        file.write("half")
        raise ZeroDivisionError
    assert read_object(tmp_path / "a.json", remedy="") == {"old": 1}
    assert everything_in(tmp_path) == ["a.json"]


def test_trying_to_write_leaves_nothing_and_what_a_killed_process_left_goes(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path; from lib.run.files import whole_file\n"
        "with whole_file(Path(sys.argv[1])): os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "sub" / "a.json")], cwd=PROJECT_ROOT, check=False)
    assert len(everything_in(tmp_path)) == 2
    require_writable(tmp_path)
    remove_unfinished(tmp_path)
    assert everything_in(tmp_path) == ["sub"]


def test_a_broken_pipe_is_not_taken_for_a_fault_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(BrokenPipeError), whole_file(tmp_path / "a.txt"):
        raise BrokenPipeError
    assert everything_in(tmp_path) == []


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────

READERS: dict[str, Callable[[Path], object]] = {
    "lines": lambda path: list(read_jsonl(path, Point, made_by="01_generate")),
    "an object": lambda path: read_object(path, remedy="Delete it."),
    "a text": read_text,
    "a digest": sha256_of,
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("place", ["a folder", "below a file", "a link to itself"])
def test_what_is_no_file_is_told_when_it_is_read(reader: str, place: str, tmp_path: Path) -> None:
    path = tmp_path if place == "a folder" else BAD_PLACES[place][0](tmp_path / "place")
    with pytest.raises(RunError, match=r"can't be read \("):
        READERS[reader](path)


@pytest.mark.parametrize(
    "raw", [b"\x1f\x8b\x08\x00cut gz", b'{"x": 1}\n{"x"', b'{"x": "\xff"}', b"", b"[1]", b'{"x": "\\ud800"}', b"[" * 100_000]
)
def test_a_damaged_file_is_named_with_the_line_and_the_remedy(raw: bytes, tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    path.write_bytes(raw)
    if raw:
        with pytest.raises(RunError, match=r"f\.jsonl, line \d: .*\. Run 02_filter again: it writes the file anew\."):
            list(read_jsonl(path, Point, made_by="02_filter"))
    with pytest.raises(RunError, match=r"f\.jsonl: it is not a whole JSON object in UTF-8\. Delete it\."):
        read_object(path, remedy="Delete it.")


def test_a_key_that_is_missing_unknown_or_of_another_type_is_named(tmp_path: Path) -> None:
    path = tmp_path / "failures.jsonl"
    good = '"id": "a", "stage": "gold", "reason": "refusal"'
    for line, said in (
        (f"{{{good}}}", "detail is missing"),
        (f'{{{good}, "detail": "", "more": 1}}', "more is a key that this version does not know"),
        (f'{{{good}, "detail": 3}}', "detail does not fit"),
    ):
        path.write_text(line + "\n", "utf-8")
        with pytest.raises(RunError, match=f"line 1: {said}"):
            list(read_jsonl(path, Failure, made_by="01_generate"))


@unhurried
@given(raw=st.binary(max_size=60) | st.text(st.sampled_from('{}[]":,x1é \n'), max_size=30).map(str.encode))
def test_whatever_is_in_a_file_reading_it_ends_in_a_value_or_in_one_line(raw: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(raw)
    for read in READERS.values():
        try:
            read(path)
        except RunError as error:
            assert str(path) in str(error) and "\n" not in str(error)


# ── lines in order ───────────────────────────────────────────────────────────────────────────────────────────────────


@unhurried
@given(order=st.permutations(range(12)), missing=st.sets(st.integers(0, 11)))
def test_lines_are_written_in_their_order_whatever_order_they_came_in(
    order: list[int], missing: set[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp()
    lines = OrderedLines(folder)
    for index in order:
        if index not in missing:
            lines.add(index, f"line {index} ü\n")
    lines.write(folder / "all")
    lines.write(folder / "part", first=3, last=7)
    lines.close()
    wanted = [index for index in range(12) if index not in missing]
    assert (folder / "all").read_text("utf-8") == "".join(f"line {index} ü\n" for index in wanted)
    assert (folder / "part").read_text("utf-8") == "".join(f"line {index} ü\n" for index in wanted if 3 <= index <= 7)


def test_a_lock_that_can_not_be_made_is_told(tmp_path: Path) -> None:
    settings = Settings.of(outputs_dir=str(tmp_path), run="r")
    make_folder(Run(settings).dir)
    (Run(settings).dir / ".lock").mkdir()
    with pytest.raises(RunError, match=r"\.lock: can't be written"), held(Run(settings)):
        pass
    assert everything_in(Run(settings).dir) == [".lock"]
