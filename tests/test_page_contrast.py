"""Whoever reads a page of ours: every text differs enough from what is behind it (WCAG 2.2)."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHEET = ROOT / 'ros2_llava_phi' / 'replay' / 'report.css.j2'
PAGES = (
    SHEET,
    ROOT / 'ros2_llava_phi' / 'demo' / 'report.html.j2',
    ROOT / 'ros2_llava_phi' / 'benchmark' / 'table.html.j2',
    ROOT / 'training' / 'run_report.html.j2',
)
Colour = tuple[float, float, float]


def palette(sheet: str, dark: bool) -> dict[str, str]:
    """Return the variables of a style sheet in one of its two schemes."""
    blocks = re.findall(r':root {([^}]*)}', sheet)
    assert len(blocks) == 2
    text = blocks[0] + (blocks[1] if dark else '')
    return dict(re.findall(r'(--[\w-]+): *(#\w+);', text))


def colour(value: str, names: dict[str, str], part: int = 0) -> Colour:
    """Return what a value of CSS stands for, sRGB 0..1; part: of a mix, in per cent."""
    value = value.strip()
    if mixed := re.fullmatch(
        r'color-mix\(in srgb, (.+?) calc\(var\(--part\) \* 1%\), (.+)\)', value
    ):
        first, second = (colour(each, names) for each in mixed.groups())
        return tuple(
            a * part / 100 + b * (1 - part / 100) for a, b in zip(first, second, strict=True)
        )  # type: ignore[return-value]
    if value.startswith('var('):
        value = names[value[4:-1]]
    digits = value.removeprefix('#')
    digits = ''.join(each * 2 for each in digits) if len(digits) == 3 else digits
    return tuple(int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4))  # type: ignore[return-value]


def contrast(one: Colour, other: Colour) -> float:
    """Return the contrast ratio of WCAG 2.2, 1..21."""

    def luminance(of: Colour) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in of]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


# Of these, the background is a drawing without text on it.
TEXTLESS = {'.track::before', '.legend .x', '.interval', '.interval i', '.interval s'}
TEXTLESS |= {'.interval s::before, .interval s::after', '.bar', '.bar i', '.stages'}


@pytest.mark.parametrize('dark', [False, True], ids=['light', 'dark'])
@pytest.mark.parametrize('path', PAGES, ids=lambda path: path.parent.name)
def test_every_text_is_readable_on_its_background(path: Path, dark: bool) -> None:
    sheet = path.read_text()
    names = palette(sheet, dark)
    grounds = [names['--ground'], names['--card']]
    pairs = 0
    for selector, body in re.findall(r'^ *([^{}@\n]+?) *{([^{}]*)}', sheet, re.MULTILINE):
        rule = dict(re.findall(r'([\w-]+): *([^;]+?) *;', f'{body};'))
        background = rule.get('background')
        text = rule.get('color') or (rule.get('fill') if 'svg' in selector else None)
        if not (text or background) or selector in TEXTLESS:
            continue
        text = text or 'var(--ink)'
        for ground in [background] if background else grounds:
            for part in (14, 40):
                measured = contrast(colour(text, names, part), colour(ground, names, part))
                assert measured >= 4.5, f'{selector}: {text} on {ground} is {measured:.2f}'
                pairs += 1
    assert pairs >= 8
