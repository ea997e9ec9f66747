"""The questions and answers as one HTML page that needs nothing beside itself."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from llava_phi.msg import ModelInfo
from numpy.typing import NDArray

from ros2_llava_phi.assistant.question import KIND_WORDS
from ros2_llava_phi.files.templates import templates_in
from ros2_llava_phi.imaging.pictures import jpeg_uri

from .exchange import Exchange
from .table import clock, stages

STAGES = ('queue', 'encode', 'prefill view', 'prefill', 'decode')


def write_report(
    path: Path,
    exchanges: Sequence[Exchange],
    pictures: Mapping[tuple[str, int], NDArray[np.uint8]],
    model: ModelInfo,
) -> None:
    """
    Write the page.

    pictures: for each camera and `bag_stamp_ns` that was answered about, the frame: uint8
    [height, width, 3], RGB.
    """
    templates = templates_in(Path(__file__).parent)
    sources = {key: jpeg_uri(picture) for key, picture in pictures.items()}
    page = templates.get_template('report.html.j2').render(
        exchanges=exchanges,
        sources=sources,
        model=model,
        kind_words=KIND_WORDS,
        stage_names=STAGES,
        stages=stages,
        clock=clock,
        tally=tally(exchanges),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding='utf-8')


def tally(exchanges: Sequence[Exchange]) -> str:
    """Return in one line how many were asked, answered, refused, and right."""
    refused = sum(bool(each.error) for each in exchanges)
    abstained = sum(bool(each.abstain_reason) for each in exchanges)
    scored = [each.right for each in exchanges if each.right is not None]
    return (
        f'{len(exchanges)} questions: {len(exchanges) - refused - abstained} answered, '
        f'{abstained} abstained, {refused} refused; {sum(scored)} of {len(scored)} right'
    )
