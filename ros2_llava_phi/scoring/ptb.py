"""
Tokens as coco-caption counts them: Penn Treebank's, in small letters, without punctuation.

Written after what the tokeniser of Stanford CoreNLP 3.4.1 does, which coco-caption runs, not after
its rules: texts about traffic, in which the two agree, and not web pages.
"""

import re
import unicodedata
from collections.abc import Sequence

# What ends a line, after which coco-caption takes the next sentence to begin.
LINE_END = re.compile('\r\n|[\n\r\x0b\x0c\u2028\u2029]')
REMOVED = re.compile(
    "[\"'`\u2018\u2019\u201b-\u201d\xab\xbb\u2039\u203a\u2013-\u2015\u2026?!,:;-]|''|``|-{2,4}|\\.+"
)
SPELLED = {
    '(': '-lrb-', ')': '-rrb-', '[': '-lsb-', ']': '-rsb-', '{': '-lcb-', '}': '-rcb-',
    '\u20ac': '$', '\u20a0': '$', '\xa4': '$', '\x80': '$', '\xa3': '#', '\xa2': 'cents',
    '\xbc': '1/4', '\xbd': '1/2', '\xbe': '3/4', '\u2153': '1/3', '\u2154': '2/3',
    '&amp;': '&', '&lt;': '<', '&gt;': '>',
}  # fmt: skip
# Kept with their period, in any case, or with a capital only.
_ABBREVIATIONS = """
    adj adm adv al ala alex apr ariz assn assoc asst atty aug ave bhd bldg blvd brig bros calif
    capt cf cie cmdr co col colo conn corp cos cpl ct dak dec dept det dr drs elec ens esq est etc
    ext feb fla fri ft ga gen gov govs hon inc ind insp intl invt jan jos jr jul jun kan kans ky
    lt ltd maj mar md mfg mich minn mlle mme mo mon mont mr mrs ms msgr mt mtg natl neb nev nov
    oct okla penn pfc ph plc ppte ppty pres prof pte ptes pty ptys pvt rd rep reps rev rt sen sens
    sep sept seq sfc sgt spc sq sr st ste supt sys tel tenn thu thurs tue tues univ va vs vt wed
    wis wisc wm wyo
"""
_CAPITALISED = 'Ark Az Del Ill La Mass Miss Ore Pa Tex Wash'
# Before these, a single letter and a period are the end of a sentence.
_STARTERS = """
    A About According Additionally After An As At But Earlier He Her Here However If In It Last
    Many More Now Once One Other Our She Since So Some Such That The Their Then There These They
    This We What When While Yet You
"""
_NUMBERED = 'art fig figs no nos pp prop'
_SPLIT = {'cannot': 3, 'gonna': 3, 'gotta': 3, 'wanna': 3, 'lemme': 3, 'gimme': 3}


def _letters() -> str:
    """Return the class of letters and marks of the Basic Multilingual Plane."""
    found = [chr(code) for code in range(0x10000) if unicodedata.category(chr(code))[0] in 'LM']
    ranges: list[list[int]] = []
    for code in map(ord, [*found, '\xad']):
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return ''.join(f'{chr(first)}-{chr(last)}' for first, last in ranges)


L = f'[{_letters()}]'
W = f'[{_letters()}\\d]'
END = f'(?!{W})'
NO_BREAK = '\xa0'
APOSTROPHE = "['\u2019]"
HYPHEN = '[-\u2010\u2011]'
_ANY_CASE = '|'.join(_ABBREVIATIONS.split())
_STARTING = '|'.join(f'{each}|{each.upper()}' for each in _STARTERS.split())
_CAPITAL = '|'.join(f'{each}|{each.upper()}' for each in _CAPITALISED.split())
_GAP = r'[^\S\n]'
_NAME = r'[A-Za-z][\w:.-]*'

# At every place, the longest match counts; of those as long, the first.
PATTERNS = [
    re.compile(pattern)
    for pattern in (
        # Tags: <a>, </a>, <a b="c"/>; not <c1,CAM_FRONT,1.0,2.0>.
        rf'<[/!?]?{_NAME}(?:{_GAP}+{_NAME}(?:{_GAP}*={_GAP}*(?:"[^"\n]*"|\'[^\'\n]*\'))?)*{_GAP}*/?>|<!--.*?-->',
        # Addresses, and who is addressed.
        r'https?://[^\s"<>|()]+[^\s"<>|().!?,;:-]',
        r'[A-Za-z0-9](?:[^\s"<>|()@]*@)+[^\s"<>|().@\']+(?:\.[^\s"<>|().@\']+)*',
        r'@[A-Za-z_][A-Za-z0-9_]*',
        f'#{L}+',
        # Smileys, entities and marks that stay together.
        f"[<>]?[:;=](?:'|-)?[()DPdp]{END}",
        r'&(?:amp|lt|gt|quot|nbsp|mdash|#\d+);',
        r'\(\d{3}\)[ -]?\d{3}[ -]\d{4}',
        r'[A-Z]{1,2}\$',
        r'[A-Z]+(?:&[A-Z]+)+',
        r'[Cc](?:\+\+|#)|F#',
        r'-{2,}|_+|\*+|#+|@+|<<|>>|[?!]+|\.{3,}',
        # Numbers and words.
        r'[-+]?(?:\d*(?:[.:,]\d+)+|\d+)|\d+[^\S\n]\d{1,3}/\d{1,3}',
        f'{APOSTROPHE}\\d\\ds?(?![.:,]?{W})',
        rf'(?i:{_ANY_CASE})\.|(?:{_CAPITAL})\.',
        rf'[A-Za-z]\.(?!\s+(?:{_STARTING})\s)',
        rf'(?i:{"|".join(_NUMBERED.split())})\.(?=\s?\d)',
        f'(?:{L}\\.){{2,}}',
        f'{W}+(?:_{W}+)*',
        f'{L}{W}*(?:[.!?]{L}{W}*)+',
        f'(?:[A-Za-z0-9][A-Za-z0-9.,]*|{W}+(?:_{W}+)*)(?:{HYPHEN}{W}+(?:_{W}+)*)+',
        r'[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*(?:/[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*){1,2}',
        f'(?i:[dlo]){APOSTROPHE}{L}{L}+|(?i:ma{APOSTROPHE}am)|(?i:[dl]){APOSTROPHE}{END}',
        f'{L}+[aeiouy]{APOSTROPHE}[aeiou]{L}*',
        # Not the end of a sentence: what follows goes on with it.
        f'(?:{L}{W}*(?:[.!?]{L}{W}*)+|{W}+(?:[-_]{W}+)*)\\.(?=[,;:])',
        f"(?i:{APOSTROPHE}(?:s|m|d|re|ve|ll))(?!{L})|(?i:n['\u2019`]t){L}*|''|``",
        '(?i:\u2019(?:s|m|d|re|ve|ll|em))',
        f'(?i:{APOSTROPHE}(?:em|cause|n{APOSTROPHE}?)){END}|(?i:y{APOSTROPHE})(?={L})',
    )
]
# Unicode's categories of what is no text, beside all beyond the plane.
NO_TEXT = frozenset(('Cc', 'Cf', 'Cn', 'Co', 'Cs', 'Zs', 'Zl', 'Zp', 'Nl'))
BEFORE_NOT = re.compile(f"({L}+?)(?i:n['\u2019`]t)")
TOKEN_OR_END = re.compile(r'\S|\n')


def tokenise(sentences: Sequence[str]) -> list[str]:
    """
    Return the tokens of each sentence, with single spaces between them.

    As in coco-caption, one text is made of all: what `No.` is depends on how the next begins.
    """
    joined = '\n'.join(each.replace('\n', ' ') for each in sentences)
    text = '\n'.join(map(_plain, LINE_END.split(joined)))
    lines: list[list[str]] = [[]]
    place = 0
    while (found := TOKEN_OR_END.search(text, place)) is not None:
        place = found.start()
        end = place + 1 if text[place] == '\n' else _end(text, place)
        if text[place] == '\n':
            lines.append([])
        else:
            lines[-1] += _spelled(text[place:end])
        place = end
    kept = ([token for token in line if not REMOVED.fullmatch(token)] for line in lines)
    return [' '.join(line) for line in kept][: len(sentences)]


def _plain(line: str) -> str:
    """Return a line with spaces for what is no text: controls, and all beyond the plane."""
    return ''.join(' ' if _is_no_text(letter) else letter for letter in line)


def _is_no_text(letter: str) -> bool:
    return letter > '\uffff' or (letter != '\xad' and unicodedata.category(letter) in NO_TEXT)


def _end(text: str, place: int) -> int:
    end = place + 1
    for pattern in PATTERNS:
        found = pattern.match(text, place)
        if found is not None and found.end() > end:
            end = found.end()
    found = BEFORE_NOT.match(text, place)
    # What follows counts for the length, but is a token of its own.
    return found.end(1) if found is not None and found.end() > end else end


def _spelled(token: str) -> list[str]:
    """Return a token in small letters, as Penn Treebank spells it, or its parts."""
    if token in SPELLED:
        return [SPELLED[token]]
    small = token.lower().replace('\xad', '')
    if small.startswith('\u2019') and len(small) > 1 and small[1].isalpha():
        small = f"'{small[1:]}"
    if small in _SPLIT:
        return [small[: _SPLIT[small]], small[_SPLIT[small] :]]
    for mark, spelled in (('(', '-lrb-'), (')', '-rrb-')):
        small = small.replace(mark, spelled)
    # Of what holds a space, coco-caption's figures differ in whether they split it there.
    return [re.sub(r'\s', NO_BREAK, small)] if small.strip() else []
