"""The comparison of encoders: the parts that it writes, and that it ends in a table and a plot."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import encoder_report
import encoder_size
import numpy as np
import pytest
import torch
import yaml
from encoder_report import Scale, write_report
from encoder_size import ENCODERS
from small_model import make_model, small_network
from transformers import CLIPVisionModel, PhiForCausalLM

from ros2_llava_phi.assistant.frame import Frame
from ros2_llava_phi.assistant.question import Question
from ros2_llava_phi.model.assemble import assemble
from ros2_llava_phi.model.tokenizer import load_tokenizer
from tiny.scenes import Example


def test_parts_are_read_by_transformers_and_by_us(tmp_path: Path) -> None:
    network = small_network()
    tokenizer = load_tokenizer(make_model(tmp_path / 'model'), network.config.text.vocab_size)
    encoder_size.write_clip(network, tmp_path / 'clip')
    encoder_size.write_phi(network, tokenizer, tmp_path / 'phi')
    joined = assemble(tmp_path / 'clip', tmp_path / 'phi').read(None).state_dict()
    for name, tensor in network.state_dict().items():
        assert name.startswith('projector.') or torch.equal(joined[name], tensor)
    pixels = torch.randn(1, 3, 32, 32)
    clip = CLIPVisionModel.from_pretrained(tmp_path / 'clip').eval()
    read: Any = PhiForCausalLM.from_pretrained
    phi, loaded = read(tmp_path / 'phi', output_loading_info=True)
    assert not loaded['missing_keys']
    assert torch.equal(phi.state_dict()['lm_head.weight'], network.decoder.lm_head.weight)
    with torch.no_grad():
        theirs = clip(pixels, output_hidden_states=True).hidden_states[-2][:, 1:]
        torch.testing.assert_close(theirs, network.vision_tower(pixels), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_three_encoders_end_in_a_table_and_a_plot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    width = {'hidden_size': 16, 'intermediate_size': 16, 'layers': 2, 'heads': 2}
    small = {name: each.model_copy(update=width) for name, each in ENCODERS.items()}
    monkeypatch.setattr(encoder_size, 'ENCODERS', small)
    monkeypatch.setattr(encoder_report, 'LEAST_ASKED', 1)
    monkeypatch.setattr(encoder_size, 'QUESTIONS_PER_PICTURE', 1)
    scale = Scale(scenes=2, tower_steps=1, steps=1, held_out=1, tower_pictures=2, pictures=2)
    measured = encoder_size.compare(scale, tmp_path)
    assert [each.encoder.patches for each in measured] == [16, 64, 144]
    recipes = [yaml.safe_load(path.read_text()) for path in tmp_path.glob('*/recipe.yaml')]
    assert len({each['start'].pop('clip') for each in recipes}) == 3
    assert len({each.pop('out') for each in recipes}) == 3
    assert all(each == recipes[0] for each in recipes)
    write_report(measured, scale, tmp_path / 'docs')
    report = (tmp_path / 'docs' / 'encoder_size.md').read_text()
    rows = [line for line in report.splitlines() if line.startswith(('| S/', '| L/'))]
    assert [row.split(' | ')[3] for row in rows] == ['16', '64', '144']
    assert '<svg' in (tmp_path / 'docs' / 'encoder_size.svg').read_text()


def test_what_a_wrong_picture_does() -> None:
    """Whoever answers by the picture alone is right with the right one, and only with it."""
    exam: encoder_size.Exam = [
        (np.full((8, 8, 3), shade, np.uint8), [Example('?', 'text', (), str(shade), 'shade')])
        for shade in range(4)
    ]
    assistant: Any = Shade()
    assert encoder_size.ask(assistant, exam) == {'shade': [True] * 4}
    swapped = encoder_size.with_others_pictures(exam)
    assert encoder_size.ask(assistant, swapped) == {'shade': [False] * 4}
    assert [examples for _, examples in swapped] == [examples for _, examples in exam]


class Shade:
    """An assistant that names a picture's shade."""

    def look(self, frame: Frame) -> Frame:
        return frame

    def ask(self, view: Frame, question: Question) -> SimpleNamespace:
        return SimpleNamespace(text=str(view.image[0, 0, 0]))
