"""Tokens and normalised answers, held to what the official programs make of them."""

import pytest

from ros2_llava_phi.scoring.correctness import normalise, normalise_for_submission, tidy
from ros2_llava_phi.scoring.ptb import tokenise

# As Stanford CoreNLP 3.4.1 gives them to coco-caption, in small letters and without punctuation.
TOKENS = {
    'There are cars <c1,CAM_FRONT,1055.5,382.8>, moving.': (
        'there are cars < c1 cam_front ,1055.5,382.8 > moving'
    ),
    "The ego-vehicle shouldn't stop; it's Al's.": "the ego-vehicle should n't stop it 's al 's",
    'Go on the way.2. Reduce speed.The road': 'go on the way .2 reduce speed.the road',
    'the U.S. Mr. Smith, etc. and No. 5 (approx.)': (
        'the u.s. mr. smith etc. and no. 5 -lrb- approx -rrb-'
    ),
    'A. Going ahead. B. The car': 'a. going ahead b the car',
    '5% of $3,000.50 at 25km/h, 10:30 or 3/4, and/or': (
        '5 % of $ 3,000.50 at 25km/h 10:30 or 3/4 and/or'
    ),
    'I cannot, “smart” — it\u2019s 5 € … 日本 café 🚗': "i can not smart it 's 5 $ 日本 café",
    'What?! Yes!No :) <b>bold</b> C++': 'what ?! yes!no :-rrb- <b> bold </b> c++',
    'No.': 'no.',
    '1. Stop': '1 stop',
    'No. ': 'no',
    '': '',
    'two\nlines': 'two lines',
}


def test_sentences_are_tokenised_as_coco_caption_does() -> None:
    assert dict(zip(TOKENS, tokenise(list(TOKENS)), strict=True)) == TOKENS


@pytest.mark.parametrize(
    ('answer', 'after_vqa', 'after_mmf'),
    [
        ('The  Two dogs!', '2 dogs', '2 dogs'),
        ('1,000', '1000', '1000'),
        ('3.5 m.', '3.5 m', '3.5 m'),
        ('left-turn', 'left turn', 'left turn'),
        ('left -turn', 'left turn', 'left turn'),
        ('left-turn, -x', 'leftturn x', 'leftturn x'),
        ("dont've it's", "dont've it's", "dont've it 's"),
        ("couldnt've", "couldn't've", "couldn't've"),
        ('a/b?', 'b', 'b'),
        (' \t\n', '', ''),
        ('.' * 40, '.' * 8, '.' * 8),
        ('İ. ٣,٤', 'i̇ ٣٤', 'i̇ ٣٤'),
    ],
)
def test_answers_are_normalised_with_the_official_flaws(
    answer: str, after_vqa: str, after_mmf: str
) -> None:
    assert normalise(tidy(answer)) == after_vqa
    assert normalise_for_submission(answer) == after_mmf
