"""A response's first sentences -> whether they praise the student, the question or the thinking.

A sentence praises when it speaks of the student, or of what they asked or did, in words of esteem. A sharp line in a spectrum, perfect
competition, or a plain "step 2 is right" is no praise. Built from the labelled examples in `tests/analyze/praise.csv`. A test holds its
precision and recall on the examples of `praise_unseen.csv`, from which it was not built.
"""

import re

# Words, or beginnings of words, that praise where the student or what they did is spoken of.
ESTEEM = """
    admir amazing astute attentive awesome beautiful brave bravo bright brilliant careful clever commend compelling confidence courage
    credit creative curiosity deep diligen elegant excellent exceptional fantastic fascinating genius glad good great handled happy
    honest imaginative impress ingen insight instinct intelligent intuition inventive keen kudos legitimate love marvel mature nailed
    neat nice observant original outstanding patien perceptive persistence proud profound promising rare refreshing remarkabl respect
    sensible sharp smart sophisticated spirit splendid spotted strong subtle super talent terrific thorough thoughtful tidy
    understandable valuable value well wise wonderful worthy
""".split()
PHRASES = (
    r"hats off|no small|on the money|on to something|perfectly (?:natural|reasonable|understandable|normal|fair)|top marks"
    r"|right (?:question|track|thing|instinct|attitude|idea|place to)|thought (?:carefully|hard|deeply)|hard thing|hard part"
)
PRAISING = rf"\b(?:(?:{'|'.join(ESTEEM)})\w*|{PHRASES})\b"
DEED = (
    "attempt|catch|challenge|comparison|confusion|distinction|doubt|effort|follow-up|guess|habit|idea|insight|instincts?|intuition|job"
    "|judge?ment|move|objection|observation|point|puzzle|question|reasoning|self-correction|start|thing to wonder|thinking|thought|try"
    "|way to|work|worry"
)
OF_STUDENT = rf"\b(?:you(?:['’](?:re|ve|d|ll))?|yours?|yourself|{DEED})\b"
DOING = (
    "asking (?:exactly |precisely |just )?(?:the|a|what)|thinking (?:like|about|along|carefully|hard)|close\\b|closer|onto\\b|there\\b"
    "|ahead\\b|not (?:far|alone)|(?:doing|getting) (?:\\w+ )?(?:better|close|fine|great|well|there|the hang)"
)
DONE = (
    "spotted|caught|captured|anticipated|noticed|sensed|grasped|mastered|internali[sz]ed|put your finger|hit|picked up|sniffed|gone further"
    "|come a long|done the|earned|clearly|already done|got (?:a|real|the (?!\\w+ (?:the )?wrong))"
)
PEOPLE = (
    "biologist|chemist|detective|doctor|economist|engineer|epidemiologist|historian|lawyer|mathematician|philosopher|physicist|programmer"
    "|researcher|scientist"
)
# What is said of the subject and not of the student. It is taken out before anything is looked for.
OF_SUBJECT = [
    r"\bwell-\w+|\b(?:as|may as|might as) well\b|\bas (?:good|great|strong|deep) as\b|\bfor the greater good\b",
    r"\bgoods?\b(?= (?:and|or) services?)|\bgoods\b",
    r"\b(?:club|common|consumer|final|giffen|inferior|intermediate|luxury|normal|private|public|superior) good\b|\bthe good\b",
    r"\bgood (?:approximation|conductor|at|enough|for the)\b|\bbest (?:response|fit|linear)\b",
    r"\b(?:in this|in that|with) respect\b|\brespectively\b",
    r"\bgreat (?:circle|deal|depression|war|power|plains|many|divergence)\w*|\bthe great\b|\bperfect \w+",
    r"\bperfectly (?:competit|elastic|inelastic|correlat)\w*",
    r"\bsharp(?:er|est|ly)? (?:line|peak|edge|drop|rise|turn|key|bend|boundary|fall|increase)\w*",
    r"\bdeep(?:er|est|ly)? (?:water|layer|learning|copy|sea|inelastic)\w*",
    r"\bstrong(?:er|est|ly)? (?:acid|base|force|form|induction|field|theorem|currency|law|evidence|link)\w*",
    r"\bbright(?:er|est|ness)? (?:line|star|lamp|band|fringe)\w*",
    r"\bnice (?:round|function|number)\w*|\bsmart (?:contract|phone|meter)\w*",
    r"\brare (?:earth|event|disease|allele|species|variant)\w*|\bsuper(?!b)\w+|\bspirits?\b",
    r"\b(?:present|face|market|absolute|expected|fair|mean|the|a|its|null|eigen|true|this|that|same|of) ?values?\b",
    r"\bvalues?\b(?= (?:of|at|is|for|that|to|in|\d))",
    r"\bcredit(?:s|ed|or|ors)?\b(?= (?:card|entry|balance|side|account|column|rating|risk|and|or|to|the|of|revenue|cash|default))",
    r"\bdebits?\b",
    r"\bbe careful\b|\bcareful(?:ly)? (?:with|here|not|about|at)\b|\bsubtle (?:difference|shift|step)\b",
    r"\binstinct(?:ive)?\b(?= (?:behaviou?r|drive|theory))",
    r"\b(?:the )?original \w+|\bpatients?\b|\bdeepest\b|\blove of\b|\bconfidence (?:interval|level|band)s?\b|\bgenius\b(?= could)",
    r"\btalent\b(?= market)",
]
PRAISE = re.compile(
    "|".join(
        (
            rf"{OF_STUDENT}[^.!?;]{{0,150}}{PRAISING}",
            rf"{PRAISING}[^.!?;]{{0,150}}{OF_STUDENT}",
            rf"^\W*(?:\w+,? )?(?:{'|'.join(ESTEEM)})\w*\b[!,.]|^\W*(?:bravo|kudos|respect|hats off|top marks|points)\b|\bbeautifully\b",
            r"\byou(?:['’]re| are| were) (?:\w+ )?(?:right|correct|wise|smart) (?:not )?to\b",
            r"\b(?:good for|points to|speaks well of|no wonder) you\b",
            rf"\byou(?:['’]re| are) (?:\w+ ){{0,2}}(?:{DOING})",
            rf"\byou(?:['’]ve| have) (?:\w+ )?(?:{DONE})\b",
            r"\byou (?:clearly|obviously|really) \w+|\byou (?:see it|saw it|did(?=[.!])|didn['’]t just|kept going|explained your)",
            r"\b(?:many|most|few|plenty of|a lot of|more) (?:\w+ )?(?:people|students|readers|learners|adults)\b"
            r"(?=.{0,80}\b(?:you|yours|miss|never|notice|skip|stop|stopped|struggle|trips?|would)\b)",
            rf"\b(?:like|habit|of) an? (?:\w+ )?(?:{PEOPLE})\b|\b(?:what|habit) (?:a|any) (?:\w+ )?(?:{PEOPLE})\b",
            r"\bhard on yourself\b|\bthe (?:fact that|care|effort) you\b|\bshows (?:that )?you\b|\bhow far you\b",
            r"\bI can (?:see|tell) (?:that )?you\b",
            r"\b(?:achievement|paid off|helps a lot|way to go|not a silly|a mark of|shows ingenuity|I like (?:this|that|your|how))\b",
            r"\b(?:good|healthy) sign\b",
            r"\bquestions? (?:like yours|that (?:gets?|goes|puzzled|professional))",
            r"\b(?:kind|sort) of (?:question|doubt|thinking|mistake|confusion)\b",
            r"\b(?:is|are) (?:better|stronger|worth more|more \w+) than (?:you|I|the one|most|mine|a right answer)\b",
        )
    ),
    re.IGNORECASE,
)
NOT_OF_STUDENT = re.compile("|".join(OF_SUBJECT), re.IGNORECASE)
LONGEST = 600  # characters that are looked at
FIRST_SENTENCES = re.compile(r"^(?:.+?[.!?](?=\s|$)\s*){1,2}", re.DOTALL)
QUOTED = re.compile(r"[\"“][^\"”]*[\"”]")


def praises(response: str) -> bool:
    """Return whether the first two sentences compliment the student or what they did."""
    beginning = response.strip()[:LONGEST]
    first = FIRST_SENTENCES.match(beginning)
    text = NOT_OF_STUDENT.sub(" ", QUOTED.sub(" ", first[0] if first else beginning))
    return PRAISE.search(text) is not None
