"""A criterion and its scenario -> whether it is so general that it would fit any other scenario as well.

A rubric of such criteria can't tell a good reply from a bad one, because a fluent reply about anything meets it. What is general is told by
words alone. A criterion is not general when it shares a word of some content with the scenario, or holds a name, a number or a formula.
Tried on the kit's 250 seeds (Nov 2026), it finds 3 of 1,315 demands general, and no rubric.
"""

import re

from lib.filter.faults import is_of_tone
from lib.schema import Rubric, Sample

WORD = re.compile(r"[a-z]{3,}")
STEM = 5  # letters that two forms of a word share, without the s of a plural
# Code, a formula, a number, a quotation, a single letter as a symbol, or a capital that begins no sentence.
SPECIFIC = re.compile(r"[`$=|\\“\"0-9]|(?<![’'])\b[A-Zb-hj-z]\b|(?<=[a-z,] )[A-Z]")
USUAL = frozenset(
    """
    about accept accurate accurately acknowledge acknowledges address addresses affirm affirming agree all and answer answers any
    approach appropriate are attempt avoid back based because before belief believe both but can check clarify clear clearly
    conclusion condescending condescension confuse confused confusing confusion content correct correctly critical decisive definition
    demonstrate describe detail did discouraging does doing empathetic empathy encourage encourages encouraging error errors example
    explain explained explains explanation explanations explicit explicitly fail fails false first follow following for from fully
    generic get give given gives good got guide guides guiding had has have help helpful helps her him his how idea identifies
    identify inaccurate incorrect information initial instead into introduce its itself know lack leave let made make makes making may
    misconception misconceptions misleading mistake mistaken misunderstanding more must name named need new next not now offer one
    only other out over own part plain possible praise previous problem prompt proper properly provide provides put question questions
    reason reasoning recognise recognize relevant remain repeat reply response right said same say see set she show shows silly
    similar simple solution some specific state stated statement states step steps student students subject such supportive take tells
    than that the their them then there these they thing think this those thought through tone too topic toward towards tutor two
    understand understanding use used uses using valid validate very was way what when where whether which while who whole why will
    with within without wording words work works would write wrong
    """.split()
)


def is_general(rubric: Rubric, about: frozenset[str]) -> bool:
    """Whether a demand, which is no ban and not of tone, names nothing of the scenario that `about` holds the words of."""
    if rubric.weight < 0 or is_of_tone(rubric) or SPECIFIC.search(rubric.criteria):
        return False
    return stems(rubric.criteria).isdisjoint(about)


def general_rubric(sample: Sample) -> str:
    """Drop a sample whose critical demands are all general, because a reply to any other question would meet them."""
    demands = [rubric for rubric in sample.metadata.rubrics if rubric.critical and rubric.weight > 0 and not is_of_tone(rubric)]
    about = scenario_words(sample)
    if not demands or not all(is_general(rubric, about) for rubric in demands):
        return ""
    return f"none of its {len(demands)} critical demands names anything of the scenario ({demands[0].criteria})"


def scenario_words(sample: Sample) -> frozenset[str]:
    about = sample.metadata
    return stems(" ".join((about.question, about.explanation, about.follow_up, about.misconception, about.topic)))


def stems(text: str) -> frozenset[str]:
    """Return the words of a text that are not usual in criteria, each cut to its first letters."""
    return frozenset(word[:STEM].rstrip("s") for word in WORD.findall(text.lower()) if word not in USUAL)
