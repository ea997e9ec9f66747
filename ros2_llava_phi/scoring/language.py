"""
BLEU, ROUGE-L and CIDEr of tokenised sentences, with one reference each.

Papineni et al. 2002, Lin 2004, Vedantam et al. 2015, in the variants of coco-caption. Sentences
are tokens with single spaces between them.
"""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

LONGEST = 4
# What keeps coco-caption's BLEU from dividing by zero.
SMALL, TINY = 1e-9, 1e-15
BETA = 1.2
SIGMA = 6.0

Grams = Counter[tuple[str, ...]]


def bleu(answers: Sequence[str], references: Sequence[str]) -> list[float]:
    """Return the corpus's BLEU-1 to BLEU-4, 0..1."""
    correct, guessed = [0] * LONGEST, [0] * LONGEST
    length, wanted = 0, 0
    for answer, reference in zip(answers, references, strict=True):
        given, of_reference = _grams(answer), _grams(reference)
        words = len(answer.split())
        length, wanted = length + words, wanted + len(reference.split())
        for gram, count in given.items():
            correct[len(gram) - 1] += min(of_reference[gram], count)
        for n in range(LONGEST):
            guessed[n] += max(0, words - n)
    ratio = (length + TINY) / (wanted + SMALL)
    penalty = math.exp(1 - 1 / ratio) if ratio < 1 else None
    product, scores = 1.0, []
    for n in range(LONGEST):
        product *= float(correct[n] + TINY) / (guessed[n] + SMALL)
        score = product ** (1.0 / (n + 1))
        scores.append(score if penalty is None else score * penalty)
    return scores


def rouge_l(answers: Sequence[str], references: Sequence[str]) -> float:
    """Return the mean F of the longest common subsequences, 0..1."""
    scores = []
    for answer, reference in zip(answers, references, strict=True):
        # By single spaces: an empty sentence has one empty word.
        given, wanted = answer.split(' '), reference.split(' ')
        common = _longest_common(given, wanted)
        precision, recall = common / float(len(given)), common / float(len(wanted))
        score = 0.0
        if common:
            score = ((1 + BETA**2) * precision * recall) / float(recall + BETA**2 * precision)
        scores.append(score)
    return float(np.mean(np.array(scores)))


def cider(answers: Sequence[str], references: Sequence[str]) -> float:
    """Return CIDEr-D, 0..10; how rare words are is counted in the references."""
    wanted = [_grams(each) for each in references]
    frequency = Counter(gram for grams in wanted for gram in grams)
    log_count = np.log(float(len(wanted)))
    scores = []
    for answer, reference in zip(answers, wanted, strict=True):
        given = _weighted(_grams(answer), frequency, log_count)
        similar = _similarity(given, _weighted(reference, frequency, log_count))
        scores.append(np.mean(similar) * 10.0)
    return float(np.mean(np.array(scores)))


class _Weighted:
    """The n-grams of a sentence by length, weighted by how rare they are."""

    def __init__(self) -> None:
        self.weights: list[dict[tuple[str, ...], float]] = [{} for _ in range(LONGEST)]
        self.norms = [0.0] * LONGEST
        self.bigrams = 0


def _weighted(grams: Grams, frequency: Grams, log_count: float) -> _Weighted:
    found = _Weighted()
    for gram, count in grams.items():
        n = len(gram) - 1
        rarity = log_count - np.log(max(1.0, float(frequency[gram])))
        found.weights[n][gram] = float(count) * rarity
        found.norms[n] += pow(found.weights[n][gram], 2)
        # coco-caption takes the number of bigrams for a sentence's length.
        found.bigrams += count if n == 1 else 0
    found.norms = [np.sqrt(each) for each in found.norms]
    return found


def _similarity(given: _Weighted, wanted: _Weighted) -> list[float]:
    longer = float(given.bigrams - wanted.bigrams)
    similar = []
    for n in range(LONGEST):
        total = 0.0
        for gram, weight in given.weights[n].items():
            of_reference = wanted.weights[n].get(gram, 0.0)
            total += min(weight, of_reference) * of_reference
        if given.norms[n] != 0 and wanted.norms[n] != 0:
            total /= given.norms[n] * wanted.norms[n]
        similar.append(total * np.e ** (-(longer**2) / (2 * SIGMA**2)))
    return similar


def _grams(sentence: str) -> Grams:
    words = sentence.split()
    return Counter(
        tuple(words[start : start + n])
        for n in range(1, LONGEST + 1)
        for start in range(len(words) - n + 1)
    )


def _longest_common(first: Sequence[str], second: Sequence[str]) -> int:
    row = [0] * (len(second) + 1)
    for word in first:
        before = row[:]
        for place, other in enumerate(second, 1):
            longest = max(row[place - 1], before[place])
            row[place] = before[place - 1] + 1 if word == other else longest
    return row[-1]
