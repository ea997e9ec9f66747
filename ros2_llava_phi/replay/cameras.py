"""Which camera of a recording a question is about: one topic is one camera, whatever its name."""

from collections.abc import Mapping
from pathlib import Path

from ros2_llava_phi.errors import QuestionsFileError

from .questions import QuestionsFile


class Cameras:
    """
    The cameras of one recording that a questions file asks about, for all ways of asking.

    A camera may be called by its short names in the file, by its topic, or by the first part of
    that where no other topic has the same.

    topics: by name, the topic of each camera that is asked about. A camera is called by its first
    short name, else by the first part of its topic if a question does so, else by its topic.
    of_question: the name of each question's camera.
    """

    def __init__(
        self, questions: QuestionsFile, with_pictures: Mapping[str, str], path: Path
    ) -> None:
        """
        Resolve the camera of every question.

        with_pictures: the topics of the recording that carry pictures, with their types.
        path: of the recording, for messages.

        Raises QuestionsFileError for a camera that it does not have, and where several are meant.
        """
        self._short, self._known, self._path = questions.cameras, with_pictures, path
        asked = [
            self._topic_of(each.camera, number)
            for number, each in enumerate(questions.questions, 1)
        ]
        called = {each.camera for each in questions.questions}
        names = {topic: self._name(topic, called) for topic in asked}
        self.topics = {name: topic for topic, name in names.items()}
        self.of_question = [names[topic] for topic in asked]

    def names_of(self, topic: str) -> tuple[str, ...]:
        """Return all that a camera may be called, its short names first."""
        short = [name for name in self._short if self._candidates(name) == [topic]]
        first = _first_part(topic)
        of_topic = [first] if self._candidates(first) == [topic] else []
        return tuple(dict.fromkeys((*short, *of_topic, topic)))

    def own_name(self, name: str) -> str:
        """Return what a camera is called here that another run called so, if there is one."""
        own = {topic: camera for camera, topic in self.topics.items()}
        candidates = self._candidates(name)
        return own.get(candidates[0], name) if len(candidates) == 1 else name

    def _topic_of(self, name: str, number: int) -> str:
        candidates = self._candidates(name) if name else list(self._known)
        if len(candidates) == 1:
            return candidates[0]
        choice = ' or '.join(self.names_of(each)[0] for each in candidates or self._known)
        has = f'it has pictures on {", ".join(self._known)}; name one, `camera: {choice}`'
        if candidates:
            many = f'more than one camera {name!r}' if name else 'more than one camera'
            raise QuestionsFileError(f'{self._path} has {many} for question {number}; {has}')
        topic = f' (topic {self._short[name]})' if name in self._short else ''
        raise QuestionsFileError(
            f'{self._path} has no camera {name!r}{topic} for question {number}; {has}'
        )

    def _candidates(self, name: str) -> list[str]:
        """Return the topics that a name may mean."""
        name = self._short.get(name, name).strip('/')
        exact = [topic for topic in self._known if topic.strip('/') == name]
        return exact or [topic for topic in self._known if _first_part(topic) == name]

    def _name(self, topic: str, called: set[str]) -> str:
        short, *others = self.names_of(topic)
        if short in self._short or not others:
            return short
        return short if short in called else topic


def _first_part(topic: str) -> str:
    return topic.strip('/').split('/')[0]
