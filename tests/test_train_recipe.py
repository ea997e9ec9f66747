"""Recipes: what ships loads, and what is wrong with one is said in a line."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers import assert_one_sentence, places, spoiled

from ros2_llava_phi.errors import TrainingError
from ros2_llava_phi.training.recipe import How, Recipe, Stage, read_recipe

ROOT = Path(__file__).resolve().parent.parent
RECIPES = sorted((ROOT / 'config' / 'train').rglob('*.yaml'))

GOOD: dict[str, Any] = {
    'start': {'checkpoint': 'llava-phi-tiny'},
    'stage': 'instruct',
    'learns': {'projector': {'how': 'full', 'learning_rate': 1e-3}},
    'data': [{'name': 'fleet', 'path': 'data/llava.json'}],
    'epochs': 1,
    'out': 'out',
}


def written(folder: Path, **changes: Any) -> Path:
    path = folder / 'recipe.yaml'
    content = {**GOOD, **changes}
    path.write_text(yaml.safe_dump({k: v for k, v in content.items() if v is not None}))
    return path


@pytest.mark.parametrize('path', RECIPES, ids=lambda path: path.stem)
def test_what_ships_can_be_read(path: Path) -> None:
    recipe = read_recipe(path)
    assert recipe.out.is_absolute()
    assert all(each.path.is_absolute() for each in recipe.data)
    assert recipe.batch_size % recipe.accumulate == 0


def test_the_papers_figures() -> None:
    folder = ROOT / 'config' / 'train'
    paper = [read_recipe(folder / f'paper_stage{n}.yaml') for n in (1, 2)]
    assert [each.stage for each in paper] == [Stage.ALIGN, Stage.INSTRUCT]
    assert [each.batch_size for each in paper] == [256, 256]
    assert [each.learns.projector.learning_rate for each in paper] == [1e-3, 2e-5]
    assert all(each.optimizer.betas == (0.9, 0.98) for each in paper)
    assert all(each.optimizer.weight_decay == 0.1 for each in paper)
    lora = read_recipe(folder / 'llava15_lora.yaml')
    assert (lora.lora.r, lora.lora.alpha, lora.lora.dropout) == (128, 256, 0.05)
    assert lora.learns.decoder.how == How.LORA
    assert (lora.learns.decoder.learning_rate, lora.batch_size) == (2e-4, 128)
    assert lora.learns.vision_tower.how == How.FROZEN


def test_encoders_are_swapped_by_a_line() -> None:
    paths = sorted((ROOT / 'config' / 'train' / 'encoder_size').glob('*.yaml'))
    recipes = [read_recipe(path) for path in paths]
    assert len({each.start.clip for each in recipes}) == len({each.out for each in recipes}) == 3
    texts = [path.read_text().splitlines() for path in paths]
    differ = [lines for lines in zip(*texts, strict=True) if len(set(lines)) > 1]
    assert [lines[0].split(':')[0].strip() for lines in differ] == ['clip', 'out']


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    recipe = read_recipe(written(tmp_path))
    assert recipe.out == tmp_path / 'out'
    assert recipe.data[0].path == tmp_path / 'data' / 'llava.json'
    assert recipe.start.checkpoint == 'llava-phi-tiny'
    (tmp_path / 'llava-phi-tiny').mkdir()
    assert read_recipe(written(tmp_path)).start.checkpoint == str(tmp_path / 'llava-phi-tiny')


FULL = {'how': 'full', 'learning_rate': 1e-3}
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    'misspelt field': ({'saveevery': 1}, "no field 'saveevery'; did you mean save_every"),
    'unknown field': (
        {'learns': {'head': FULL}},
        "learns: there is no field 'head'; use projector, decoder, vision_tower",
    ),
    'of a data set': ({'data': [{'name': 'a', 'pth': 'b'}]}, "data.0: .*'pth'; did you mean path"),
    'a rate that is none': (
        {'learns': {'decoder': {**FULL, 'learning_rate': float('nan')}}},
        "learns.decoder.learning_rate: it must be a finite number, not 'nan'",
    ),
    'an endless clip': ({'clip': float('inf')}, 'clip: it must be a finite number'),
    'a weight that is none': (
        {'data': [{'name': 'a', 'path': 'b', 'weight': float('nan')}]},
        r'data\.0\.weight: it must be a finite number',
    ),
    'missing field': ({'out': None}, 'out: it is missing'),
    'no number': ({'batch_size': 'many'}, "batch_size: it must be a whole number.*'many'"),
    'no rate': ({'learns': {'decoder': {'how': 'lora'}}}, 'learns.decoder: .*needs a learning_r'),
    'rate of frozen': (
        {'learns': {'decoder': {'how': 'frozen', 'learning_rate': 1}}},
        'learns.decoder: .*takes no learning_rate',
    ),
    'nothing learns': ({'learns': {}}, 'learns: .*everything is frozen'),
    'align too much': (
        {'stage': 'align', 'learns': {'projector': FULL, 'decoder': FULL}},
        'trains the projector alone, but learns names projector, decoder',
    ),
    'both lengths': ({'steps': 3}, 'either epochs or steps'),
    'no length': ({'epochs': None}, 'either epochs or steps'),
    'no start': ({'start': {}}, 'start: .*give a checkpoint, or both clip and phi'),
    'two starts': (
        {'start': {'checkpoint': 'a', 'clip': 'b', 'phi': 'c'}},
        'start: .*but not both',
    ),
    'no data': ({'data': []}, 'data: .*one at least'),
    'unknown format': (
        {'data': [{'name': 'a', 'path': 'b', 'format': 'coco'}]},
        r"data\.0\.format: it must be 'llava'",
    ),
    'same name': ({'data': [{'name': 'a', 'path': 'b'}] * 2}, 'two data sets have the same name'),
    'too many parts': ({'batch_size': 2, 'accumulate': 3}, 'accumulate 3 exceeds'),
    'no end': ({'epochs': float('inf')}, 'epochs: it must be a finite number'),
    'a huge batch': ({'batch_size': 10**23}, 'batch_size: '),
    'nobody at home': ({'out': '~nosuchuser/x'}, 'a path in it is none: .*home'),
    'no path': ({'out': 'a\0b'}, 'a path in it is none: .*null'),
    'all held out': ({'validation': 1.0}, 'validation: it must be less than 1'),
}


@pytest.mark.parametrize('case', WRONG)
def test_a_wrong_recipe_is_one_line_with_file_and_field(tmp_path: Path, case: str) -> None:
    changes, message = WRONG[case]
    path = written(tmp_path, **changes)
    with pytest.raises(TrainingError, match=message) as error:
        read_recipe(path)
    assert str(error.value).startswith(f'{path}: ')
    assert '\n' not in str(error.value)


@pytest.mark.parametrize(
    'content',
    [
        b'',
        b'- a\n',
        b'a: [',
        b'\xff\xfe\x00',
        b'!!python/object:os',
        b'a: !!bool foo',
        b'a: !!int {}',
    ],
)
def test_what_is_no_recipe_at_all(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / 'recipe.yaml'
    path.write_bytes(content)
    with pytest.raises(TrainingError, match=str(path)):
        read_recipe(path)
    with pytest.raises(TrainingError, match='cannot be read: No such file'):
        read_recipe(tmp_path / 'none.yaml')


@pytest.mark.parametrize('steps', ['yes', '9' * 4000, '1e9', '0', "'7'"])
def test_what_is_no_count_is_refused(tmp_path: Path, steps: str) -> None:
    path = tmp_path / 'recipe.yaml'
    path.write_text(f'{RECIPES[0].read_text()}\nsteps: {steps}\n')
    with pytest.raises(TrainingError, match='steps'):
        read_recipe(path)


@pytest.mark.parametrize('name', ['batch_size', 'seed', 'workers', 'validation_questions'])
def test_a_yes_is_no_number(tmp_path: Path, name: str) -> None:
    with pytest.raises(TrainingError, match=f'{name}: it must be a whole number'):
        read_recipe(written(tmp_path, **{name: True}))


def test_a_yes_is_no_rate(tmp_path: Path) -> None:
    for settings in ({'clip': True}, {'epochs': True}, {'optimizer': {'weight_decay': True}}):
        with pytest.raises(TrainingError, match=f'{next(iter(settings))}.*it must be a number'):
            read_recipe(written(tmp_path, **settings))
    path = tmp_path / 'recipe.yaml'
    path.write_text(RECIPES[0].read_text() + 'clip: 1e-3\n')
    assert read_recipe(path).clip == 0.001


def test_an_adapter_with_nothing_to_sit_on_is_refused(tmp_path: Path) -> None:
    both = {name: {'how': 'lora', 'learning_rate': 1e-4} for name in ('decoder', 'vision_tower')}
    for target, part in (('dense', 'vision_tower'), ('out_proj', 'decoder')):
        changes = {'learns': both, 'lora': {'targets': [target]}}
        with pytest.raises(TrainingError, match=f'lora.targets names no layer of {part}: use'):
            read_recipe(written(tmp_path, **changes))
    read_recipe(written(tmp_path, learns=both, lora={'targets': ['dense', 'out_proj']}))


def test_a_setting_that_stands_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / 'recipe.yaml'
    path.write_text(f'{RECIPES[0].read_text()}\nstage: domain\n')
    with pytest.raises(TrainingError, match="'stage' stands twice"):
        read_recipe(path)


def test_a_recipe_survives_being_written_down() -> None:
    recipe = read_recipe(RECIPES[0])
    assert Recipe.model_validate(recipe.model_dump(mode='json')) == recipe


# A recipe with something in every field.
WHOLE = {
    **GOOD,
    'learns': {'decoder': {'how': 'lora', 'learning_rate': 1e-4}},
    'lora': {'r': 8, 'alpha': 16, 'dropout': 0.1, 'targets': ['dense']},
    'data': [
        {
            **{'name': 'a', 'format': 'llava', 'path': 'b', 'pictures': 'c', 'weight': 1},
            **{'part': 'split', 'scenes': 'd', 'frames': 4, 'on_bad': 'skip'},
        }
    ],
    'optimizer': {'betas': [0.9, 0.98], 'eps': 1e-8, 'weight_decay': 0.1},
    **{'validation': 0.1, 'validation_questions': 5, 'warm_up': 0.1, 'precision': 'fp32'},
    **{'accumulate': 1, 'questions_per_picture': 4, 'max_length': 64, 'checkpointing': True},
    **{'clip': 1, 'seed': 1, 'workers': 1, 'save_every': 5, 'fsdp': False, 'research_only': True},
}


@pytest.mark.parametrize('place', list(places(WHOLE)), ids=lambda place: '.'.join(map(str, place)))
def test_whatever_stands_in_a_field_is_understood_or_explained(
    tmp_path: Path, place: tuple[Any, ...]
) -> None:
    path = tmp_path / 'recipe.yaml'
    for recipe in spoiled(WHOLE, place):
        path.write_text(yaml.safe_dump(recipe))
        try:
            read_recipe(path)
        except TrainingError as error:
            text = assert_one_sentence(error, path)
            assert 'a path in it' in text or any(str(each) in text for each in place), text
