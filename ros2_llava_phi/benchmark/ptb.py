"""stub."""


def tokenise(sentences: list[str]) -> list[str]:
    """Split."""
    return [' '.join(each.lower().split()) for each in sentences]
