"""A training from recipe to model folder: what changes, what resumes, what stops it."""

import errno
import json
import math
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
import yaml
from accelerate.state import AcceleratorState, PartialState
from rich.console import Console
from safetensors import SafetensorError
from safetensors.torch import load_file, save, save_file
from small_model import make_model
from test_assemble import clip, phi
from torch import Tensor
from train_data import (
    FULL,
    LORA,
    PROJECTOR,
    recipe,
    record,
    run,
    run_until_killed,
    write_pictures,
)

from ros2_llava_phi.assistant.assistant import Assistant
from ros2_llava_phi.assistant.frame import Frame
from ros2_llava_phi.assistant.load import load
from ros2_llava_phi.assistant.question import Kind, Question
from ros2_llava_phi.datasets.dialogue import Dialogue
from ros2_llava_phi.errors import DataError, ModelError, TrainingError
from ros2_llava_phi.files import hashing
from ros2_llava_phi.files.locks import Lock
from ros2_llava_phi.imaging.pictures import read_picture
from ros2_llava_phi.model.assemble import assemble
from ros2_llava_phi.model.checkpoint import load_network, open_checkpoint
from ros2_llava_phi.model.config import read_config
from ros2_llava_phi.model.convert import convert
from ros2_llava_phi.model.prompt import turn
from ros2_llava_phi.training import saves, trainer
from ros2_llava_phi.training.batches import collate
from ros2_llava_phi.training.dry_run import dry_run, mean_seconds
from ros2_llava_phi.training.parts import merge, set_learning
from ros2_llava_phi.training.samples import read_samples
from ros2_llava_phi.training.saves import State, last_save
from ros2_llava_phi.training.start import open_start
from ros2_llava_phi.training.step_log import read_log
from ros2_llava_phi.training.trainee import Trainee
from ros2_llava_phi.training.trainer import Step, Trainer
from ros2_llava_phi.training.validation import Asked, Validation, allowed

pytestmark = pytest.mark.slow

WEIGHTS = 'model.safetensors'


@pytest.fixture(autouse=True, scope='module')
def _one_thread() -> Iterator[None]:
    """Have a forked process compute as this one does."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    """Start each test without the processes and precision of the one before."""
    yield
    AcceleratorState._reset_state(True)
    PartialState._reset_state()


def weights(folder: Path) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = load_file(folder / WEIGHTS)
    return tensors


def changed(one: Path, other: Path) -> set[str]:
    before, after = weights(one), weights(other)
    assert set(before) == set(after)
    return {name for name in before if not torch.equal(before[name], after[name])}


@pytest.mark.parametrize('stage', ['align', 'instruct'])
def test_a_stage_trains_only_what_it_should(tmp_path: Path, stage: str) -> None:
    learns = PROJECTOR if stage == 'align' else FULL
    settings = recipe(tmp_path, stage=stage, learns=learns)
    run(settings)
    start = tmp_path / 'start'
    learned = ('projector.',) if stage == 'align' else ('projector.', 'decoder.')
    wanted = {name for name in weights(start) if name.startswith(learned)}
    assert changed(start, tmp_path / 'out') == wanted


def test_stage_1_starts_from_a_clip_and_a_phi(tmp_path: Path) -> None:
    clip(tmp_path / 'clip')
    phi(tmp_path / 'phi')
    start = {'clip': tmp_path / 'clip', 'phi': tmp_path / 'phi'}
    run(recipe(tmp_path, start=start, stage='align', learns=PROJECTOR))
    before = assemble(tmp_path / 'clip', tmp_path / 'phi', seed=0).read(None).state_dict()
    after = load_network(tmp_path / 'out', None).state_dict()
    differ = {name for name in before if not torch.equal(before[name], after[name])}
    assert differ == {name for name in before if name.startswith('projector.')}


def test_pictures_take_fewer_tokens_when_pooled(tmp_path: Path) -> None:
    two = [{'from': 'human', 'value': '<image><image>\nCar?'}, {'from': 'gpt', 'value': 'No'}]
    settings = recipe(tmp_path, start={'checkpoint': str(tmp_path / 'start'), 'pool': 2})
    records = [{'image': [f'{n}.png', '0.png'], 'conversations': two} for n in (1, 2, 3)]
    (tmp_path / 'data' / 'llava.json').write_text(json.dumps(records))
    run(settings)
    config = read_config(tmp_path / 'out')
    assert (config.pool, config.image_tokens) == (2, 4)
    wrong = recipe(tmp_path, 'no', start={'checkpoint': str(tmp_path / 'start'), 'pool': 3})
    with pytest.raises(ModelError, match='pool 3 does not divide the 4 patches'):
        run(wrong)


def test_the_vision_tower_may_learn_too(tmp_path: Path) -> None:
    tower = {'vision_tower': {'how': 'full', 'learning_rate': 1e-3}}
    run(recipe(tmp_path, learns=tower))
    names = changed(tmp_path / 'start', tmp_path / 'out')
    assert {name.split('.')[0] for name in names} == {'vision_tower'}
    # The last layer is never read.
    assert not any(name.startswith('vision_tower.layers.2.') for name in names)


def test_merged_adapters_answer_as_they_did_unmerged(tmp_path: Path) -> None:
    settings = recipe(tmp_path, learns=LORA, stage='domain')
    run(settings)
    origin = open_start(settings.start, 0)
    samples = read_samples(settings, origin.tokenizer, origin.config, Console(quiet=True))
    batch = collate(samples.training, origin.config)
    learned = last_save(tmp_path / 'out' / 'run')
    assert learned is not None
    unmerged = origin.read()
    set_learning(unmerged, settings)
    unmerged.load_state_dict(learned.weights, strict=False)

    def hidden(network: Any) -> Tensor:
        found: list[Tensor] = []
        network.decoder.final_layernorm.register_forward_hook(lambda *a: found.append(a[-1]))
        Trainee(network.eval())(batch)
        return found[0]

    wanted = hidden(unmerged)
    merged = hidden(load_network(tmp_path / 'out'))
    assert (merged - hidden(load_network(tmp_path / 'start'))).abs().max() > 1e-2
    assert (merged - wanted).abs().max() < 1e-5
    # So does the adapter by itself, in PEFT's format, on the model that it was trained on.
    apart = open_checkpoint(tmp_path / 'out' / 'adapter', base=tmp_path / 'start').read(None)
    for name, tensor in apart.state_dict().items():
        torch.testing.assert_close(tensor, weights(tmp_path / 'out')[name], rtol=0, atol=1e-6)
    config = json.loads((tmp_path / 'out' / 'adapter' / 'adapter_config.json').read_text())
    assert (config['peft_type'], config['r'], config['lora_alpha']) == ('LORA', 4, 8)


@pytest.mark.parametrize('layout', ['own', 'original'])
def test_an_adapter_on_its_base_is_the_whole_result(tmp_path: Path, layout: str) -> None:
    """Pooling and what learned in full included, however the base is named."""
    make_model(tmp_path / 'made')
    convert(open_checkpoint(tmp_path / 'made'), tmp_path / 'base', layout)
    full = {'how': 'full', 'learning_rate': 1e-2}
    start = {'checkpoint': str(tmp_path / 'base'), 'pool': 2}
    for number, learns in enumerate(({**LORA, 'decoder': full}, {**LORA, 'vision_tower': full})):
        settings = recipe(tmp_path, f'out{number}', start=start, stage='domain', learns=learns)
        run(settings)
        apart = open_checkpoint(settings.out / 'adapter', base=tmp_path / 'base')
        assert apart.config == read_config(settings.out)
        assert apart.config.pool == 2
        for name, tensor in apart.read(None).state_dict().items():
            torch.testing.assert_close(tensor, weights(settings.out)[name], rtol=0, atol=1e-6)


def test_merging_keeps_the_precision_of_the_files(tmp_path: Path) -> None:
    settings = recipe(tmp_path, learns=LORA, stage='domain')
    network = open_start(settings.start, 0).read().half()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    name = 'decoder.layers.0.q_proj'
    adapter = {
        f'{name}.lora_A.default.weight': torch.ones(4, 48),
        f'{name}.lora_B.default.weight': torch.ones(48, 4),
    }
    merge(network, adapter, settings.lora)
    for key, tensor in network.state_dict().items():
        assert tensor.dtype == torch.float16
        wanted = before[key].float() + (8.0 if key == f'{name}.weight' else 0.0)
        assert torch.equal(tensor, wanted.half())


def killed(settings: Any, target: str, call: int) -> None:
    """Train in a process that kills itself by SIGKILL when `target` is called so often."""
    # Forked from one that never computed anything: autograd's threads do not survive a fork.
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(['ros2_llava_phi.training.run'])
    child = context.Process(target=run_until_killed, args=(settings, target, call))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL


@pytest.fixture(scope='module')
def never_stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a model, and with what an uninterrupted training made of it."""
    folder = tmp_path_factory.mktemp('straight')
    run(recipe(folder, learns=LORA, stage='domain'))
    return folder


# Steps 2 and 4 are saved; a save syncs five times, the files before it six.
KILLS: dict[str, tuple[str, int]] = {
    'in the first step': ('ros2_llava_phi.training.trainer.set_rates', 1),
    'before a save': ('ros2_llava_phi.training.saves.replace_folder', 1),
    'between the files of a save': ('ros2_llava_phi.training.saves.save_file', 2),
    'after the files of the first save': ('ros2_llava_phi.files.atomic._sync', 7),
    'before the first save appears': ('pathlib.Path.rename', 1),
    'between two saves': ('ros2_llava_phi.training.trainer.set_rates', 4),
    'inside the second save': ('ros2_llava_phi.training.saves.save_file', 4),
    'before the second save appears': ('pathlib.Path.rename', 2),
    'before the first save is removed': ('shutil.rmtree', 5),
    'while the model is written': ('ros2_llava_phi.files.atomic._sync', 18),
    'while the model is moved into place': ('pathlib.Path.rename', 5),
}


@pytest.mark.parametrize('moment', KILLS)
def test_a_killed_training_goes_on_bit_for_bit(never_stopped: Path, moment: str) -> None:
    target, call = KILLS[moment]
    out = moment.replace(' ', '_')
    settings = recipe(never_stopped, out, learns=LORA, stage='domain')
    killed(settings, target, call)
    assert not (never_stopped / out / 'config.json').exists()
    run(settings)
    assert changed(never_stopped / 'out', never_stopped / out) == set()
    straight, resumed = (read_log(never_stopped / name / 'run') for name in ('out', out))
    assert [step.loss for step in straight] == [step.loss for step in resumed]
    left = {path.name for path in (never_stopped / out / 'run').iterdir()}
    left.remove('.lock')
    assert left == {'recipe.json', 'log.jsonl', 'before.json', 'step-00000004', 'tensorboard'}


def test_a_kill_while_a_run_goes_on_keeps_its_log(tmp_path: Path) -> None:
    settings = recipe(tmp_path)
    killed(settings, 'ros2_llava_phi.training.trainer.set_rates', 4)
    log = tmp_path / 'out' / 'run' / 'log.jsonl'
    before = log.read_bytes()
    killed(settings, 'pathlib.Path.replace', 1)
    assert log.read_bytes() == before


def test_only_one_process_trains_a_run(tmp_path: Path) -> None:
    settings = recipe(tmp_path)
    path = tmp_path / 'out' / 'run' / '.lock'
    path.parent.mkdir(parents=True)
    # Another one has just begun, and has written nothing yet.
    with (
        closing(Lock(path, os.O_RDWR | os.O_CREAT)),
        pytest.raises(TrainingError, match='another process trains'),
    ):
        run(settings)
    assert list(path.parent.iterdir()) == [path]
    killed(settings, 'ros2_llava_phi.training.trainer.set_rates', 2)
    with (
        closing(Lock(path, os.O_RDWR)),
        pytest.raises(TrainingError, match=r'another process trains .*out; wait for its end'),
    ):
        run(settings)
    locked = []
    original = trainer.set_rates

    def set_rates(*given: Any) -> None:
        with pytest.raises(BlockingIOError):
            Lock(path, os.O_RDWR)
        locked.append(given)
        original(*given)

    with mock.patch.object(trainer, 'set_rates', set_rates):
        run(settings)
    assert locked
    Lock(path, os.O_RDWR).close()


def of_another_network(path: Path) -> bytes:
    """Return what a file of tensors would hold, had its first one a row less."""
    tensors = load_file(path)
    name = min(name for name, tensor in tensors.items() if tensor.ndim)
    return bytes(save({**tensors, name: tensors[name][1:].clone()}))


NESTED = b'[' * 100_000
SAVE = 'step-00000002'
# What a file of a run is damaged to, and what is said of it.
DAMAGES: dict[str, tuple[str, Callable[[Path], bytes], str]] = {
    'a recipe cut off': (
        'recipe.json', lambda path: path.read_bytes()[:-9], 'no JSON: .*remove that run',
    ),
    'a recipe too deep': ('recipe.json', lambda path: NESTED, 'no JSON: .*give a new folder'),
    'a recipe that is none': ('recipe.json', lambda path: b'[1]', 'be names with .*remove that'),
    'scores cut off': ('before.json', lambda path: path.read_bytes()[:-9], 'no JSON.*remov'),
    'scores without a loss': ('before.json', lambda path: b'{"asked": []}', 'loss: it is mis'),
    'scores of nothing': ('before.json', lambda path: b'{"loss":null,"asked":[]}', 'loss is null'),
    'a step that is none': (f'{SAVE}/state.json', lambda path: b'{"step": "two"}', 'step: it m'),
    'another step': (f'{SAVE}/state.json', lambda path: b'{"step": 3}', 'is of step 3'),
    'a state too deep': (f'{SAVE}/state.json', lambda path: NESTED, 'no JSON: recursion'),
    'a scaler of fp16': (
        f'{SAVE}/state.json',
        lambda path: b'{"step": 2, "scaler": {"scale": 1}}',
        'the scaler in .* is not as in this precision',
    ),
    'weights cut off': (
        f'{SAVE}/{saves.WEIGHTS}', lambda path: path.read_bytes()[:-9], 'cannot be read',
    ),
    'other weights': (f'{SAVE}/{saves.WEIGHTS}', of_another_network, 'is not as in this network'),
    'no weights': (f'{SAVE}/{saves.WEIGHTS}', lambda path: save({}), 'is not as in this network'),
    'moments cut off': (f'{SAVE}/{saves.OPTIMIZER}', lambda path: b'', 'cannot be read'),
    'other moments': (f'{SAVE}/{saves.OPTIMIZER}', of_another_network, 'exp_avg in .* is not as'),
    'a log line cut off': (
        'log.jsonl', lambda path: path.read_bytes()[9:], 'line 1: .*remove that line',
    ),
    'a log of other bytes': ('log.jsonl', lambda path: b'\xff\xfe\n', 'line 1: no JSON'),
}  # fmt: skip


@pytest.fixture(scope='module')
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a run that was killed behind its first save."""
    folder = tmp_path_factory.mktemp('stopped')
    killed(recipe(folder, validation_questions=1), 'ros2_llava_phi.training.trainer.set_rates', 4)
    return folder


@pytest.mark.parametrize('case', DAMAGES)
def test_damage_to_a_run_is_a_line_that_says_what_to_do(stopped: Path, case: str) -> None:
    name, damage, said = DAMAGES[case]
    path = stopped / 'out' / 'run' / name
    whole = path.read_bytes()
    path.write_bytes(damage(path))
    try:
        with pytest.raises(TrainingError, match=said) as error:
            run(recipe(stopped, validation_questions=1))
    finally:
        path.write_bytes(whole)
    assert '\n' not in str(error.value)
    if name.startswith(SAVE):
        assert str(error.value).endswith(f'remove {path.parent} to begin from the start')


def test_a_damaged_save_leaves_the_one_before_it(stopped: Path) -> None:
    settings = recipe(stopped, validation_questions=1)
    first = stopped / 'out' / 'run' / SAVE
    last = shutil.copytree(first, first.with_name('step-00000003'))
    (last / saves.STATE).write_bytes(b'{"step": 3}')
    (last / saves.WEIGHTS).write_bytes(b'')
    with pytest.raises(TrainingError, match=f'remove {last} to go on from {SAVE}'):
        run(settings)
    shutil.rmtree(last)
    assert 'going on from step 2' in run(settings)
    assert [step.number for step in read_log(stopped / 'out' / 'run')] == [0, 1, 2, 3]


def test_a_finished_run_is_left_alone_and_another_recipe_refused(never_stopped: Path) -> None:
    settings = recipe(never_stopped, learns=LORA, stage='domain')
    before = (never_stopped / 'out' / WEIGHTS).stat().st_mtime_ns
    assert 'is finished' in run(settings)
    assert (never_stopped / 'out' / WEIGHTS).stat().st_mtime_ns == before
    shutil.copytree(never_stopped / 'out', never_stopped / 'moved')
    with pytest.MonkeyPatch.context() as patch:
        # As in a folder that may be read only, for which root is not the one to ask.
        patch.setattr(saves, 'Lock', lambda *_: 1 / 0)
        assert 'is finished' in run(recipe(never_stopped, 'moved', learns=LORA, stage='domain'))
    other = recipe(never_stopped, learns=LORA, stage='domain', batch_size=8)
    with pytest.raises(TrainingError, match='another recipe: batch_size is 6 there and 8 here'):
        run(other)


def test_what_is_no_run_is_never_written_into(tmp_path: Path) -> None:
    settings = recipe(tmp_path)
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out' / 'holiday.jpg').write_bytes(b'')
    with pytest.raises(TrainingError, match='holds something else than a run'):
        run(settings)
    assert [path.name for path in (tmp_path / 'out').iterdir()] == ['holiday.jpg']


def test_a_full_disk_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, 'fsync', fail)
    with pytest.raises(TrainingError, match=r'recipe\.json cannot be written: No space left'):
        run(recipe(tmp_path))
    state = State(1, {'a': torch.zeros(1)}, {})
    with pytest.raises(TrainingError, match='step-00000001 cannot be written: No space left'):
        saves.save(tmp_path, state)

    def refuse(*_: object) -> None:
        raise SafetensorError('I/O error: No space left')

    monkeypatch.setattr(saves, 'save_file', refuse)
    with pytest.raises(TrainingError, match=r'step-00000001 cannot be written: I/O error'):
        saves.save(tmp_path, state)


def test_weights_are_not_hashed_again_at_each_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    monkeypatch.setattr(hashing, 'SETTLED_NS', -1)
    settings = recipe(tmp_path)
    known = open_start(settings.start, 0).weights_hash
    with monkeypatch.context() as patch:
        patch.setattr(hashing, 'files_hash', lambda _: pytest.fail('the weights are read again'))
        assert open_start(settings.start, 0).weights_hash == known
    weights_file = tmp_path / 'start' / WEIGHTS
    weights_file.write_bytes(weights_file.read_bytes()[:-1] + b'1')
    assert open_start(settings.start, 0).weights_hash != known


def test_a_scene_never_trains_and_validates(tmp_path: Path) -> None:
    """Whatever sets it is in, and however these are named."""
    path = tmp_path / 'data' / 'llava.json'

    def divided(*parts: str) -> tuple[set[str], set[str]]:
        data = [{'name': part, 'path': path, 'part': part} for part in parts]
        settings = recipe(tmp_path, data=data)
        origin = open_start(settings.start, 0)
        samples = read_samples(settings, origin.tokenizer, origin.config, Console(quiet=True))
        trains, validates = (
            {each.conversation.scene for each in side}
            for side in (samples.training, samples.validation)
        )
        return trains, validates

    trains, validates = divided('split')
    assert trains and validates and not trains & validates
    with pytest.raises(DataError, match='is in a set for training and in one for validation'):
        divided('train', 'validation')
    with pytest.raises(TrainingError, match='nothing is left to train on'):
        divided('split', 'validation')


def test_what_could_not_begin_leaves_nothing(tmp_path: Path) -> None:
    data = [{'name': 'noise', 'path': tmp_path / 'nothere.json'}]
    with pytest.raises(DataError, match=r'nothere\.json cannot be read'):
        run(recipe(tmp_path, data=data))
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('step', [1, 4])
def test_changed_data_is_noticed(tmp_path: Path, step: int) -> None:
    settings = recipe(tmp_path)
    killed(settings, 'ros2_llava_phi.training.trainer.set_rates', step)
    data, picture = tmp_path / 'data' / 'llava.json', tmp_path / 'data' / '0.png'
    for path, other in (
        (data, json.dumps(json.loads(data.read_text())[1:]).encode()),
        (picture, picture.read_bytes() + b'another'),
    ):
        whole = path.read_bytes()
        path.write_bytes(other)
        with pytest.raises(TrainingError, match='the data is not what the run'):
            run(settings)
        path.write_bytes(whole)
    weights = tmp_path / 'start' / WEIGHTS
    tensors = load_file(weights)
    tensors[min(tensors)] += 1
    save_file(tensors, weights)
    with pytest.raises(TrainingError, match='the weights to start from are not those'):
        run(settings)


def test_a_loss_that_is_no_number_stops_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = recipe(tmp_path)
    forward = Trainee.forward
    calls = 0

    def breaking(self: Trainee, batch: Any) -> Tensor:
        nonlocal calls
        calls += self.training
        return forward(self, batch) * (math.nan if calls > 2 * 3 else 1.0)

    monkeypatch.setattr(Trainee, 'forward', breaking)
    with pytest.raises(TrainingError, match='the loss is nan at step 4') as error:
        run(settings)
    assert '\n' not in str(error.value)
    kept = last_save(tmp_path / 'out' / 'run')
    assert kept is not None
    assert kept.step == 2
    assert all(tensor.isfinite().all() for tensor in kept.weights.values())


def test_bad_records_are_counted_and_named(tmp_path: Path) -> None:
    settings = recipe(tmp_path)
    folder = write_pictures(tmp_path / 'data')
    (folder / 'cut.png').write_bytes((folder / '0.png').read_bytes()[:200])
    path = folder / 'llava.json'
    bad = [
        {**record(0, 'Is it?', 'Yes'), 'image': 'none.png'},
        {**record(0, 'Is it?', 'Yes'), 'image': 'cut.png'},
        {**record(0, 'Is it?', 'Yes'), 'image': '../../secret.png'},
        record(0, 'Is it?', ' '),
        record(0, 'Is there a car? ' * 40, 'Yes'),
    ]
    path.write_text(json.dumps(json.loads(path.read_text()) + bad))
    printed = run(settings)
    for words in ('no such file', 'cut off', 'outside the folder', 'answer: it is empty'):
        assert words in printed
    assert 'takes more than 128 tokens' in printed
    assert '5 records dropped' in (tmp_path / 'out' / 'README.md').read_text()
    refusing = [{'name': 'noise', 'path': path, 'on_bad': 'refuse'}]
    with pytest.raises(DataError, match='record'):
        run(recipe(tmp_path, 'refused', data=refusing))


def test_the_folder_is_a_model_with_card_and_report(never_stopped: Path) -> None:
    out = never_stopped / 'out'
    assistant: Assistant = load(str(out))
    view = assistant.look(Frame(read_picture(never_stopped / 'data' / '0.png')))
    answer = assistant.ask(view, Question('Is there a car?', Kind.YES_NO))
    assert answer.text in ('Yes', 'No', 'cannot tell')
    card = (out / 'README.md').read_text()
    assert 'noise (llava)' in card
    assert '| yes_no | 2 |' in card
    assert 'LoRA of rank 4' in card
    report = (out / 'report.html').read_text()
    assert '<polyline points="0.0,' in report
    assert report.count('data:image/jpeg;base64,') == 4
    assert 'http' not in report.replace('http-equiv', '')


def test_a_closed_answer_is_found_whatever_its_case() -> None:
    def asked(request: str, answer: str) -> Asked:
        talk = Dialogue('a', '1', '', (), (turn(request, answer),))
        return Asked(
            source='a', record='1', kind='', question='?', pictures=(), truth=answer, said='',
            allowed=allowed(talk),
        )  # fmt: skip

    assert asked('Is it?', 'yes.').place == 0
    which = 'Which? Answer with one of: stop, wait, go.'
    assert (asked(which, 'GO').allowed, asked(which, 'GO').place) == (('stop', 'wait', 'go'), 2)
    assert asked(which, 'cannot tell').allowed and asked(which, 'cannot tell').place is None
    assert asked('Is it? Answer with one of: yes, unsure.', 'yes').allowed == ('yes', 'unsure')
    # A comma in a choice: asked freely, for the words do not tell what the choices are.
    assert asked(which, 'stop, wait').allowed == ()


def test_confidence_is_calibrated_where_enough_was_asked() -> None:
    """Half of the answers that were given with certainty are wrong: they were too sure."""

    def asked(number: int) -> Asked:
        truth = 'Yes' if number % 2 else 'No'
        return Asked(
            source='a', record=str(number), kind='', question='?', pictures=(), truth=truth,
            said='Yes', allowed=('Yes', 'No'), probabilities=(0.9, 0.1),
        )  # fmt: skip

    answers = [asked(number) for number in range(60)]
    assert Validation(loss=1.0, asked=answers).temperature(2.0) == pytest.approx(8.0)
    assert Validation(loss=1.0, asked=answers[:40]).temperature(2.0) is None


def test_two_processes_reach_the_losses_of_one(tmp_path: Path) -> None:
    no_dropout = {'learns': LORA, 'stage': 'domain', 'lora': {'r': 4, 'alpha': 8, 'dropout': 0.0}}
    one = recipe(tmp_path, 'one', **no_dropout)
    run(one)
    two = recipe(tmp_path, 'two', **no_dropout).model_dump(mode='json', exclude_none=True)
    path = tmp_path / 'two.yaml'
    path.write_text(yaml.safe_dump(two))
    command = ['-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2']
    command += ['-m', 'ros2_llava_phi.cli.main', 'train', str(path)]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for mine, theirs in zip(
        read_log(tmp_path / 'one' / 'run'), read_log(tmp_path / 'two' / 'run'), strict=True
    ):
        assert theirs.loss == pytest.approx(mine.loss, rel=1e-5)
        assert theirs.norm == pytest.approx(mine.norm, rel=1e-4)
    for name, tensor in weights(tmp_path / 'one').items():
        torch.testing.assert_close(weights(tmp_path / 'two')[name], tensor, rtol=1e-4, atol=1e-4)


def test_a_dry_run_shows_labels_time_and_memory_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from ros2_llava_phi.cli import main

    settings = recipe(tmp_path)
    path = tmp_path / 'recipe.yaml'
    path.write_text(yaml.safe_dump(settings.model_dump(mode='json', exclude_none=True)))
    monkeypatch.setattr(sys, 'argv', ['llava-phi', 'train', str(path), '--dry-run'])
    with pytest.raises(SystemExit) as stopped:
        main.main()
    printed = capsys.readouterr().out
    assert not stopped.value.code
    assert '<picture: 16 tokens>' in printed
    assert 'ASSISTANT: Yes|<|endoftext|>|' in printed.replace('\n', '')
    assert '4 steps of' in printed and 'without the questions before and after' in printed
    assert 'GiB of memory' in printed
    assert not (tmp_path / 'out').exists()
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out' / 'photo.jpg').touch()
    AcceleratorState._reset_state(True)
    with pytest.raises(SystemExit) as stopped:
        main.main()
    assert stopped.value.code == 2
    assert 'out holds something else than a run' in capsys.readouterr().err
    recipe_text = path.read_text()
    path.write_text(recipe_text.replace('/out', '/out/photo.jpg/out'))
    AcceleratorState._reset_state(True)
    with pytest.raises(SystemExit) as stopped:
        main.main()
    assert stopped.value.code == 2
    assert 'photo.jpg, in out, is a file' in capsys.readouterr().err
    (tmp_path / 'out' / 'photo.jpg').unlink()
    path.write_text(recipe_text)
    killed(settings, 'ros2_llava_phi.training.trainer.set_rates', 4)
    AcceleratorState._reset_state(True)
    with pytest.raises(SystemExit) as stopped:
        main.main()
    assert not stopped.value.code
    assert 'of which saved: 2 steps' in ' '.join(capsys.readouterr().out.split())
    (tmp_path / 'out' / 'run' / 'recipe.json').unlink()
    AcceleratorState._reset_state(True)
    with pytest.raises(TrainingError, match='out holds something else than a run'):
        run(settings)


def test_a_dry_run_takes_the_longest_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = recipe(tmp_path, steps=None, epochs=1, batch_size=2, validation=0.0)
    path = tmp_path / 'data' / 'llava.json'
    long = record(None, 'Is there a car? ' * 12, 'Yes')
    path.write_text(json.dumps([*json.loads(path.read_text()), long, long]))
    taken: list[list[int]] = []
    run_steps = Trainer.run

    def watched(self: Trainer, numbers: Sequence[int] = ()) -> Iterator[Step]:
        taken.append([max(self.samples[row].length for row in self.plan.rows(n)) for n in numbers])
        return run_steps(self, numbers)

    monkeypatch.setattr(Trainer, 'run', watched)
    AcceleratorState._reset_state(True)
    console = Console(file=StringIO(), width=200)
    dry_run(settings, console)
    ((first, short, long_one, widest),) = taken
    assert first == short < long_one == widest
    assert isinstance(console.file, StringIO)
    assert re.search(r'9 steps of [\d.]+ to [\d.]+ s: about', console.file.getvalue())


def test_time_is_counted_between_the_shortest_and_the_longest_step() -> None:
    sizes = {0: 100, 1: 100, 2: 100, 3: 500}
    short, long = (Step(number, 1, 1, 1, 1, seconds) for number, seconds in ((0, 1.0), (3, 9.0)))
    assert mean_seconds(sizes, short, long) == pytest.approx(3.0)
    assert mean_seconds({0: 100}, short, replace(long, number=0)) == pytest.approx(5.0)


def test_a_dry_run_of_what_is_finished_says_so(tmp_path: Path) -> None:
    settings = recipe(tmp_path)
    run(settings)
    AcceleratorState._reset_state(True)
    console = Console(file=StringIO(), width=200)
    dry_run(settings, console)
    assert isinstance(console.file, StringIO)
    assert 'out is finished: there is nothing left to do' in console.file.getvalue()
    assert 'to expect' not in console.file.getvalue()


CANNOT_RUN: dict[str, tuple[dict[str, Any], str]] = {
    'fp16 on a CPU': ({'precision': 'fp16'}, 'precision fp16 needs a GPU'),
    'fsdp on a CPU': ({'fsdp': True}, 'fsdp needs several GPUs'),
    'too long': ({'max_length': 1000}, 'max_length is 1000, but the model has 128 positions'),
    'nothing fits': ({'max_length': 20}, 'nothing is left to train on: takes more than 20 tokens'),
}


@pytest.mark.skipif(torch.cuda.is_available(), reason='is about a machine without a GPU')
@pytest.mark.parametrize('case', CANNOT_RUN)
def test_what_this_machine_or_model_cannot_do_is_said_first(tmp_path: Path, case: str) -> None:
    settings, message = CANNOT_RUN[case]
    with pytest.raises(TrainingError, match=message) as error:
        run(recipe(tmp_path, **settings))
    assert '\n' not in str(error.value)


@pytest.mark.parametrize(
    'settings', [{'precision': 'bf16'}, {'checkpointing': True}, {'workers': 1}], ids=str
)
def test_other_ways_to_compute_reach_about_the_same(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    run(recipe(tmp_path, 'plain'))
    AcceleratorState._reset_state(True)
    run(recipe(tmp_path, 'other', **settings))
    one, other = (read_log(tmp_path / name / 'run') for name in ('plain', 'other'))
    near = 0.05 if 'precision' in settings else 1e-5
    assert [s.loss for s in other] == pytest.approx([s.loss for s in one], rel=near)


def test_bad_recipes_are_one_line_and_exit_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from ros2_llava_phi.cli import main

    path = tmp_path / 'recipe.yaml'
    path.write_text('stage: align\n')
    monkeypatch.setattr(sys, 'argv', ['llava-phi', 'train', str(path)])
    with pytest.raises(SystemExit) as stopped:
        main.main()
    assert stopped.value.code == 2
    assert capsys.readouterr().err == f'llava-phi: {path}: start: it is missing\n'
