"""A model's Markdown is shown as a student would see it, and nothing in it runs."""

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import settings as bounded
from hypothesis import strategies as st

from lib.publish.markdown import rendered

ALLOWED = {
    "p", "strong", "em", "del", "code", "pre", "ul", "ol", "li", "blockquote", "br", "hr", "table", "thead", "tbody", "tr", "th", "td",
    "span",
}  # fmt: skip


class Tags(HTMLParser):
    """Collects the tags and attributes of a markup."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[tuple[str, str, str | None]] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found |= {(tag, name, value) for name, value in attrs} or {(tag, "", "")}


def tags_of(markup: str) -> set[tuple[str, str, str | None]]:
    reader = Tags()
    reader.feed(markup)
    return reader.found


def formulas(text: str) -> list[str]:
    return re.findall(r'<span class="tex(?: display)?">(.*?)</span>', rendered(text))


@pytest.mark.parametrize(
    "text",
    [
        "It costs $5 and $6.", "$5-$6", "$4; above 2 kg and $7", "I paid $20 for it and sold it for 30$ then.",
        "a price of $8.", "$1.50–$2.00",
        "($5/$6)", "US$ 5 or A$7", "from $100,000 to $250,000", "$5\n$6", "echo $HOME and $PATH", "\\$x\\$",
    ],
)  # fmt: skip
def test_money_is_no_formula(text: str) -> None:
    assert formulas(text) == []
    assert rendered(text).count("$") == text.count("$")


@pytest.mark.parametrize(
    ("text", "tex"),
    [
        ("Let $x^2 + y_1$ be it.", ["x^2 + y_1"]),
        ("$n$, $2$ and $0.5$", ["n", "2", "0.5"]),
        (r"\(a\) and \[b\]", ["a", "b"]),
        ("$$\\sum_i i$$", ["\\sum_i i"]),
        ("5*3 is $x*y$ and $a_1$ is *not* $b_1$", ["x*y", "a_1", "b_1"]),
        ("It costs $5, so $p = 5$ and not $6.", ["p = 5"]),
        ("$2n+1$ of $1{,}000$", ["2n+1", "1{,}000"]),
    ],
)
def test_a_formula_is_kept_as_it_was_written(text: str, tex: list[str]) -> None:
    assert formulas(text) == tex


def test_code_holds_no_formulas() -> None:
    assert rendered("`$x$` costs") == "<p><code>$x$</code> costs</p>"
    assert rendered("```python\nprice = $a * $b\n```") == "<pre><code>price = $a * $b\n</code></pre>"


def test_markdown_is_rendered() -> None:
    assert (
        rendered("**No**, *you* did:\n\n1. a\n2. b") == "<p><strong>No</strong>, <em>you</em> did:</p>\n<ol>\n<li>a</li>\n<li>b</li>\n</ol>"
    )


def test_a_line_break_stays_one() -> None:
    assert rendered("Before: $75\nAfter: $80") == "<p>Before: $75<br />\nAfter: $80</p>"


HOSTILE = [
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "[a](javascript:alert(1))", "![a](http://example.org/x.png)",
    "<a href='http://example.org'>x</a>", "$<img src=x onerror=alert(1)>$", "\\(</span><script>alert(1)</script>\\)",
    "```\"><script>alert(1)</script>\nx\n```", "[a]: javascript:alert(1)\n\n[a]", "| a |\n|:-|\n| <b onclick=x>1</b> |", "<http://example.org>",
    "\ue0000\ue001", "# <svg onload=alert(1)>",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_text(text: str) -> None:
    assert_harmless(rendered(text))


@bounded(deadline=None, max_examples=200)
@given(
    st.lists(st.sampled_from([*HOSTILE, "$", "`", "*", "_", "\n", "\\", "(", ")", "[", "]", "<", ">", "|", "a", " ", "1"]) | st.text()).map(
        "".join
    )
)
def test_no_text_becomes_a_tag_or_an_attribute_beyond_a_few(text: str) -> None:
    assert_harmless(rendered(text))


def assert_harmless(markup: str) -> None:
    for tag, name, value in tags_of(markup):
        assert tag in ALLOWED, markup
        assert (name, value) in (("", ""), ("class", "tex"), ("class", "tex display")) or (tag, name) == ("ol", "start"), markup


@pytest.mark.parametrize("mark", ["\\(", "$", "`", "~", "$$", "\\[", "*", "[", "```\n"])
def test_many_marks_that_are_never_closed_take_no_long_time(mark: str) -> None:
    """Each may look ahead a bounded way only. Without a bound this takes minutes."""
    assert rendered(mark * 5_000)
