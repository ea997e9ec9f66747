"""In which words a question is put to the model."""

from .question import Kind, Question

# LLaVA-1.5's wording for short answers (Liu et al., arXiv 2310.03744).
SHORT_ANSWER = 'Answer the question using a single word or phrase.'


def request_text(question: Question) -> str:
    """Return a question as the model was trained to be asked: with what form the answer has."""
    if question.kind == Kind.FREE_TEXT:
        return question.text
    if question.kind == Kind.CHOICE:
        return f'{question.text}\nAnswer with one of: {", ".join(question.choices)}.'
    return f'{question.text}\n{SHORT_ANSWER}'
