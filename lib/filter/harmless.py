"""A response -> copies of it in another form, whose verdict must hold. What a model rewrites is checked by its words and numbers alone.

A judge that drops such a copy of a response that it passes gives a false alarm. Idea: Judge Reliability Harness, arXiv 2603.05399.
"""

import re
from collections.abc import Callable

from lib.generate.benchmark import word_sequences
from lib.prompts.answers import RewrittenAnswer
from lib.schema import Spoiling

# Lists, tables, headings, code, and formulas on lines of their own.
STRUCTURED = re.compile(r"^\s*(?:[-*+>|#]|\d+[.)]|```|\$\$|    )|\\\[", re.MULTILINE)
PARAGRAPHS = re.compile(r"\n\s*\n")
SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
LENGTHS = {"paraphrased": (0.75, 1.3), "longer": (1.15, 1.6)}  # shortest and longest copy ÷ the response, in words
MOST_KEPT = 0.5  # of a paraphrase's 8-word sequences, those that may stand in the response


def laid_out_anew(response: str) -> str:
    """Return the response as one paragraph, or one paragraph a sentence when it is one. It is "" where its layout has a meaning."""
    if STRUCTURED.search(response):
        return ""
    paragraphs = PARAGRAPHS.split(response.strip())
    joined = " ".join(" ".join(paragraph.split()) for paragraph in paragraphs)
    return joined if len(paragraphs) > 1 else "\n\n".join(SENTENCE_END.split(joined))


def says_the_same(original: str, spoiling: Spoiling) -> Callable[[RewrittenAnswer], str]:
    """Return the objection to a copy whose numbers or length differ, or that was hardly rewritten. The objection to others is ""."""
    words, numbers, sequences = len(original.split()), set(NUMBER.findall(original)), set(word_sequences(original))
    low, high = LENGTHS[spoiling]

    def objection(answer: RewrittenAnswer) -> str:
        copy = answer.response
        if set(NUMBER.findall(copy)) != numbers:
            return f"the copy holds other numbers ({', '.join(dict.fromkeys(NUMBER.findall(copy))) or 'none'}) than the reply"
        if not low * words <= (count := len(copy.split())) <= high * words:
            return f"the copy has {count} words, and {low * words:.0f} to {high * words:.0f} were wanted"
        kept = [sequence in sequences for sequence in word_sequences(copy)]
        if spoiling == "paraphrased" and kept and sum(kept) > MOST_KEPT * len(kept):
            return "most of the copy stands in the reply word by word"
        return ""

    return objection
