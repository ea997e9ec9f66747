"""
Which option a text names, as VLMEvalKit finds it without asking GPT.

After the behaviour of vlmeval/utils/matching_util.py
(https://github.com/open-compass/VLMEvalKit).
"""

import re
from collections.abc import Mapping

# What stands for none of the options.
NONE = 'Z'
# Whoever says so has chosen none.
REFUSALS = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    'Cannot determine the answer',
)
NO_ANSWER = 'Failed to obtain answer via API'
SPACED = str.maketrans(dict.fromkeys('.()[],:;!*#{}', ' '))
SAID = re.compile(r'answer\s+is\s+\**([ABCD])', re.IGNORECASE)
# A letter counts among this many words at the end.
LAST_WORDS = 5


def matched_option(answer: str, options: Mapping[str, str]) -> str | None:
    """
    Return the letter of the option that an answer names; NONE if it refuses, None if it does not.

    options: their texts by letter.
    """
    return _by_letter(answer, options) or _by_text(answer.lower(), options)


def _by_letter(answer: str, options: Mapping[str, str]) -> str | None:
    if NO_ANSWER in answer:
        return None
    if any(refusal in answer for refusal in REFUSALS):
        return NONE
    words = answer.translate(SPACED).split()
    named = [letter for letter in options if letter in words]
    if len(named) == 1 and words.index(named[0]) >= len(words) - LAST_WORDS + 1:
        return named[0]
    if not named and NONE in words:
        return NONE
    said = SAID.search(answer)
    return said[1].upper() if said and said[1].upper() in options else None


def _by_text(answer: str, options: Mapping[str, str]) -> str | None:
    if len(answer) > 2 * sum(map(len, options.values())):
        return None
    named = [letter for letter, text in options.items() if text.lower() in answer]
    return named[0] if len(named) == 1 else None
