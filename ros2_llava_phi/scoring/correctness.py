"""
What is right: VQA's normalisation and soft accuracy, flaws included, and an exact match.

The normalisation is after the behaviour of the evaluation server, vqaEval.py
(https://github.com/GT-Vision-Lab/VQA), and of the processor in MMF, which LLaVA-1.5 runs over
every short answer before that.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from ros2_llava_phi.assistant.answer import CANNOT_TELL, YES_NO
from ros2_llava_phi.assistant.question import Kind

# VQA's rule is about the answers of ten people (Antol et al. 2015).
VQA_PEOPLE = 10

NUMBERS = {
    'none': '0', 'zero': '0', 'one': '1', 'two': '2', 'three': '3', 'four': '4', 'five': '5',
    'six': '6', 'seven': '7', 'eight': '8', 'nine': '9', 'ten': '10',
}  # fmt: skip
ARTICLES = ('a', 'an', 'the')
PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
GROUPED_DIGITS = re.compile(r'\d,\d')
PERIOD = re.compile(r'\.(?!\d)')
# The official code passes a regular expression's flag where the count belongs.
MOST_PERIODS = int(re.UNICODE)
# What is restored where one apostrophe is missing.
_FORMS = """
    ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't
    haven't he'd he'd've he's how'd how'll how's isn't it'd it'd've it'll ma'am mightn't
    mightn't've might've mustn't must've needn't not've o'clock oughtn't 'ow's'at shan't she'd've
    should've shouldn't shouldn't've somebody'd've somebody'll somebody's someone'd someone'd've
    someone'll someone's something'd something'd've something'll that's there'd there'd've
    there're there's they'd they'd've they'll they're they've 'twas wasn't we'd've we've weren't
    what'll what're what's what've when's where'd where's where've who'd who'd've who'll who's
    who've why'll why're why's won't would've wouldn't wouldn't've y'all y'all'll y'all'd've
    you'd you'd've you'll you're you've
"""
CONTRACTED = tuple(_FORMS.split())


def restoring(contracted: Iterable[str], apostrophe: str) -> dict[str, str]:
    """Return every form that lacks exactly one apostrophe, and what it stands for."""
    restored = {}
    for form in contracted:
        for place, letter in enumerate(form):
            if letter == "'":
                lacking = form[:place] + form[place + 1 :]
                restored[lacking.replace("'", apostrophe)] = form.replace("'", apostrophe)
    return restored


# The one form that is shortened instead.
CONTRACTIONS = {**restoring(CONTRACTED, "'"), "somebody'd": 'somebodyd'}


def tidy(text: str) -> str:
    """Return a text with spaces for line feeds and tabs, and none around it."""
    return text.replace('\n', ' ').replace('\t', ' ').strip()


def normalise(text: str, contractions: Mapping[str, str] = CONTRACTIONS) -> str:
    """Return an answer without punctuation and articles, with digits for numbers up to ten."""
    words = (NUMBERS.get(word, word) for word in _without_punctuation(text).lower().split())
    return ' '.join(contractions.get(word, word) for word in words if word not in ARTICLES)


def normalise_for_submission(text: str) -> str:
    """Return an answer as MMF's processor makes it; LLaVA-1.5 submits short answers like this."""
    text = text.lower().replace(',', '').replace('?', '').replace("'s", " 's")
    return normalise(tidy(text))


def soft_accuracy(
    answer: str, humans: Sequence[str], identities: Sequence[object] | None = None
) -> float:
    """
    Return min(1, humans who agree / 3), averaged over leaving each human out (Antol et al. 2015).

    identities: tells the humans apart; those who are alike are left out together, as where
    records are compared. By default, no two are.
    """
    apart = range(len(humans)) if identities is None else identities
    scores = []
    for left_out in apart:
        others = [each for each, who in zip(humans, apart, strict=True) if who != left_out]
        # Of the very types of the official code, so that the sums are equal to the last bit.
        scores.append(min(1, float(others.count(answer)) / 3))
    return sum(scores) / len(scores)


def percent(scores: Sequence[float]) -> float:
    """Return the mean of scores 0..1 in per cent, rounded to two digits as VQA's server does."""
    return round(100 * float(sum(scores)) / len(scores), 2)


def comparable(text: str, allowed: Sequence[str] = ()) -> str:
    """
    Return what is the same for all answers that count as one: after VQA's normalisation.

    allowed: the answers of a closed question, of which one is meant: `<5 m` is not `>5 m`, though
    normalisation leaves the same of both.
    """
    return spelled(text, allowed) if allowed else normalise(text)


@lru_cache(2**15)  # Each answer of a run is judged again for every score.
def soft_score(text: str, truth: tuple[str, ...], allowed: tuple[str, ...] = ()) -> float:
    """
    Return how right a text is, 0..1, both made comparable.

    With ten answers or more by VQA's rule: right if three people gave it, others left out in
    turn. With fewer, each is acceptable and counts in full.
    """
    return _soft_score(comparable(text, allowed), [comparable(each, allowed) for each in truth])


def _soft_score(answer: str, accepted: Sequence[str]) -> float:
    if len(accepted) >= VQA_PEOPLE:
        return soft_accuracy(answer, accepted)
    return float(answer in accepted)


@lru_cache(2**15)
def acceptable(truth: tuple[str, ...], allowed: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return the different answers that count as right, the most frequent ones first."""
    accepted = [comparable(each, allowed) for each in truth]
    ranked = [each for each, _ in Counter(accepted).most_common()]
    # Where ten people agree on nothing, none is.
    right = [each for each in ranked if _soft_score(each, accepted) > 0.5] or ranked[:1]
    return tuple(truth[accepted.index(each)] for each in right)


def exact_match(text: str, truth: Sequence[str]) -> bool:
    """Return whether a text is one of the acceptable answers to the letter, but for case."""
    return text.strip().casefold() in {each.strip().casefold() for each in truth}


def is_possible(truth: str, kind: Kind, choices: Sequence[str]) -> bool:
    """Return whether a question of a kind can be answered so, after VQA's normalisation."""
    if kind == Kind.FREE_TEXT or normalise(truth) == normalise(CANNOT_TELL):
        return True
    if kind == Kind.NUMBER:
        return as_number(truth) is not None
    return normalise(truth) in map(normalise, closed_answers(kind, choices))


def closed_answers(kind: Kind, choices: Sequence[str]) -> Sequence[str]:
    """Return the allowed answers of a closed question; none of an open one."""
    return YES_NO if kind == Kind.YES_NO else choices


def spelled(truth: str, allowed: Sequence[str]) -> str:
    """Return a truth in the words of the allowed answer that it is, or as it stands."""
    # Choices may differ in what VQA's normalisation removes, and in case alone.
    for form in (str.strip, _folded, normalise):
        for word in (*allowed, CANNOT_TELL):
            if form(word) == form(truth):
                return word
    return truth


@lru_cache(2**15)
def as_number(text: str) -> float | None:
    """Return the number that a text is, a word up to ten included; None if it is none."""
    sign, unsigned = text.strip()[:1], text.strip().lstrip('+-')
    for plain in (unsigned, normalise(unsigned)):
        try:
            number = float(plain)
        except ValueError:
            continue
        if math.isfinite(number):
            # Normalisation would take the sign for punctuation.
            return -number if sign == '-' else number
    return None


def _without_punctuation(text: str) -> str:
    grouped = GROUPED_DIGITS.search(text) is not None
    kept = text
    for mark in PUNCTUATION:
        removed = grouped or f'{mark} ' in text or f' {mark}' in text
        kept = kept.replace(mark, '' if removed else ' ')
    return PERIOD.sub('', kept, count=MOST_PERIODS)


def _folded(text: str) -> str:
    return text.strip().casefold()
