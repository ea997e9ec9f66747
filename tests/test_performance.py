"""The benchmark against other libraries: its figures, its report, and what it gives them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import performance
import pytest
import torch
from peers import llama_cpp
from peers.contender import CONTENDERS, OURS
from peers.workload import Outputs, Run, Task, Times, draw_task, perform
from performance import Measurements, Written
from small_model import CONFIG, small_network

from ros2_llava_phi.engine.torch_engine import TorchEngine

PEER, WITHOUT_PICTURE = 'OpenVINO int4', 'llama.cpp Q8_0'


def a_run(encode: float | None, prefill: float, question: float, answer: float) -> Run:
    times = Times(encode, prefill, answer, [question] * 7)
    return Run(load=2.0, times=times, memory=3 * 2**30, others=0.01)


def measurements() -> Measurements:
    ours = a_run(1.0, 9.0, 0.25, 3.1)
    return Measurements(
        versions={'onnxruntime': '1.32.0'},
        bandwidth=[30e9, 40e9],
        written={OURS.name: Written(60.0, 7 * 2**30, 3_000_000_000)},
        rounds=[
            {OURS.name: ours, PEER: a_run(1.0, 19.0, 0.5, 6.2), WITHOUT_PICTURE: ours},
            # Everything takes twice as long: ratios do not change.
            {
                OURS.name: a_run(2.0, 18.0, 0.5, 6.2),
                PEER: a_run(2.0, 38.0, 1.0, 12.4),
                WITHOUT_PICTURE: a_run(None, 18.0, 0.5, 6.2),
            },
        ],
        missing={'transformers bf16': 'it could not be installed'},
        streamed=dict.fromkeys([OURS.name, PEER, WITHOUT_PICTURE], 2_000_000_000),
    )


def test_ratios_are_those_of_a_round() -> None:
    found = measurements()
    assert found.ratio(PEER, performance.first_token) == pytest.approx(2)
    assert found.ratio(PEER, performance.next_token) == pytest.approx(2)
    assert found.ratio(PEER, performance.decode) == pytest.approx(0.5)
    assert found.median(OURS.name, performance.eight_over_one) == pytest.approx(1.175)


def test_who_does_not_see_is_compared_without_the_picture() -> None:
    found = measurements()
    found.rounds.pop(0)
    assert found.ratio(WITHOUT_PICTURE, performance.first_token) == pytest.approx(1)


def test_who_fails_in_a_round_has_no_figures() -> None:
    found = measurements()
    del found.rounds[1][PEER]
    assert found.names == [OURS.name, WITHOUT_PICTURE]


def slower(run: Run, times: float) -> Run:
    assert run.times.encode is not None
    encode, prefill = times * run.times.encode, times * run.times.prefill
    return replace(run, times=replace(run.times, encode=encode, prefill=prefill))


def test_goals_say_what_is_not_met() -> None:
    found = measurements()
    # The one without a picture is as fast as ours: that is not ahead.
    assert [goal.met for goal in performance.goals(found)][:2] == [False, False]
    for runs in found.rounds:
        del runs[WITHOUT_PICTURE]
    assert all(goal.met for goal in performance.goals(found))
    assert not any('swings' in goal.found for goal in performance.goals(found))
    level = [{**runs, PEER: slower(runs[OURS.name], 1.1)} for runs in found.rounds]
    _, first_token, *_ = performance.goals(replace(found, rounds=level))
    assert first_token.met and 'swings' in first_token.found
    fast = replace(found.rounds[0][PEER], times=Times(1.0, 4.0, 1.0, [0.2] * 7))
    found.rounds = [{**runs, PEER: fast} for runs in found.rounds]
    assert [goal.met for goal in performance.goals(found)][:2] == [False, False]


def test_the_report_names_who_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(performance, 'plot', lambda result, file: None)
    performance.write_report(measurements(), CONFIG, tmp_path)
    text = (tmp_path / 'performance.md').read_text()
    assert '- transformers bf16: it could not be installed.' in text
    assert (
        '| llava_phi int8 | 1.50 | 15.0 (10.0 to 20.0) | 0.38 (0.25 to 0.50) | 7.5 (5.0 to 10.0) |'
        in text
    )
    assert '**Not met**' in text
    assert 'onnxruntime 1.32.0' in text
    assert '\n\n\n' not in text


def test_an_engine_does_the_same_in_one_part_and_in_two() -> None:
    text = CONFIG.text.model_copy(update={'context_length': 256})
    engine = TorchEngine(small_network(config=CONFIG.model_copy(update={'text': text})))
    tasks = [replace(small_task(engine, apart), steps=2) for apart in (True, False)]
    (times, apart), (others, whole) = (perform(engine, task) for task in tasks)
    assert [len(task.prompt) for task in tasks] == [2, 1]
    assert len(times.further) == 7
    assert times.together is not None
    assert others.together is None
    np.testing.assert_allclose(apart.logits, whole.logits, rtol=1e-3, atol=1e-3)
    picture, logits = performance.distance(apart, whole)
    assert picture == 0
    assert logits < 1e-3


def small_task(engine: TorchEngine, apart: bool) -> Task:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('peers.workload.FIRST_TOKEN', 0)
        patch.setattr('peers.workload.LAST_TOKEN', CONFIG.text.vocab_size)
        return draw_task(engine, apart)


def test_figures_come_back_from_a_file() -> None:
    found = measurements()
    assert Measurements.from_json(found.to_json()) == found


def test_distance_is_a_share_of_what_is_wanted() -> None:
    wanted = Outputs(None, np.array([3.0, -4.0], np.float32))
    found = Outputs(None, np.array([3.3, -4.4], np.float32))
    picture, logits = performance.distance(found, wanted)
    assert picture is None
    assert logits == pytest.approx(0.1)


def test_a_gguf_holds_each_of_the_decoders_tensors_once() -> None:
    weights = small_network().decoder.state_dict()
    named = dict(llama_cpp.names(CONFIG.text))
    assert sorted(part for parts in named.values() for part in parts) == sorted(weights)
    joined = torch.cat([weights[part] for part in named['blk.2.attn_qkv.weight']])
    width = CONFIG.text.hidden_size
    assert joined.shape == (3 * width, width)
    assert torch.equal(joined[width : 2 * width], weights['layers.2.k_proj.weight'])


def test_contenders_have_names_of_their_own() -> None:
    names = [contender.name for contender in CONTENDERS]
    assert len(set(names)) == len(names)
    assert names[0] == OURS.name
