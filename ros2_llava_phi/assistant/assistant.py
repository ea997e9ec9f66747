"""The assistant: look at a frame once, then answer any number of questions about it."""

import math
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from tokenizers import Tokenizer

from ros2_llava_phi.engine.engine import AnyEngine
from ros2_llava_phi.errors import FrameError, ModelError, QuestionError, described
from ros2_llava_phi.imaging.pictures import Picture
from ros2_llava_phi.model.prompt import BEFORE_PICTURE, after_picture, next_turn
from ros2_llava_phi.model.tokenizer import encode

from .answer import CANNOT_TELL, YES_NO, Answer, ModelIdentity, Timings
from .closed_answers import choose
from .frame import Frame, nothing_to_see
from .question import Kind, Question, Sampling, request_text, to_question
from .reply import check_time, read_number, write_text
from .responder import LEAST_ROOM, Form, Past, Replied, Request, Responder, never
from .view import Conversation, View

# Seconds after which who waits for another thread asks whether there is still time.
LOOK_UP = 0.02


def ignore(text: str) -> None:
    """Do nothing with a piece of text."""


class Assistant:
    """
    Answer questions about pictures with one engine; of several threads, the others wait.

        model = llava_phi.load('llava-phi-tiny')
        view = model.look('photo.jpg')
        answer = model.ask(view, 'Is there a car?', kind='yes_no')
        print(answer.value, answer.confidence)
    """

    def __init__(self, engine: AnyEngine, tokenizer: Tokenizer, identity: ModelIdentity) -> None:
        """
        Take over an engine and the tokenizer of its model; `load` makes an assistant of a name.

        Raises ModelError if the model's context has no room for a picture and a question.
        """
        before_picture = encode(tokenizer, BEFORE_PICTURE)
        shortest = len(encode(tokenizer, after_picture('?')))
        needed = len(before_picture) + engine.config.image_tokens + shortest + LEAST_ROOM
        if (length := engine.config.text.context_length) < needed:
            raise ModelError(
                f"the model's context_length is {length} tokens, but with its tokenizer, a "
                f'picture, the shortest question and its answer take {needed}'
            )
        self.identity = identity
        self._tokenizer = tokenizer
        self._responder = Responder(engine, tokenizer)
        self._before_picture = engine.embed(before_picture)
        # Views with an answer: the first one reports what looking took.
        self._answered = weakref.WeakSet[View]()
        self._turn = threading.RLock()
        self._at_work = False
        self._process = os.getpid()

    def look(self, picture: Picture | Frame, check: bool = True, decoding: float = 0.0) -> View:
        """
        Encode a picture, and prefill the prompt up to and including it.

            model.look('photo.jpg')
            model.look(jpeg_bytes)
            model.look(Image.open('photo.jpg'))
            model.look(rgb)  # uint8 [height, width, 3]
            model.look(Frame(rgb, stamp_ns=stamp, frame_id='front_optical'))

        check: whether a picture that shows nothing is not looked at, and abstained on.
        decoding: seconds that it took to decode a frame. They count as encoding, as does the time
        to decode what is no frame yet.

        Raises FrameError for what is no picture; it says what would be right.
        """
        is_number = isinstance(decoding, (int, float)) and not isinstance(decoding, bool)
        if not is_number or not 0 <= decoding < math.inf:
            raise FrameError(f'decoding is a number of seconds, not {described(decoding)}')
        start = time.perf_counter()
        frame = picture if isinstance(picture, Frame) else Frame(picture)
        decoding += time.perf_counter() - start
        if check and (reason := nothing_to_see(frame)):
            return View(frame, Timings(), reason, None)
        with self._alone():
            start = time.perf_counter()
            embeddings = self._responder.encode(frame.image)
            encoded = time.perf_counter()
            prefix = self._responder.begin([self._before_picture, embeddings])
            looked = time.perf_counter()
        timings = Timings(encode=decoding + encoded - start, prefill_view=looked - encoded)
        return View(frame, timings, '', prefix)

    def ask(
        self,
        about: View | Conversation,
        question: str | Question,
        *,
        kind: Kind | str | int | None = None,
        choices: Sequence[str] | None = None,
        max_tokens: int | None = None,
        sampling: Sampling | None = None,
        out_of_time: Callable[[], bool] = never,
        on_text: Callable[[str], object] = ignore,
    ) -> Answer:
        """
        Answer one question about a view, alone, or as the next of a conversation about it.

            model.ask(view, 'What is on the road?', on_text=print)
            model.ask(view, 'Which is nearest?', kind='choice', choices=['the bus', 'the car'])
            model.ask(Conversation(view), 'Is there a car?', kind='yes_no')

        kind, choices, max_tokens, sampling: as Question has them, where a text is given.
        out_of_time: asked before every step, and while another thread asks; once true, a free text
        is cut short, and anything else, or what has not begun, raises OutOfTimeError.
        on_text: gets a free text's pieces as they come.

        Raises QuestionError for what cannot be asked, or does not fit the model's context, and for
        a call from within on_text or out_of_time.
        """
        question = to_question(question, kind, choices, max_tokens, sampling)
        for name, function in (('out_of_time', out_of_time), ('on_text', on_text)):
            if not callable(function):
                raise QuestionError(f'{name} is a function, not {described(function)}')
        conversation = Conversation(about) if isinstance(about, View) else about
        if not isinstance(conversation, Conversation):
            raise QuestionError(
                'a question is about a View, as look returns it, or a Conversation about one, '
                f'not about {described(about)}'
            )
        view = self._own(conversation.view)
        with self._alone(out_of_time):
            check_time(out_of_time)
            if view.prefix is None:
                answer = self._abstain(view, question)
                conversation.remember(answer, Past())
                return answer
            request = self._request(view, question, conversation.past, out_of_time, on_text)
            try:
                (replied,) = self._responder.reply(view.prefix, [request])
            except RuntimeError as error:
                # What out_of_time or on_text raised; a generator may not (PEP 479).
                if isinstance(error.__cause__, StopIteration):
                    raise error.__cause__ from None
                raise
            answer = self._answer(view, question, replied)
            conversation.remember(answer, replied.past or Past())
            return answer

    def ask_all(
        self, view: View, questions: Sequence[str | Question]
    ) -> list[Answer | QuestionError]:
        """
        Answer many questions about a view, each alone, up to eight of them at a time.

            model.ask_all(view, ['What is there?', Question('Is it red?', 'yes_no')])

        The answers are those of `ask`, but for the rounding of sums, which integers and halves
        make larger: by a hundredth or two of a confidence. What is done for several together
        counts for each in equal parts. In the place of a question that cannot be asked, or does
        not fit the model's context, stands the error.
        """
        if isinstance(questions, (str, Question)) or not isinstance(questions, Sequence):
            raise QuestionError(
                f'questions are a list of texts and Questions, not {described(questions)}'
            )
        if not isinstance(view, View):
            raise QuestionError(
                f'questions are about a View, as look returns it, not about {described(view)}'
            )
        prefix = self._own(view).prefix
        answers: dict[int, Answer | QuestionError] = {}
        asked: dict[int, Question] = {}
        requests = []
        for place, given in enumerate(questions):
            try:
                question = to_question(given)
                if prefix is None:
                    answers[place] = self._abstain(view, question)
                    continue
                requests.append(self._request(view, question, Past(), never, ignore))
                asked[place] = question
            except QuestionError as error:
                answers[place] = error
        if prefix is not None:
            with self._alone():
                replies = self._responder.reply(prefix, requests)
                for (place, question), replied in zip(asked.items(), replies, strict=True):
                    answers[place] = self._answer(view, question, replied)
        return [answers[place] for place in range(len(questions))]

    @contextmanager
    def _alone(self, out_of_time: Callable[[], bool] = never) -> Iterator[None]:
        """
        Have the engine to itself.

        Raises QuestionError for a call from within another one, OutOfTimeError if the time is up
        before its turn, and ModelError in a fork, where what the engine runs on is missing.
        """
        if os.getpid() != self._process:
            raise ModelError(
                'the model was loaded by a process that this one is a fork of; load it here, or '
                "let multiprocessing start processes by 'spawn'"
            )
        while not self._turn.acquire(timeout=LOOK_UP):
            check_time(out_of_time)
        try:
            if self._at_work:
                raise QuestionError(
                    'on_text and out_of_time cannot use the assistant, which is answering; use it '
                    'once the answer is there'
                )
            self._at_work = True
            try:
                yield
            finally:
                self._at_work = False
        finally:
            self._turn.release()

    def _own(self, view: View) -> View:
        if view.prefix is not None and view.prefix.engine is not self._responder.engine:
            raise QuestionError(
                'the view is of another assistant; look at the picture with the one that you ask, '
                f'{self.identity}'
            )
        return view

    def _request(
        self,
        view: View,
        question: Question,
        past: Past,
        out_of_time: Callable[[], bool],
        on_text: Callable[[str], object],
    ) -> Request:
        """Return a question in the model's words; raises QuestionError if there is no room."""
        text = request_text(question)
        words = next_turn(text) if past != Past() else after_picture(text)
        tokens = encode(self._tokenizer, words)
        self._check_room(view, past, len(tokens), question)
        return Request(tokens, self._form(question, on_text), past, out_of_time)

    def _check_room(self, view: View, past: Past, tokens: int, question: Question) -> None:
        answers = [len(encode(self._tokenizer, answer)) + 1 for answer in question.choices]
        answer = max([LEAST_ROOM, *answers])
        config = self._responder.config
        before = (view.prefix.length if view.prefix else 0) + past.read + len(past.unread)
        room = config.text.context_length - before - answer
        if room < 1 and past == Past():
            raise QuestionError(
                f'the longest choice takes {answer} tokens, and leaves no room for the question; '
                'offer shorter ones'
            )
        if tokens > room:
            behind = 'the picture' if past == Past() else 'what was said about the picture'
            raise QuestionError(
                f'the question takes {tokens} tokens, but the model has room for {max(room, 0)} '
                f'behind {behind}; ask in fewer words'
                + ('' if past == Past() else ', or begin a new conversation')
            )

    def _form(self, question: Question, on_text: Callable[[str], object]) -> Form:
        if question.kind == Kind.FREE_TEXT:
            return partial(
                write_text,
                max_tokens=question.max_tokens,
                on_text=on_text,
                sampling=question.sampling,
            )
        if question.kind == Kind.NUMBER:
            return partial(read_number, numbers=self._responder.numbers)
        return partial(choose, answers=_allowed(question))

    def _answer(self, view: View, question: Question, replied: Replied) -> Answer:
        looking = Timings() if view in self._answered else view.timings
        self._answered.add(view)
        reply, value = replied.reply, replied.reply.value
        if question.kind == Kind.YES_NO and value is not None:
            value = YES_NO[int(value)] == 'Yes'
        reason = 'the model finds that the picture does not tell' if reply.abstained else ''
        return Answer(
            question=question,
            text=reply.text,
            value=value,
            confidence=reply.confidence,
            timings=replace(looking, prefill=replied.prefill, decode=replied.decode),
            prompt_tokens=replied.prompt_tokens,
            answer_tokens=reply.tokens,
            model=self.identity,
            allowed=_allowed(question),
            probabilities=reply.probabilities,
            abstain_reason=reason,
            cut_short=reply.cut_short,
        )

    def _abstain(self, view: View, question: Question) -> Answer:
        """Return the answer to any question about a frame that shows nothing."""
        return Answer(
            question=question,
            text=CANNOT_TELL,
            value=None,
            confidence=1.0,
            timings=Timings(),
            prompt_tokens=0,
            answer_tokens=0,
            model=self.identity,
            allowed=_allowed(question),
            probabilities=(0.0,) * len(_allowed(question)),
            abstain_reason=view.nothing_to_see,
        )


def _allowed(question: Question) -> tuple[str, ...]:
    """Return the closed set of answers; empty for free text and numbers."""
    return YES_NO if question.kind == Kind.YES_NO else question.choices
