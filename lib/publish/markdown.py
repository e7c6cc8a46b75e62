"""A model's Markdown -> HTML that is safe to show, as a student would see it.

No link, image or HTML of the text survives. A formula becomes `<span class="tex">`, or `class="tex display"` on
a line of its own, with its LaTeX as text, for the page to typeset. A dollar sign before an amount of money begins no formula.
"""

import re
from functools import cache
from html import escape
from typing import Any

# Code first, because what looks like a formula in it is none. Lengths are bounded, so that no text takes long.
PIECES = re.compile(
    r"^(?P<fence>`{3,}+|~{3,}+)[^\n]*+\n.*?(?:^(?P=fence)[^\n]*$|\Z)"
    r"|(?<!`)(?P<ticks>`{1,8})(?!`)[^`].{0,2000}?(?<!`)(?P=ticks)(?!`)"
    r"|\$\$(?P<display>.{1,4000}?)\$\$|\\\[(?P<brackets>.{1,4000}?)\\\]|\\\((?P<parens>.{1,2000}?)\\\)"
    r"|(?<![\w\\$])\$(?=[^\s$])(?P<inline>(?:\\.|[^$\\\n]){1,1000}?)(?<=\S)\$(?![\w$])",
    re.DOTALL | re.MULTILINE,
)
MONEY = re.compile(r"[\d.,]+(?:\s*(?:and|to|or|per|for|a|an|in|of|more|less|each|-|–)\b|\s+[A-Za-z]{2,}|\s*[-–,;:)]+$)")
OF_FORMULAS = re.compile(r"[\\^_={}<>+*/]")
OPEN, CLOSE = "\ue000", "\ue001"  # around the number of a formula while the text is Markdown; taken out of the text before
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ue000\ue001]")
PLACE = re.compile(f"{OPEN}(\\d+){CLOSE}")


def rendered(text: str) -> str:
    """Return the text as HTML."""
    formulas: list[tuple[str, str]] = []  # the class, and the LaTeX

    def put_aside(found: re.Match[str]) -> str:
        tex = found["display"] or found["brackets"]
        if tex is None and not (tex := found["parens"] or found["inline"]):
            return found[0]  # code
        if found["inline"] and MONEY.match(tex) and not OF_FORMULAS.search(tex):
            return found[0]
        formulas.append(("tex display" if found["display"] or found["brackets"] else "tex", tex.strip()))
        return f"{OPEN}{len(formulas) - 1}{CLOSE}"

    markup = str(_markdown()(PIECES.sub(put_aside, UNPRINTABLE.sub("", text))))

    def put_back(found: re.Match[str]) -> str:
        name, tex = formulas[int(found[1])]
        return f'<span class="{name}">{escape(tex)}</span>'

    return PLACE.sub(put_back, markup).strip()


@cache
def _markdown() -> Any:
    import mistune

    class Renderer(mistune.HTMLRenderer):
        """Mistune's own renderer without links, images and attributes."""

        def link(self, text: str, **attrs: Any) -> str:  # type: ignore[override]  # its attributes are passed by name
            return text if text == escape(attrs["url"]) else f"{text} ({escape(attrs['url'])})"

        def image(self, text: str, **attrs: Any) -> str:  # type: ignore[override]
            return f"[image: {text}]"

        def block_code(self, code: str, info: str | None = None) -> str:
            return f"<pre><code>{escape(code)}</code></pre>\n"

        def heading(self, text: str, level: int, **attrs: Any) -> str:
            return f"<p><strong>{text}</strong></p>\n"  # so that a reply has no headings above those of the page

        def list(self, text: str, ordered: bool, **attrs: Any) -> str:
            start = f' start="{int(attrs["start"])}"' if attrs.get("start") else ""
            return f"<ol{start}>\n{text}</ol>\n" if ordered else f"<ul>\n{text}</ul>\n"

    def table_cell(_: Any, text: str, *, head: bool = False, **__: Any) -> str:
        name = "th" if head else "td"
        return f"<{name}>{text}</{name}>\n"

    renderer = Renderer(escape=True)
    markdown = mistune.create_markdown(
        renderer=renderer, hard_wrap=True, plugins=["strikethrough", "table"]
    )  # people break lines on purpose
    renderer.register("table_cell", table_cell)  # after the plugin, whose own cells have style attributes
    return markdown
