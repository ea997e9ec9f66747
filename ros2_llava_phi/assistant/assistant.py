"""The assistant: look at a frame once, then answer any number of questions about it."""

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from tokenizers import Tokenizer

from ros2_llava_phi.engine.branches import Branches
from ros2_llava_phi.engine.engine import AnyEngine, Floats
from ros2_llava_phi.errors import ModelError, OutOfTimeError, QuestionError
from ros2_llava_phi.model.image import preprocess
from ros2_llava_phi.model.prompt import BEFORE_PICTURE, after_picture, next_turn
from ros2_llava_phi.model.tokenizer import encode

from .answer import CANNOT_TELL, YES_NO, Answer, ModelIdentity, Timings
from .frame import Frame, nothing_to_see
from .question import Kind, Question, request_text
from .reply import NumberTokens, Prompted, Reply, choose, read_number, write_text
from .steps import Steps, run_alone, run_together
from .together import Asked, groups
from .view import View

# Tokens that must be free behind a prompt for the answer.
LEAST_ROOM = 16


def never() -> bool:
    """Say that there is still time."""
    return False


def ignore(text: str) -> None:
    """Do nothing with a piece of text."""


class Assistant:
    """Answer questions about frames with one engine; for one thread at a time."""

    def __init__(self, engine: AnyEngine, tokenizer: Tokenizer, identity: ModelIdentity) -> None:
        """
        Take over an engine and the tokenizer of its model.

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
        self._engine = engine
        self._tokenizer = tokenizer
        self._before_picture = engine.embed(before_picture)
        self._numbers = NumberTokens(tokenizer, engine.config.text.eos_token_id)

    def look(self, frame: Frame, check: bool = True) -> View:
        """
        Encode a frame's picture, and prefill the prompt up to and including it.

        check: whether a frame that shows nothing is not looked at, and abstained on.
        """
        if check and (reason := nothing_to_see(frame)):
            return View(frame, None, 0, Timings(), reason)
        cache = self._engine.new_cache()
        start = time.perf_counter()
        pixels = preprocess(frame.image, self._engine.config)
        picture = self._engine.encode(pixels)
        encoded = time.perf_counter()
        self._engine.prefill(np.concatenate([self._before_picture, picture]), cache)
        timings = Timings(encode=encoded - start, prefill_view=time.perf_counter() - encoded)
        return View(frame, cache, cache.length, timings)

    def ask(
        self,
        view: View,
        question: Question,
        out_of_time: Callable[[], bool] = never,
        on_text: Callable[[str], None] = ignore,
        follow_up: bool = False,
    ) -> Answer:
        """
        Answer one question about a view.

        out_of_time: asked before every step; once true, a free text is cut short and anything
        else raises OutOfTimeError.
        on_text: gets a free text's pieces as they come.
        follow_up: whether the question goes on from the last one about this view and its answer,
        which are not read again; otherwise it stands alone.

        Raises QuestionError if the question does not fit the model's context, or there is none to
        go on from.
        """
        if out_of_time():
            raise OutOfTimeError
        if view.cache is None:
            return self._answer(question, _nothing(question), Timings(), 0, view.nothing_to_see)
        start = time.perf_counter()
        past, tokens = self._prompt(view, question, follow_up)
        self._check_room(past, len(tokens), question)
        view.unread = []
        view.cache.rewind(past)
        logits = self._engine.prefill(self._engine.embed(tokens), view.cache)
        prefilled = time.perf_counter()
        prompt = self._prompted(logits, past + len(tokens), out_of_time)
        reply, read = run_alone(self._reply(prompt, question, on_text), self._engine, view.cache)
        self._remember(view, past + len(tokens), reply, read)
        timings = replace(
            view.take_timings(), prefill=prefilled - start, decode=time.perf_counter() - prefilled
        )
        return self._answer(question, reply, timings, past + len(tokens), _why(reply))

    def ask_all(self, view: View, questions: Sequence[Question]) -> list[Answer | QuestionError]:
        """
        Answer many questions about a view, each alone, up to eight of them at a time.

        The answers are those of `ask`, but for the rounding of sums, which integers and halves
        make larger: by a hundredth or two of a confidence. What is done for several together
        counts for each in equal parts. In the place of a question that does not fit the
        model's context stands the error; none can be followed up.
        """
        if view.cache is None:
            return [self.ask(view, question) for question in questions]
        view.unread = []
        answers: dict[int, Answer | QuestionError] = {}
        asked = []
        for place, question in enumerate(questions):
            try:
                _, tokens = self._prompt(view, question, follow_up=False)
                self._check_room(view.prefix, len(tokens), question)
                asked.append(Asked(place, question, tokens))
            except QuestionError as error:
                answers[place] = error
        for group in groups(asked, view.cache.capacity - view.prefix, LEAST_ROOM):
            found = self._ask_together(view, group) if len(group) > 1 else [None]
            for one, answer in zip(group, found, strict=True):
                answers[one.place] = answer or self.ask(view, one.question)
        view.unread = []
        return [answers[place] for place in range(len(questions))]

    def _ask_together(self, view: View, group: Sequence[Asked]) -> list[Answer | None]:
        """Answer a group's questions at once; None is for those whose answers have no room."""
        assert view.cache is not None
        start = time.perf_counter()
        view.cache.rewind(view.prefix)
        branches = Branches(view.prefix)
        layout = branches.append([(i, len(one.tokens)) for i, one in enumerate(group)])
        tokens = [token for one in group for token in one.tokens]
        logits = self._engine.extend(self._engine.embed(tokens), view.cache, layout)
        prefilled = time.perf_counter()
        lengths = [view.prefix + len(one.tokens) for one in group]
        steps = [
            self._reply(self._prompted(row, length, never), one.question, ignore)
            for one, row, length in zip(group, logits, lengths, strict=True)
        ]
        replies = run_together(steps, self._engine, view.cache, branches)
        share = Timings(
            prefill=(prefilled - start) / len(group),
            decode=(time.perf_counter() - prefilled) / len(group),
        )
        answers: list[Answer | None] = []
        for one, reply, length in zip(group, replies, lengths, strict=True):
            if reply is None:
                answers.append(None)
                continue
            looked = view.take_timings()
            timings = replace(looked, prefill=share.prefill, decode=share.decode)
            answers.append(self._answer(one.question, reply, timings, length, _why(reply)))
        return answers

    def _prompt(self, view: View, question: Question, follow_up: bool) -> tuple[int, list[int]]:
        """Return how much of the cache a question goes on from, and its tokens behind that."""
        request = request_text(question)
        if not follow_up:
            return view.prefix, encode(self._tokenizer, after_picture(request))
        if not view.unread:
            raise QuestionError('there is no answer about this frame to go on from; ask it alone')
        return view.past, [*view.unread, *encode(self._tokenizer, next_turn(request))]

    def _prompted(self, logits: Floats, length: int, out_of_time: Callable[[], bool]) -> Prompted:
        config = self._engine.config
        room = config.text.context_length - length
        return Prompted(config, self._tokenizer, logits, room, out_of_time)

    def _remember(self, view: View, prompt: int, reply: Reply, read: Sequence[int]) -> None:
        """Keep what was answered, behind `prompt` tokens, for a question that follows."""
        same = itertools.takewhile(
            lambda pair: pair[0] == pair[1], zip(read, reply.said, strict=False)
        )
        in_cache = len(list(same))
        view.past = prompt + in_cache
        view.unread = [*reply.said[in_cache:], self._engine.config.text.eos_token_id]

    def _check_room(self, prefix: int, tokens: int, question: Question) -> None:
        answers = [len(encode(self._tokenizer, answer)) + 1 for answer in question.choices]
        answer = max([LEAST_ROOM, *answers])
        room = self._engine.config.text.context_length - prefix - answer
        if room < 1:
            raise QuestionError(
                f'the longest choice takes {answer} tokens, and leaves no room for the question; '
                'offer shorter ones'
            )
        if tokens > room:
            raise QuestionError(
                f'the question takes {tokens} tokens, but the model has room for {room} '
                'behind the picture; ask in fewer words'
            )

    def _reply(
        self, prompt: Prompted, question: Question, on_text: Callable[[str], None]
    ) -> Steps[Reply]:
        if question.kind == Kind.FREE_TEXT:
            return write_text(prompt, question.max_tokens, on_text, question.sampling)
        if question.kind == Kind.NUMBER:
            return read_number(prompt, self._numbers)
        return choose(prompt, _allowed(question))

    def _answer(
        self, question: Question, reply: Reply, timings: Timings, prompt_tokens: int, reason: str
    ) -> Answer:
        value = reply.value
        if question.kind == Kind.YES_NO and value is not None:
            value = YES_NO[int(value)] == 'Yes'
        return Answer(
            question=question,
            text=reply.text,
            value=value,
            confidence=reply.confidence,
            timings=timings,
            prompt_tokens=prompt_tokens,
            answer_tokens=reply.tokens,
            model=self.identity,
            allowed=_allowed(question),
            probabilities=reply.probabilities,
            abstain_reason=reason,
            cut_short=reply.cut_short,
        )


def _why(reply: Reply) -> str:
    """Return why the assistant abstains; empty if it does not."""
    return 'the model finds that the picture does not tell' if reply.abstained else ''


def _allowed(question: Question) -> tuple[str, ...]:
    """Return the closed set of answers; empty for free text and numbers."""
    return YES_NO if question.kind == Kind.YES_NO else question.choices


def _nothing(question: Question) -> Reply:
    """Return the reply to any question about a frame that shows nothing."""
    none = (0.0,) * len(_allowed(question))
    return Reply(CANNOT_TELL, 1.0, probabilities=none, abstained=True)
