"""The answers that a question allows, as far as its words tell."""

import re

from ros2_llava_phi.assistant.answer import YES_NO
from ros2_llava_phi.model.prompt import Turn

CHOICES = re.compile(r'Answer with one of: (.+)\.\s*$')


def choices_in(turn: Turn) -> tuple[str, ...]:
    """Return the choices that a request ends with, worded as the assistant does; else nothing."""
    words = turn.request[-1] if turn.request else ''
    match = CHOICES.search(words) if isinstance(words, str) else None
    return tuple(match[1].split(', ')) if match else ()


def plain(answer: str) -> str:
    """Return an answer without what makes no difference: case, blanks around it, a final point."""
    return answer.strip().rstrip('.').lower()


def says_yes_or_no(answer: str) -> bool:
    """Return whether an answer is nothing but yes or no."""
    return plain(answer) in map(plain, YES_NO)
