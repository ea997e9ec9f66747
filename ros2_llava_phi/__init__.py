"""
Ask a robot's cameras questions in plain language: LLaVA-Phi for ROS 2.

    import ros2_llava_phi as llava_phi

    model = llava_phi.load('llava-phi-tiny')
    view = model.look('photo.jpg')  # a path, a PIL picture, an RGB array, bytes of a JPEG or PNG
    answer = model.ask(view, 'Is there a car?', kind='yes_no')
    print(answer.value, answer.confidence)

What stands here is imported when it is first used: the import itself takes no time.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = '0.1.0'

__all__ = [
    'Answer',
    'Assistant',
    'BagError',
    'ClientError',
    'ComputeError',
    'Conversation',
    'CutShort',
    'DamagedFrameError',
    'DataError',
    'DeviceError',
    'FileError',
    'Frame',
    'FrameError',
    'InputError',
    'InstallationError',
    'Kind',
    'LlavaPhiError',
    'ModelError',
    'ModelIdentity',
    'NoResponseError',
    'NumericsError',
    'OutOfTimeError',
    'ParameterError',
    'Question',
    'QuestionError',
    'QuestionsFileError',
    'ResultsError',
    'Sampling',
    'Timings',
    'TrainingError',
    'VideoError',
    'View',
    '__version__',
    'load',
]

if TYPE_CHECKING:
    from .assistant.answer import Answer, CutShort, ModelIdentity, Timings
    from .assistant.assistant import Assistant
    from .assistant.frame import Frame
    from .assistant.load import load
    from .assistant.question import Kind, Question, Sampling
    from .assistant.view import Conversation, View
    from .errors import (
        BagError,
        ClientError,
        ComputeError,
        DamagedFrameError,
        DataError,
        DeviceError,
        FileError,
        FrameError,
        InputError,
        InstallationError,
        LlavaPhiError,
        ModelError,
        NoResponseError,
        NumericsError,
        OutOfTimeError,
        ParameterError,
        QuestionError,
        QuestionsFileError,
        ResultsError,
        TrainingError,
        VideoError,
    )
else:
    _HOMES = {
        'Answer': '.assistant.answer',
        'Assistant': '.assistant.assistant',
        'Conversation': '.assistant.view',
        'CutShort': '.assistant.answer',
        'Frame': '.assistant.frame',
        'Kind': '.assistant.question',
        'ModelIdentity': '.assistant.answer',
        'Question': '.assistant.question',
        'Sampling': '.assistant.question',
        'Timings': '.assistant.answer',
        'View': '.assistant.view',
        'load': '.assistant.load',
    }

    def __getattr__(name: str) -> Any:
        """Import what stands in `__all__` when it is first used."""
        if name not in __all__:
            raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
        home = import_module(_HOMES.get(name, '.errors'), __name__)
        globals()[name] = getattr(home, name)
        return globals()[name]

    def __dir__() -> list[str]:
        return sorted(__all__)
