"""
Everything that this package raises on purpose; each says in a sentence what was wrong.

    LlavaPhiError
    ├── InputError              what somebody gave cannot be used; it says what would be right
    │   ├── ModelError          a checkpoint, an export, plans, or what is to run them
    │   ├── QuestionError       a question
    │   ├── FrameError          a picture, or a camera's message
    │   │   └── DamagedFrameError   it lost data
    │   ├── BagError            a recording
    │   │   └── VideoError      a video file
    │   ├── QuestionsFileError  a file of questions about recordings
    │   ├── DataError           a data set, a benchmark's files, a file of truths
    │   ├── TrainingError       a training's recipe, or its run
    │   ├── ResultsError        the results of a replay
    │   ├── ParameterError      a parameter of the node, or an argument of its launch file
    │   └── FileError           a file that cannot be read or written, whatever it holds
    ├── InstallationError       a package that the installation lacks
    ├── OutOfTimeError          the time was up before there was an answer
    ├── ClientError             a node, or what plays to it, is not there or does not listen
    │   └── NoResponseError     it did not respond in time
    └── ComputeError            what runs the network failed
        ├── NumericsError       NaN or infinity
        └── DeviceError         CUDA
"""

import reprlib

LONGEST_DESCRIPTION = 100  # characters
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = LONGEST_DESCRIPTION


class LlavaPhiError(Exception):
    """The root of all errors of this package."""


class InputError(LlavaPhiError, ValueError):
    """What was given cannot be used; the text says what, why, and what would be right."""


class ModelError(InputError):
    """A model that cannot be used; the text says what is wrong with it, in one line."""


class QuestionError(InputError):
    """A question that cannot be asked; the text says why, and what would be right."""


class FrameError(InputError):
    """What cannot be made a picture; the text says why, and what would be right."""


class DamagedFrameError(FrameError):
    """A picture, or a camera's message, that lost data; the text says how that shows."""


class BagError(InputError):
    """A recording that cannot be read or written; the text says why, and what would be right."""


class VideoError(BagError):
    """A video that cannot be read; the text says why."""


class QuestionsFileError(InputError):
    """A questions file that cannot be used; the text names file, question and field."""


class DataError(InputError):
    """Data that cannot be used; one line that says where, what, and what is right."""


class TrainingError(InputError):
    """A training that cannot start or go on; one line that says why, and what would be right."""


class ResultsError(InputError):
    """Results that cannot be read or written; the text says why."""


class ParameterError(InputError):
    """A parameter that cannot be; the text says which and why, and what would be right."""


class FileError(InputError):
    """A file or folder that cannot be read or written; one line that says where and why."""


class InstallationError(LlavaPhiError):
    """A package that the installation lacks; the text says which, what for, and how to get it."""


class OutOfTimeError(LlavaPhiError):
    """The time ran out before there was an answer."""


class ClientError(LlavaPhiError):
    """A process that is not there, or does not do its part; the text says which, and why."""


class NoResponseError(ClientError, TimeoutError):
    """The node did not respond in time; the text says what was waited for."""


class ComputeError(LlavaPhiError, RuntimeError):
    """What runs the network failed."""


class NumericsError(ComputeError):
    """The network computed something that is no number; the text names the layer."""


class DeviceError(ComputeError):
    """CUDA could not do what it was asked for; the text names the call and CUDA's reason."""


def described(given: object) -> str:
    """Return in a few words what somebody gave, for the sentence that refuses it."""
    kind = type(given).__name__
    if hasattr(given, 'dtype') and hasattr(given, 'shape'):
        return f'{kind} {given.dtype} {list(given.shape)}'
    try:
        written = ' '.join(_SHORT.repr(given).split())
    except Exception:  # an integer of too many digits, or whatever a __repr__ raises
        return f'a value of type {kind}'
    if len(written) > LONGEST_DESCRIPTION:
        written = f'{written[:LONGEST_DESCRIPTION]}...'
    return written if given is None or isinstance(given, (str, bool)) else f'{written} ({kind})'


def counted(number: int, noun: str, nouns: str = '') -> str:
    """Return a number with its noun: 1 scene, 2 scenes; `nouns` where they are no noun and s."""
    return f'{number:,} {noun if number == 1 else nouns or f"{noun}s"}'
