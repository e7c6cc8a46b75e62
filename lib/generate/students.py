"""slot number -> the voice and the length of what its student writes, and whether and how they ask.

It is assigned, because a model that is only asked for different students lets all of them assert at 100 words. Among the text rows of
TutorBench that were at hand, 93 % of follow-ups hold a question mark, 68 % say that the student is confused or not sure, and they have
26, 53 and 117 words at the 10th, 50th and 90th percentile.
"""

from lib.generate.dealing import dealt
from lib.schema import Student

# voice, as the writer is told -> the lengths (words from, to) that go with it
VOICES: dict[str, tuple[tuple[int, int], ...]] = {
    "asks outright, without preamble": ((25, 45), (40, 65)),
    "half-sure: hedges, and gives the reason for the half they believe": ((35, 60), (55, 85)),
    "terse: fragments, no greeting, no full sentences where a few words do": ((12, 25), (18, 32)),
    "rambling: thinks aloud, starts again, gets to the point late": ((85, 120), (110, 150)),
    "types as in a chat: lower case, abbreviations, a typo or two, little punctuation": ((20, 40), (35, 60)),
    "learner of English: short plain sentences, an article or a tense wrong here and there, the subject's words right": (
        (30, 50),
        (45, 75),
    ),
    "anxious: worried about a test or about being behind, and wants to get it right": ((40, 65), (60, 95)),
    "annoyed: has tried, finds the explanation unhelpful at one point and says so": ((25, 45), (40, 70)),
    "younger than usual for the level: everyday words, a comparison of their own": ((25, 45), (40, 65)),
    "older: comes back to study from work, and argues from experience": ((50, 80), (85, 125)),
    "over-confident: has the matter settled and corrects the explanation": ((30, 55), (60, 95)),
    "polite and careful: quotes the explanation, sets out each step": ((60, 95), (100, 140)),
}
ASKING: tuple[tuple[str, bool], ...] = (  # how the false belief shows, and whether the follow-up holds a question mark; dealt evenly
    ("asks one question that takes the belief for granted", True),
    ("draws the conclusion, then asks whether it is right", True),
    ("says that they are confused, or not sure, about one point, and asks about it with the belief as their reason", True),
    ("objects with a question: why does the explanation say one thing when the belief gives another", True),
    ("says where they got lost and which version they believe, and asks which one holds", True),
    ("admits not being sure, works out a number or a case by the belief, and asks what is wrong with it", True),
    ("asks how to go on from the conclusion that the belief gives", True),
    ("states the conclusion and stops, without a question", False),
)

CONTROL_ASKING: dict[str, tuple[tuple[str, bool], ...]] = {  # how a student shows what they have understood, or want to know
    "student_is_right": (
        ("puts the point in their own words, and asks whether that is right", True),
        ("works out a case of their own rightly, and asks for a check", True),
        ("says that they are not sure they have understood, and explains it rightly", False),
        ("draws a further conclusion, which is true, and asks whether it follows", True),
    ),
    "open_question": (
        ("asks what the explanation would be in a neighbouring case", True),
        ("asks why it is done in this way", True),
        ("asks where this is used, or what comes next", True),
        ("is confused about one word or step, says which, and asks what it means", True),
    ),
}


def student(number: int, random_seed: int) -> Student:
    """Return the student of slot `number`."""
    voice = dealt(tuple(VOICES), "voice", number=number, random_seed=random_seed)
    asks, has_question = dealt(ASKING, "asking", number=number, random_seed=random_seed)
    words = dealt(VOICES[voice], f"follow-up/{voice}", number=number, random_seed=random_seed)
    return Student(voice=voice, words=words, asks=asks, has_question=has_question)


def control_student(kind: str, *, number: int, random_seed: int) -> Student:
    """Return the student of control `number`, who is right or asks an open question."""
    cards = tuple(voice for voice in VOICES if "over-confident" not in voice)
    voice = dealt(cards, "control voice", number=number, random_seed=random_seed)
    asks, has_question = dealt(CONTROL_ASKING[kind], f"asking/{kind}", number=number, random_seed=random_seed)
    words = dealt(VOICES[voice], f"follow-up/{voice}", number=number, random_seed=random_seed)
    return Student(voice=voice, words=words, asks=asks, has_question=has_question)
