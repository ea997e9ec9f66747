"""The front door: what the package exports; it takes or refuses whatever is given to it."""

import io
import itertools
import math
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import ros2_llava_phi as llava_phi
from ros2_llava_phi import (
    Answer,
    Assistant,
    Conversation,
    Frame,
    FrameError,
    Kind,
    LlavaPhiError,
    ModelError,
    OutOfTimeError,
    Question,
    QuestionError,
    Sampling,
    View,
    errors,
)

PACKAGED = Path(llava_phi.__file__).parent / 'data' / 'llava-phi-tiny'
RGB = np.random.default_rng(3).integers(0, 255, (3, 4, 3), np.uint8).repeat(16, 0).repeat(16, 1)


@pytest.fixture(scope='module')
def model() -> Assistant:
    return llava_phi.load('llava-phi-tiny')


@pytest.fixture(scope='module')
def view(model: Assistant) -> View:
    return model.look(RGB)


def file_bytes(form: str, picture: Image.Image | None = None, **options: Any) -> bytes:
    file = io.BytesIO()
    (picture or Image.fromarray(RGB)).save(file, form, **options)
    return file.getvalue()


ROAD = Path(errors.__file__).parent / 'data' / 'thermal' / '000000.jpg'
PNG, JPEG = file_bytes('PNG'), file_bytes('JPEG', quality=95)


def test_the_import_takes_nothing_that_is_heavy() -> None:
    code = (
        'import sys, ros2_llava_phi as llava_phi\n'
        'heavy = "numpy onnxruntime pydantic PIL tokenizers torch cv2".split()\n'
        'early = [name for name in heavy if name in sys.modules]\n'
        'names = dir(llava_phi)\n'
        'assert not early and not [name for name in heavy if name in sys.modules], early\n'
        'llava_phi.FrameError, llava_phi.Kind\n'
        'assert "onnxruntime" not in sys.modules and "numpy" not in sys.modules\n'
        'from ros2_llava_phi import *\n'
        'assert load is llava_phi.load and callable(load)\n'
        'assert sorted(llava_phi.__all__) == names, names\n'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_what_is_exported() -> None:
    own = {name for name, value in vars(errors).items() if isinstance(value, type)}
    wanted = {'load', 'Assistant', 'View', 'Question', 'Kind', 'Answer', 'Frame'}
    wanted |= {'Sampling', 'Conversation', '__version__', *own}
    wanted |= {'CutShort', 'ModelIdentity', 'Timings'}  # of an answer
    assert set(llava_phi.__all__) == wanted
    for name in wanted - {'load', '__version__'}:
        assert getattr(llava_phi, name).__name__ == name
    for name in own:
        assert issubclass(getattr(errors, name), LlavaPhiError)
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        llava_phi.lode  # type: ignore[attr-defined]  # noqa: B018


def test_a_picture_may_be_given_in_any_form(model: Assistant, tmp_path: Path) -> None:
    path = tmp_path / 'a picture.png'
    path.write_bytes(PNG)
    written = io.BytesIO(PNG)
    forms: list[Any] = [RGB, path, str(path), np.str_(path), PNG, bytearray(PNG), memoryview(PNG)]
    forms += [Image.open(written), Image.fromarray(RGB), Frame(RGB), Frame(path)]
    question = Question('Is there a car?', 'yes_no')
    wanted = heard(model.ask(model.look(RGB), question))
    for given in forms:
        view = model.look(given)
        np.testing.assert_array_equal(view.frame.image, RGB)
        assert heard(model.ask(view, question)) == wanted
    jpeg = model.look(JPEG).frame.image
    assert np.abs(jpeg.astype(int) - RGB).mean() < 20
    np.testing.assert_array_equal(jpeg, np.asarray(Image.open(io.BytesIO(JPEG))))


def test_a_picture_and_a_model_may_be_at_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv('HOME', str(tmp_path))
    Image.new('RGB', (4, 3), (9, 8, 7)).save(tmp_path / 'photo.png')
    (tmp_path / 'model').symlink_to(PACKAGED)
    assert Frame('~/photo.png').image.tolist() == [[[9, 8, 7]] * 4] * 3
    assert llava_phi.load('~/model').identity.name == 'llava-phi-tiny'


def test_a_picture_is_not_turned_and_loses_what_is_transparent() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    turned = file_bytes('PNG', exif=exif)
    np.testing.assert_array_equal(Frame(turned).image, RGB)
    alpha = Image.fromarray(RGB)
    alpha.putalpha(7)
    np.testing.assert_array_equal(Frame(file_bytes('PNG', alpha)).image, RGB)
    np.testing.assert_array_equal(Frame(alpha).image, RGB)


def test_who_hears_a_text_cannot_ask_meanwhile(model: Assistant) -> None:
    view = model.look(ROAD)
    whole = model.ask(view, 'What is on the road?')
    conversation, refused = Conversation(view), []

    def ask(*_: str) -> bool:
        for use in (
            lambda: model.ask(view, 'Is there a car?', kind='yes_no'),
            lambda: model.ask(conversation, 'Is there a car?', kind='yes_no'),
            lambda: model.ask_all(view, ['Is there a car?']),
            lambda: model.look(ROAD),
        ):
            with pytest.raises(QuestionError, match='on_text and out_of_time cannot use the ass'):
                use()
            refused.append(use)
        return False

    answer = model.ask(conversation, 'What is on the road?', on_text=ask)
    assert answer.text == whole.text and refused
    refused.clear()
    assert model.ask(view, 'What is on the road?', out_of_time=ask).text == whole.text and refused
    assert [each.text for each in conversation.answers] == [whole.text]


def test_threads_wait_for_each_other(model: Assistant) -> None:
    view = model.look(ROAD)
    questions = ['What is on the road?', 'What is the weather?'] * 6
    alone = [model.ask(view, question).text for question in questions]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda question: model.ask(view, question).text, questions))
    assert together == alone


def test_who_waits_for_another_thread_runs_out_of_time(model: Assistant, view: View) -> None:
    working, over = threading.Event(), threading.Event()

    def hold(text: str) -> None:
        working.set()
        assert over.wait(20)

    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(model.ask, view, 'What is there?', on_text=hold)
        assert working.wait(20)
        asked = iter([False, False, True])
        with pytest.raises(OutOfTimeError):
            model.ask(view, 'Is there a car?', kind='yes_no', out_of_time=lambda: next(asked))
        assert not first.done()
        over.set()
        assert first.result().text


def test_what_who_hears_a_text_raises_comes_out(model: Assistant, view: View) -> None:
    for error in (StopIteration('enough'), StopAsyncIteration(), KeyError('x'), RuntimeError('y')):

        def raise_it(text: str, error: Exception = error) -> None:
            raise error

        with pytest.raises(type(error)) as raised:
            model.ask(view, 'What is there?', on_text=raise_it)
        assert raised.value is error
    assert model.ask(view, 'Is there a car?', kind='yes_no').text


def test_a_fork_is_told_to_load_the_model_itself(model: Assistant, view: View) -> None:
    with mock.patch.object(os, 'getpid', lambda: -1):
        for use in (lambda: model.ask(view, 'a'), lambda: model.look(RGB)):
            with pytest.raises(ModelError, match='fork'):
                use()


def test_an_error_of_the_system_is_no_damage(model: Assistant, tmp_path: Path) -> None:
    (tmp_path / 'loop.jpg').symlink_to('loop.jpg')
    with pytest.raises(FrameError, match=r'loop\.jpg cannot be read: Too many levels of symbol'):
        model.look(tmp_path / 'loop.jpg')


@pytest.mark.parametrize('decoding', [math.nan, math.inf, -1, '1', True])
def test_decoding_is_a_number_of_seconds(model: Assistant, decoding: Any) -> None:
    with pytest.raises(FrameError, match='decoding is a number of seconds, not '):
        model.look(RGB, decoding=decoding)


def test_decoding_counts_as_encoding(model: Assistant) -> None:
    view = model.look(RGB, decoding=1e6)
    assert 1e6 < view.timings.encode < 1.1e6
    first, second = (model.ask(view, 'What?', max_tokens=1).timings for _ in range(2))
    assert (first.encode, second.encode) == (view.timings.encode, 0)


@pytest.mark.parametrize('kind', ['yes_no', 'YES_NO', 'Yes_No', 1, np.int64(1), Kind.YES_NO])
def test_a_kind_may_be_given_in_any_form(kind: Any) -> None:
    question = Question('Is there a car?', kind)
    assert question.kind is Kind.YES_NO
    assert question == Question('Is there a car?', Kind.YES_NO)


@pytest.mark.parametrize(
    'choices',
    [('red', 'green'), ['red', 'green'], deque(['red', 'green']), np.array(['red', 'green'])],
)
def test_choices_may_be_any_sequence(choices: Any) -> None:
    question = Question(np.str_('Which?'), 'choice', choices)
    assert question.choices == ('red', 'green')
    assert {type(text) for text in (question.text, *question.choices)} == {str}
    assert hash(question) == hash(Question('Which?', Kind.CHOICE, ('red', 'green')))


def test_a_text_is_asked_as_the_question_that_it_makes(model: Assistant, view: View) -> None:
    cases: tuple[tuple[str, dict[str, Any]], ...] = (
        ('Is there a car?', {'kind': 'yes_no'}),
        ('Which?', {'kind': 'choice', 'choices': ['a car', 'a bus']}),
        ('What?', {'max_tokens': np.int32(3), 'sampling': Sampling(seed=4)}),
        ('What?', {}),
    )
    for text, options in cases:
        asked = Question(text, **options)
        answer = model.ask(view, text, **options)
        assert answer.question == asked
        assert heard(answer) == heard(model.ask(view, asked))
    together = model.ask_all(view, ['What?', Question('Is there a car?', 'yes_no'), 5, ''])  # type: ignore[list-item]
    assert [type(each) for each in together] == [Answer, Answer, QuestionError, QuestionError]


def test_a_kind_is_never_ignored(model: Assistant, view: View) -> None:
    answer = model.ask(view, 'Is there a car?', kind='yes_no')
    assert answer.allowed == ('Yes', 'No')
    assert len(answer.probabilities) == 2


def heard(answer: Answer) -> tuple[object, ...]:
    """Return all of an answer but its timings."""
    return (answer.text, answer.value, answer.confidence, answer.probabilities)


class Odd:
    """Something that nobody can be expected to give, and that cannot even be shown."""

    def __repr__(self) -> str:
        raise RuntimeError('no words')


def number_array(dtype: str, *shape: int) -> NDArray[Any]:
    return np.ones(shape, dtype)


# What somebody might give where something else is wanted; the names are what errors call it.
ANYTHING: dict[str, Any] = {
    'None': None,
    'True': True,
    '7': 7,
    '-1': -1,
    '1.5': 1.5,
    'nan': float('nan'),
    '1j': 1j,
    'int': 10**5000,
    'Fraction': Fraction(1, 3),
    "''": '',
    'maybe': 'maybe',
    r'\ud800': '\ud800',
    "b'maybe'": b'maybe',
    'bytearray': bytearray(b'maybe'),
    "['a', 'b']": ['a', 'b'],
    '[1, 2]': [1, 2],
    '()': (),
    'dict': {'a': 1, 'b': 2},
    'set': {'a', 'b'},
    'range': range(3),
    'generator': (each for each in 'ab'),
    'Sampling': Sampling(),
    'SimpleNamespace': SimpleNamespace(cache=None, frame=None),
    'Odd': Odd(),
    'type': Question,
    'function': number_array,
    'float64 [4]': number_array('float64', 4),
    'int64 []': np.array(5),
    '<U3 []': np.array('abc'),
    'object': np.array([None, 'a']),
}
PICTURES: dict[str, Any] = {
    'float64 [8, 8, 3]': number_array('float64', 8, 8, 3),
    'uint16 [8, 8, 3]': number_array('uint16', 8, 8, 3),
    'uint8 [8, 8]': number_array('uint8', 8, 8),
    'uint8 [8, 8, 4]': number_array('uint8', 8, 8, 4),
    'uint8 [3, 8, 8]': number_array('uint8', 3, 8, 8),
    'uint8 [1, 8, 8, 3]': number_array('uint8', 1, 8, 8, 3),
    '[0, 8, 3]': number_array('uint8', 0, 8, 3),
    '[8, 0, 3]': number_array('uint8', 8, 0, 3),
    'list': RGB.tolist(),
    'no such file': 'nowhere.jpg',
    'folder': Path('/'),
    'nul': 'a\0b.png',
    'cut off': PNG[: len(PNG) // 2],
    'damaged': JPEG[:40],
    'none of': b'GIF, but no picture',
    'more than 8 bits': Image.fromarray(number_array('uint16', 8, 8)),
    'Image': Image.new('F', (8, 8)),
    '0': Image.new('RGB', (0, 8)),
}


def closed_picture() -> Image.Image:
    picture = Image.open(io.BytesIO(PNG))
    picture.close()
    return picture


def cut_off_picture() -> Image.Image:
    return Image.open(io.BytesIO(PNG[: len(PNG) // 2]))


def refusal(error: LlavaPhiError, names: str, given: Any) -> None:
    """Hold an error to one sentence that says what was given, or what kind of thing it is."""
    text = str(error)
    assert text and '\n' not in text and len(text) < 400, text
    said = {names, names.split()[0], type(given).__name__}
    if isinstance(given, (str, bytes, bytearray)):
        said |= {f'{len(given)} bytes', 'no name' if not given else names}
    assert any(word in text for word in said), f'{names}: {text}'


def all_pictures() -> Iterator[tuple[str, Any]]:
    yield from ANYTHING.items()
    yield from PICTURES.items()
    yield 'PngImageFile', closed_picture()
    yield 'PngImageFile', cut_off_picture()


def test_what_is_no_picture_is_refused(model: Assistant) -> None:
    for names, given in all_pictures():
        with pytest.raises(FrameError) as error:
            model.look(given)
        refusal(error.value, names, given)
        with pytest.raises(FrameError):
            Frame(given)


@pytest.mark.parametrize('form', ['JPEG', 'PNG', 'WEBP', 'BMP', 'GIF', 'TIFF'])
@pytest.mark.filterwarnings('ignore::UserWarning')  # Pillow's, about what is damaged
def test_no_part_of_a_picture_is_taken_for_the_whole(form: str) -> None:
    data = file_bytes(form)
    whole = Frame(data).image
    refused = 0
    for length in range(0, len(data), 1 + len(data) // 300):
        try:
            part = Frame(data[:length]).image
        except FrameError:
            refused += 1
        else:
            np.testing.assert_array_equal(part, whole)
    assert refused > 100


@pytest.mark.filterwarnings('ignore::UserWarning', 'ignore::RuntimeWarning')
def test_a_damaged_picture_is_a_picture_or_refused() -> None:
    rng = np.random.default_rng(5)
    forms = [file_bytes(form) for form in ('JPEG', 'PNG', 'WEBP', 'BMP', 'GIF', 'TIFF')]
    refused = 0
    for data, _ in itertools.product(forms, range(200)):
        damaged = bytearray(data)
        for place in rng.integers(0, min(len(data), 400), 4):
            damaged[place] = rng.integers(0, 256)
        try:
            Frame(bytes(damaged))
        except FrameError:
            refused += 1
    assert refused > 300


def test_whatever_a_decoder_raises_is_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """A damaged TIFF has made Pillow seek to a fraction of a byte: a TypeError."""
    for error in (TypeError('a float'), KeyError(3), SyntaxError('broken'), EOFError()):
        monkeypatch.setattr(Image.Image, 'convert', mock.Mock(side_effect=error))
        for given in (PNG, Image.fromarray(RGB)):
            with pytest.raises(FrameError):
                Frame(given)


def test_a_frame_that_is_none_is_refused() -> None:
    for field, wrong in itertools.product(('stamp_ns', 'frame_id', 'camera'), ANYTHING):
        fields: dict[str, Any] = {field: ANYTHING[wrong]}
        try:
            frame = Frame(RGB, **fields)
        except FrameError as error:
            refusal(error, field, ANYTHING[wrong])
        else:
            kind = int if field == 'stamp_ns' else str
            assert type(getattr(frame, field)) is kind


FIELDS = ('question', 'kind', 'choices', 'max_tokens', 'sampling', 'out_of_time', 'on_text')


USUAL: dict[str, Any] = {'question': 'Is there a car?', 'max_tokens': 2}
CHOICE = {**USUAL, 'kind': 'choice', 'choices': ['a car', 'a bus']}
MADE = {'question': Question('Is there a car?', 'yes_no')}
# What is odd, and yet allowed: a field, and what is given there.
ALLOWED = {
    *itertools.product(FIELDS[1:5], ['None']),
    ('question', 'maybe'),
    ('max_tokens', '7'),
    ('max_tokens', 'int'),
    ('max_tokens', 'int64 []'),
    ('choices', '()'),
    ('choices', "['a', 'b']"),
    ('sampling', 'Sampling'),
}


def askings() -> Iterator[tuple[dict[str, Any], str, str, Any]]:
    """Yield arguments of `ask` with anything in one field; the field, a name of it, and itself."""
    for field, others in itertools.product(FIELDS, (USUAL, CHOICE, MADE)):
        for names, given in ANYTHING.items():
            if field in ('out_of_time', 'on_text') and callable(given):
                continue  # what a function of the user's raises is the user's
            if field != 'question' or others is not MADE:
                yield {**others, field: given}, field, names, given
    more: dict[str, Any] = {"'ab'": 'ab', "'a', 1": ['a', 1], '1 choice;': ['a']}
    more |= {'twice': ['a', 'a '], 'choice 2 is empty': ['a', ''], '2': np.array([1, 2])}
    for names, given in more.items():
        yield {**CHOICE, 'choices': given}, 'choices', names, given
    for names, given in {"'8'": '8', '0': 0, '-3': np.int8(-3)}.items():
        yield {**USUAL, 'max_tokens': given}, 'max_tokens', names, given
    yield {**USUAL, 'question': 'x' * 1001}, 'question', '1001 characters', None


def test_any_question_is_answered_or_refused(model: Assistant, view: View) -> None:
    answered, refused = set(), 0
    for arguments, field, names, given in askings():
        try:
            answer = model.ask(view, **arguments)
        except LlavaPhiError as error:
            assert isinstance(error, QuestionError)
            # A choice or a sampling may be right, but not for that kind of question.
            named = [names, field] if field in str(error) else [names, 'kind']
            refusal(error, next((each for each in named if each in str(error)), names), given)
            refused += 1
        else:
            assert isinstance(answer, Answer) and isinstance(answer.question.kind, Kind)
            answered.add((field, names))
    assert answered == ALLOWED
    assert refused > 400


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'kind': 'maybe'}, r"no kind 'maybe' of question; kinds: text \(0\), yes_no \(1\)"),
        ({'kind': 7}, 'no kind 7'),
        ({'kind': True}, 'no kind True'),
        ({'kind': 1.0}, r'no kind 1\.0'),
        ({'kind': 'choice', 'choices': 'ab'}, "choices are a list of texts, .*, not 'ab'"),
        ({'kind': 'choice', 'choices': {'a', 'b'}}, r'choices are .*, not \{.*\(set\)'),
        ({'kind': 'choice', 'choices': {'a': 1, 'b': 2}}, r'choices are .*, not \{.*\(dict\)'),
        ({'kind': 'choice', 'choices': ['a', 2]}, r"not 2 \(int\) in \['a', 2\]"),
        ({'max_tokens': '8'}, "max_tokens is a whole number, not '8'"),
        ({'max_tokens': 1.5}, r'max_tokens is a whole number, not 1\.5'),
        ({'max_tokens': True}, 'max_tokens is a whole number, not True'),
        ({'max_tokens': -(10**5000)}, 'max_tokens is a value of type int'),
        ({'sampling': {'seed': 1}}, r"sampling is a Sampling, .*, not \{'seed': 1\}"),
    ],
)
def test_a_refusal_says_what_would_be_right(
    model: Assistant, view: View, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(QuestionError, match=message):
        model.ask(view, 'Which?', **arguments)
    with pytest.raises(QuestionError, match=message):
        Question('Which?', **arguments)


@pytest.mark.parametrize('field', ['temperature', 'top_p', 'seed'])
def test_sampling_is_checked(field: str) -> None:
    for name, given in ANYTHING.items():
        values: dict[str, Any] = {field: given}
        try:
            sampling = Sampling(**values)
        except QuestionError as error:
            refusal(error, field, given)
        else:
            wanted = int if field == 'seed' else float
            assert type(getattr(sampling, field)) is wanted, name


def test_only_a_view_of_its_own_is_asked_about(model: Assistant, view: View) -> None:
    other = llava_phi.load('llava-phi-tiny')
    with pytest.raises(QuestionError, match='of another assistant; look at the picture with'):
        other.ask(view, 'What?')
    with pytest.raises(QuestionError, match='of another assistant'):
        other.ask_all(view, ['What?'])
    with pytest.raises(QuestionError, match='of another assistant'):
        other.ask(Conversation(view), 'What?')
    for names, given in itertools.chain(ANYTHING.items(), {'Frame': Frame(RGB)}.items()):
        for ask in (
            lambda about: model.ask(about, 'What?'),
            lambda about: model.ask_all(about, ['What?']),
            Conversation,
        ):
            with pytest.raises(QuestionError) as error:
                ask(given)
            refusal(error.value, names, given)
    for given in ('What?', Question('What?'), None, 5, {'What?'}):
        with pytest.raises(QuestionError, match='questions are a list of texts and Questions'):
            model.ask_all(view, given)  # type: ignore[arg-type]


def test_any_model_is_loaded_or_refused() -> None:
    pytest.importorskip('torch')  # which knows the devices
    for field in ('model', 'engine', 'device', 'precision'):
        for names, given in ANYTHING.items():
            arguments = {'model': 'llava-phi-tiny', field: given}
            with pytest.raises(llava_phi.ModelError) as error:
                llava_phi.load(**arguments)
            refusal(error.value, names, given)


def test_a_conversation_and_its_view_stay_apart(model: Assistant, view: View) -> None:
    alone = heard(model.ask(view, 'What is there?'))
    conversation = Conversation(view)
    first = model.ask(conversation, 'What is there?')
    second = model.ask(conversation, 'Is there a car?', kind='yes_no')
    assert heard(first) == alone == heard(model.ask(view, 'What is there?'))
    assert conversation.answers == (first, second)
    assert conversation.view is view
    assert second.prompt_tokens > model.ask(view, 'Is there a car?', kind='yes_no').prompt_tokens


def test_nothing_to_see_is_not_asked_about(model: Assistant) -> None:
    view = model.look(np.zeros((8, 8, 3), np.uint8))
    conversation = Conversation(view)
    for about in (view, conversation, conversation):
        answer = model.ask(about, 'Is there a car?', kind='yes_no')
        assert answer.abstained and 'black' in answer.abstain_reason
    assert len(conversation.answers) == 2
