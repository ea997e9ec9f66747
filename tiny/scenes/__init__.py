"""The generated world on which the small model is trained: pictures, questions, and the truth."""

from .blank import blank_questions, blank_view
from .captions import caption
from .patches import ATTRIBUTES, blank_targets, patch_targets
from .questions import Example, questions
from .render import DOMAINS, render, sample_scene, sample_view
from .world import Rendering, Scene

__all__ = [
    'ATTRIBUTES',
    'DOMAINS',
    'Example',
    'Rendering',
    'Scene',
    'blank_questions',
    'blank_targets',
    'blank_view',
    'caption',
    'patch_targets',
    'questions',
    'render',
    'sample_scene',
    'sample_view',
]
