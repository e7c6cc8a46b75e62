"""Train and validation share no question and no near copy; subjects and kinds are matched as far as the groups allow."""

import hashlib
from collections import Counter
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lib.filter.near import shingled_words
from lib.publish.splits import SIMILARITY, Split, groups_of, split, split_samples
from lib.run.run import Run
from lib.schema import Sample
from lib.settings import Settings
from tests.bench.gates import prose
from tests.build import a_sample, write_kept

unhurried = hypothesis_settings(deadline=None, max_examples=40)  # the machine may be busy
SUBJECTS, TYPES = ("ecology", "finance", "sociology"), ("overgeneralization", "how_concepts_relate")


def texts(seed: str) -> dict[str, str]:
    """Return texts that share next to nothing with those of another seed."""
    from random import Random

    random = Random(seed)
    return {"question": prose(random, 60), "follow_up": prose(random, 40), "response": prose(random, 100)}


def of_seed(prompt: int, number: int, **about: Any) -> Sample:
    """Return the `number`-th sample made from one seed question."""
    digest = hashlib.sha256(str(prompt).encode()).hexdigest()
    values = {"subject": SUBJECTS[(prompt + number) % 3], "misconception_type": TYPES[number % 2], **texts(f"{prompt}/{number}"), **about}
    return a_sample(f"seed{prompt:03d}_var{number}", seed_prompt_sha256=digest, **values)


def divided(samples: list[Sample], *, share: float = 0.2, random_seed: int = 0) -> tuple[Split, list[Sample], list[Sample]]:
    found = split(groups_of(samples), share=share, random_seed=random_seed)
    sides = ([sample for sample in samples if (sample.id in found.validation) == held] for held in (False, True))
    return found, *sides


def exact_similarity(one: str, other: str) -> float:
    shingles = [set(zip(words, words[1:], words[2:], strict=False)) for words in (shingled_words(one), shingled_words(other))]
    return len(shingles[0] & shingles[1]) / max(1, len(shingles[0] | shingles[1]))


def copied(text: str, *, changed: int) -> str:
    """Return `text` with this many of its words changed, evenly spread."""
    words = text.split()
    for number in range(changed):
        words[number * len(words) // changed] = f"other{number}"
    return " ".join(words)


# ── no leak ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
def test_no_seed_question_stands_on_both_sides(share: float) -> None:
    _, train, validation = divided([of_seed(prompt, number) for prompt in range(20) for number in range(4)], share=share)
    assert train and validation
    assert not {sample.metadata.seed_prompt_sha256 for sample in train} & {sample.metadata.seed_prompt_sha256 for sample in validation}


@pytest.mark.parametrize("field", ["question", "response"])
@pytest.mark.parametrize("random_seed", range(5))
def test_no_near_copy_stands_on_both_sides(field: str, random_seed: int) -> None:
    """Each seed's text is copied into another seed's sample, with a tenth of its words changed; every pair is compared exactly."""
    samples = [of_seed(prompt, 1) for prompt in range(30)]
    for prompt in range(0, 30, 3):
        original = samples[prompt]
        text = original.response if field == "response" else original.metadata.question
        changes = {field: copied(text, changed=6)}
        if field == "question":
            changes["follow_up"] = original.metadata.follow_up
        samples.append(of_seed(100 + prompt, 2, **changes))
    _, train, validation = divided(samples, random_seed=random_seed)
    assert train and validation
    for one in train:
        for other in validation:
            assert exact_similarity(one.response, other.response) < SIMILARITY
            pair = [f"{sample.metadata.question} {sample.metadata.follow_up}" for sample in (one, other)]
            assert exact_similarity(*pair) < SIMILARITY


def test_copies_join_the_groups_of_their_seeds() -> None:
    """a and b are of one seed, c is a copy of b, d of c's seed: one group. e stands alone."""
    a, b, e = of_seed(1, 1), of_seed(1, 2), of_seed(3, 1)
    c, d = of_seed(2, 1, response=b.response), of_seed(2, 2)
    assert [group.ids for group in groups_of([a, b, c, d, e])] == [[a.id, b.id, c.id, d.id], [e.id]]


def test_rows_that_share_a_question_are_one_seed_whatever_white_space_is_in_it() -> None:
    from tests.build import a_seed

    assert a_seed(prompt="Why  is\n it so?").prompt_sha256 == a_seed(prompt=" Why is it so?", explanation="Other.").prompt_sha256


# ── balance ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_sample_is_on_one_side_and_the_share_is_met() -> None:
    found, train, validation = divided([of_seed(prompt, number) for prompt in range(50) for number in range(4)], share=0.1)
    assert (len(train), len(validation), found.samples, found.groups) == (180, 20, 200, 50)


def test_subjects_and_kinds_are_matched() -> None:
    """Each seed gives one subject only: a careless draw of 15 of 75 would miss it."""
    samples = [of_seed(prompt, number, subject=SUBJECTS[prompt % 3]) for prompt in range(75) for number in range(2)]
    found, _, validation = divided(samples)
    assert Counter(sample.metadata.subject for sample in validation) == dict.fromkeys(SUBJECTS, 10)
    assert found.counts["misconception_type", TYPES[0]] == (60, 15)


def test_the_counts_are_those_of_the_samples() -> None:
    found, train, validation = divided([of_seed(prompt, number) for prompt in range(9) for number in range(3)])
    for subject in SUBJECTS:
        sides = (sum(sample.metadata.subject == subject for sample in side) for side in (train, validation))
        assert found.counts["subject", subject] == tuple(sides)


def test_another_random_seed_is_another_split_and_the_same_is_the_same() -> None:
    samples = [of_seed(prompt, number) for prompt in range(30) for number in range(2)]
    same, again, other = (divided(samples, random_seed=seed)[0].validation for seed in (1, 1, 2))
    assert same == again != other


def test_one_group_alone_is_not_split() -> None:
    found, train, validation = divided([of_seed(1, number) for number in range(4)])
    assert (len(train), len(validation), str(found)) == (4, 0, "4 samples in 1 group that stays together: 4 train, 0 validation")


def test_where_no_group_fits_the_share_the_nearest_size_is_taken() -> None:
    """Three groups of 10 and a tenth wanted: none is nearer to 3 than 10 is; half wanted: one group."""
    samples = [of_seed(prompt, number) for prompt in range(3) for number in range(10)]
    assert [len(divided(samples, share=share)[2]) for share in (0.1, 0.2, 0.5)] == [0, 10, 10]


@unhurried
@given(sizes=st.lists(st.integers(1, 9), min_size=2, max_size=12), share=st.sampled_from([0.0, 0.1, 0.3, 0.5]), seed=st.integers(0, 5))
def test_validation_is_never_further_from_its_share_than_nothing_is(sizes: list[int], share: float, seed: int) -> None:
    samples = [of_seed(prompt, number) for prompt, size in enumerate(sizes) for number in range(size)]
    _, train, validation = divided(samples, share=share, random_seed=seed)
    assert train
    assert abs(len(validation) - share * len(samples)) <= share * len(samples)
    assert not {a.metadata.seed_prompt_sha256 for a in train} & {b.metadata.seed_prompt_sha256 for b in validation}


def test_a_runs_kept_samples_are_split(settings: Settings) -> None:
    samples = [of_seed(prompt, number) for prompt in range(10) for number in range(2)]
    found = split_samples(Run(write_kept(settings, samples)))
    assert (found.samples, len(found.validation)) == (20, 2)
    assert all(one.id != other.id for one, other in combinations(samples, 2))
