"""One reader for every table that a person names: the same file is read, or refused, in the same way whatever it is for.

The format: RFC 4180. Encodings are written by Python's own codecs; the texts are sentences of their languages.
"""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lib.analyze.sheet import read_sheet
from lib.errors import KitError
from lib.generate.benchmark import read_benchmark
from lib.generate.seeds import read_seeds
from lib.generate.tabular import Row, Table, read_table
from lib.generate.text_file import TextFile, decoded, read_bytes
from lib.generate.topics import read_topics


class SheetError(KitError):
    """The error of the reader that these tests stand for."""


def table(folder: Path, content: str | bytes) -> Table:
    path = folder / "my table.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    file = TextFile(path, "table_csv", SheetError)
    return read_table(file, read_bytes(file), required=("name", "text"), optional=("note",))


def rows(folder: Path, content: str | bytes) -> list[Row]:
    return list(table(folder, content).rows)


def texts(folder: Path, content: str | bytes) -> list[str]:
    return [row.cells["text"] for row in rows(folder, content)]


def refusal(folder: Path, content: str | bytes) -> str:
    with pytest.raises(SheetError) as caught:
        rows(folder, content)
    assert str(folder / "my table.csv") in str(caught.value) and "\n" not in str(caught.value)
    return str(caught.value)


# ── encodings ────────────────────────────────────────────────────────────────────────────────────────────────────────

WESTERN = {
    "French": "Pourquoi « 0 » est-il carré ? L’été, déjà… Où ? Ça, c’est sûr — l’œuvre créée.",
    "German": "Größe „über“ der Straße, Äpfel und Öl: 5 € das Stück – nicht schlecht.",
    "Spanish": "¿Qué año? ¡Mañana! La canción del niño pingüino está aquí.",
    "Portuguese": "A solução não é única; as equações são lineares, às vezes NÃO.",
    "Finnish": "Päätös syö hyvää öljyä.",
    "Italian": "Perché è così? Però sarà più facile.",
    "Danish": "Blåbærgrød på en ø og i Århus.",
    "English": "Don’t say “naïve” — it’s 5 °C, and x² is 9.",
}
OTHERS = {
    "GBK of which most is sound UTF-8": ("gbk", "为什么,数学"),
    "GBK": ("gbk", "为什么 7 是奇数?"),
    "two letters of GBK": ("gbk", "数学"),
    "Big5": ("big5", "為什麼 7 是奇數?"),
    "Shift-JIS": ("shift_jis", "なぜ7は奇数ですか"),
    "half-width katakana": ("shift_jis", "ｶﾀｶﾅ"),
    "Korean": ("euc_kr", "왜 7은 홀수입니까"),
    "Windows-1251": ("cp1251", "Почему число 7 нечётное?"),
    "KOI8-R": ("koi8_r", "Почему число 7"),
    "Greek": ("cp1253", "Γιατί το 7 είναι περιττός"),
    "Hebrew": ("cp1255", "למה שבע"),
    "Arabic": ("cp1256", "لماذا سبعة"),
    "Thai": ("cp874", "ทำไม"),
    "Polish": ("cp1250", "Zażółć gęślą jaźń"),
    "Czech": ("cp1250", "Příliš žluťoučký kůň"),
    "Hungarian": ("cp1250", "Árvíztűrő tükörfúrógép"),
    "Turkish": ("cp1254", "Neden yedi tek sayıdır? Çünkü şu"),
    "DOS": ("cp850", "Größe über der Straße"),
} | {f"Mac Roman, {name}": ("mac_roman", text) for name, text in WESTERN.items() if name != "English"}


@pytest.mark.parametrize("text", WESTERN.values(), ids=WESTERN)
def test_a_western_text_in_windows_1252_is_read_with_a_remark_that_names_the_encoding(tmp_path: Path, text: str) -> None:
    found = table(tmp_path, f'name,text\na,"{text}"\n'.encode("cp1252"))
    assert [row.cells["text"] for row in found.rows] == [text]
    (remark,) = found.remarks
    assert "my table.csv" in remark and "Windows-1252" in remark


@pytest.mark.parametrize(("encoding", "text"), OTHERS.values(), ids=OTHERS)
def test_a_text_in_another_encoding_is_refused_and_never_read_as_nonsense(tmp_path: Path, encoding: str, text: str) -> None:
    said = refusal(tmp_path, f'name,text\na,"{text}"\n'.encode(encoding))
    assert "UTF-8" in said and "table_csv" in said


@settings(deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufeff")), mark=st.sampled_from(["utf-8", "utf-8-sig"]))
def test_whatever_is_written_in_utf_8_is_read_as_utf_8(text: str, mark: str) -> None:
    assert decoded(text.encode(mark)) == (text, "UTF-8")


@pytest.mark.parametrize("stray", [b"\xe9", b"\x81", b"\xff", b"\xe2\x80", b"\xed\xa0\x80"])
def test_a_stray_byte_costs_its_own_row_and_no_other(tmp_path: Path, stray: bytes) -> None:
    found = rows(tmp_path, "name,text\na,é — 一 “déjà”\nb,".encode() + stray + " d’été\nc,là\n".encode())
    assert [row.flaw and row.flaw.reason for row in found] == [None, "not_text", None]
    assert [found[0].cells["text"], found[2].cells["text"]] == ["é — 一 “déjà”", "là"]


def test_a_single_stray_byte_in_ascii_that_is_no_letter_costs_its_own_row(tmp_path: Path) -> None:
    assert [bool(row.flaw) for row in rows(tmp_path, b"name,text\na,one\nb,t\x81wo\n")] == [False, True]


def test_a_utf_16_file_that_is_cut_inside_a_character_loses_its_last_row_only(tmp_path: Path) -> None:
    raw = "name,text\na,één\nb,twee".encode("utf-16")[:-1]
    assert [bool(row.flaw) for row in rows(tmp_path, raw)] == [False, True]


# ── separators, lines and rows ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_every_usual_separator_and_every_end_of_line_is_read(tmp_path: Path, separator: str, end: str) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=separator, lineterminator=end).writerows(
        [("name", "text", "note"), ("a", "b, c; d | e", ""), ("f", "g", "")]
    )
    assert texts(tmp_path, text.getvalue()) == ["b, c; d | e", "g"]


@pytest.mark.parametrize("before", ["sep=;\n", "\ufeffsep=;\r\n", '"sep=;"\n', "SEP=;;;\n", "\n\n", ";;\n\n", " \nsep=;\n"])
def test_a_line_that_states_the_separator_and_blank_lines_before_the_header_are_skipped(tmp_path: Path, before: str) -> None:
    assert texts(tmp_path, f"{before}name;text;note\na;b, c;\n") == ["b, c"]


def test_a_stated_separator_may_be_one_that_nobody_would_guess(tmp_path: Path) -> None:
    assert texts(tmp_path, "sep=^\nname^text\na^b,c;d\n") == ["b,c;d"]


def test_a_header_may_hold_other_separators_inside_its_quotes(tmp_path: Path) -> None:
    assert texts(tmp_path, '"name";"text";"note, remarks, anything"\na;b;c\n') == ["b"]


def test_rows_are_counted_as_data_as_in_a_spreadsheet_and_by_their_line(tmp_path: Path) -> None:
    found = rows(tmp_path, 'name,text\n"a\nb",c\n\n,,\nd,e\n')
    assert [(row.number, row.sheet_row, row.line) for row in found] == [(1, 2, 2), (2, 5, 6)]


def test_surplus_cells_are_a_flaw_and_missing_ones_are_empty(tmp_path: Path) -> None:
    found = rows(tmp_path, "name,text,note\na,b,c,d\ne,f\n")
    assert [row.flaw and row.flaw.reason for row in found] == ["surplus_cells", None]
    assert found[1].cells == {"name": "e", "text": "f", "note": ""}


@pytest.mark.parametrize("header", ["name,text,text", "name,text, TEXT ", "text,name,note,note"])
def test_a_column_name_that_stands_twice_is_an_error_that_names_it(tmp_path: Path, header: str) -> None:
    said = refusal(tmp_path, f"{header}\na,b,c\n")
    assert "stands twice" in said and ("text" in said.casefold().split("my table.csv")[1] or "note" in said)


def test_columns_without_a_name_may_stand_more_than_once(tmp_path: Path) -> None:
    assert texts(tmp_path, "name,text,,\na,b,,\n") == ["b"]


# ── cells ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("character", ["\x00", "\x07", "\x08", "\x0b", "\x0c", "\x1b", "\x7f", "\x85", "\x9d"])
def test_a_control_character_in_a_used_cell_is_a_flaw_and_elsewhere_is_none(tmp_path: Path, character: str) -> None:
    filler = "x" * 5_000
    found = rows(tmp_path, f"name,text,other\na,b{character}c,\nd,{filler},g{character}h\n")
    assert [row.flaw and row.flaw.reason for row in found] == ["control_character", None]
    assert f"text: holds the control character U+{ord(character):04X}" in str(found[0].flaw and found[0].flaw.detail)


@pytest.mark.parametrize("character", ["\t", "\n", "\r", "\r\n"])
def test_white_space_in_a_quoted_cell_is_none(tmp_path: Path, character: str) -> None:
    assert texts(tmp_path, f'name,text\na,"b{character}c"\n') == [f"b{character}c"]


@pytest.mark.parametrize(
    "cell",
    [
        *"nan NaN NAN -nan None none NULL null N/A n/a NA <NA> NaT".split(),
        *"#N/A #NA #REF! #VALUE! #NAME? #DIV/0! #NUM! #NULL! #SPILL! Err:502".split(),
        " nan ",
        "\u200b",
        "\u3164",
        "\u00a0\ufeff",
        "\u2028",
    ],
)
def test_a_placeholder_or_an_invisible_cell_is_empty(tmp_path: Path, cell: str) -> None:
    assert texts(tmp_path, f'name,text\na,"{cell}"\n') == [""]


@pytest.mark.parametrize("cell", ["Na", "nano", "none of these", "undefined", "0", "-", "#1", "#REF", "no", "Null hypothesis", "nan nan"])
def test_a_word_that_only_looks_like_a_placeholder_stays(tmp_path: Path, cell: str) -> None:
    assert texts(tmp_path, f"name,text\na,{cell}\n") == [cell]


# ── files that can't be used ─────────────────────────────────────────────────────────────────────────────────────────

NO_TABLES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "empty"),
    "blank": (b"\r\n,,\r\n \r\n", "empty"),
    "a workbook": (b"PK\x03\x04\x14\x00\x06\x00", "not a text file"),
    "a PDF": (b"%PDF-1.7\n1 0 obj << /Type /Catalog >> endobj\n", "a PDF"),
    "a web page": (b"\n<!DOCTYPE html>\n<html><body>name,text</body></html>", "a web page"),
    "noise": (bytes(range(256)) * 40, "not a text file"),
    "other columns": (b"a,b\n1,2\n", "missing column name, text; found a, b"),
    "an open quote": (b'name,text\na,b\nc,"d\ne,f\n', "line 3: not CSV"),
    "a quote inside": (b'name,text\na,"b"c\n', "line 2: not CSV"),
}


@pytest.mark.parametrize(("content", "says"), NO_TABLES.values(), ids=NO_TABLES)
def test_a_file_that_is_no_table_is_one_error_that_says_what_it_is(tmp_path: Path, content: bytes, says: str) -> None:
    assert says in refusal(tmp_path, content)


@pytest.mark.parametrize("name", ["nowhere.csv", ".", "a\x00b.csv", "n" * 300])
def test_a_path_that_cannot_be_read_is_named_with_the_setting(tmp_path: Path, name: str) -> None:
    with pytest.raises(SheetError, match="table_csv"):
        read_bytes(TextFile(tmp_path / name, "table_csv", SheetError))


# ── any bytes, in every use ──────────────────────────────────────────────────────────────────────────────────────────

RUBRICS = json.dumps([{"criteria": "The response must say why — and “how”.", "attributes": {"severity": "critical"}}], ensure_ascii=False)
SEED_ROW = ("Pourquoi 7 est-il impair ?", "Il reste un, toujours.", "Mais “7” est un nombre, donc pair ?", RUBRICS)


def written(*content: tuple[str, ...], separator: str = ",") -> str:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=separator).writerows(content)
    return text.getvalue()


def count_seeds(path: Path) -> int:
    found = read_seeds(path)
    assert sum(found.reasons.values()) == len(found.set_aside)
    numbers = sorted([seed.row for seed in found.seeds] + [row.row for row in found.set_aside])
    assert numbers == list(range(1, len(numbers) + 1))
    for seed in found.seeds:
        seed.model_dump_json().encode("utf-8")
    return len(found.seeds)


READERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "seeds": (count_seeds, written(("PROMPT", "UC1_INITIAL_EXPLANATION", "FOLLOW_UP_PROMPT", "RUBRICS"), SEED_ROW, SEED_ROW)),
    "topics": (read_topics, written(("subject", "topic", "level"), ("finance", "bonds, stocks", ""), ("art", "l’été", "high_school"))),
    "benchmark": (read_benchmark, written(("PROMPT",), ("A ball is thrown up, slows down, and “stops” for one moment at the top.",))),
    "review": (
        read_sheet,
        written(("sample", "response_id", "rubric", "met"), ("s1", "x1", "r1", "yes"), ("s1", "x1", "r2", "")),
    ),
}
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp1252", "latin-1", "mac_roman", "gbk", "shift_jis", "cp1251", "utf-7")
by_use = pytest.mark.parametrize("use", READERS)


def ends_well(use: str, raw: bytes, folder: Path) -> None:
    path = folder / f"{use}.csv"
    path.write_bytes(raw)
    try:
        READERS[use][0](path)
    except KitError as error:
        assert str(path) in str(error) and "\n" not in str(error)
        str(error).encode("utf-8")


@by_use
@settings(deadline=None, max_examples=100)
@given(
    raw=st.binary(max_size=200)
    | st.text(st.sampled_from('[{"a,;\t|\n\r=é\x00\ud800'), max_size=60).map(lambda s: s.encode("utf-8", "replace"))
)
@example(raw=b"\xff\xfe\x00\xd8")
@example(raw=b"sep=\xff\n")
@example(raw=b'{"a": "\\ud800"}')
def test_any_bytes_are_read_or_are_one_error(use: str, raw: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    ends_well(use, raw, tmp_path_factory.getbasetemp())


@by_use
@settings(deadline=None, max_examples=150)
@given(
    encoding=st.sampled_from(ENCODINGS),
    flips=st.lists(st.tuples(st.integers(0, 2_000), st.binary(max_size=3)), max_size=4),
    cut=st.none() | st.integers(0, 400),
)
def test_a_file_that_was_damaged_is_read_or_is_one_error(
    use: str, encoding: str, flips: list[tuple[int, bytes]], cut: int | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    raw = bytearray(READERS[use][1].encode(encoding, "replace"))
    for place, instead in flips:
        raw[place % len(raw) : place % len(raw) + 1] = instead or b"\x00"
    ends_well(use, bytes(raw[:cut]), tmp_path_factory.getbasetemp())


@by_use
def test_each_use_refuses_a_file_in_an_encoding_that_cannot_be_told(use: str, tmp_path: Path) -> None:
    path = tmp_path / f"{use}.csv"
    path.write_bytes((READERS[use][1] + "为什么,数学\r\n").encode("gbk"))
    with pytest.raises(KitError, match="neither UTF-8 nor"):
        READERS[use][0](path)


@by_use
def test_each_use_reads_every_separator(use: str, tmp_path: Path) -> None:
    rows_of = list(csv.reader(io.StringIO(READERS[use][1], newline="")))
    answers = []
    for separator in ",;\t|":
        path = tmp_path / f"{use}.csv"
        path.write_text(written(*map(tuple, rows_of), separator=separator), "utf-8", newline="")
        answers.append(READERS[use][0](path))
    assert all(answer == answers[0] for answer in answers)
