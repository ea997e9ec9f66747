"""
A finished model learns a new domain by LoRA: how well, how long, and what it forgets.

    python benchmarks/domain.py [--work build/domain]

llava-phi-tiny has never seen a thermal camera. It is fine-tuned on generated thermal road scenes,
and a share of scenes of the kind that it knows. Both models are then asked about held-out scenes
of both, in wordings that no training used.
"""

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from ros2_llava_phi.datasets.data_set import DataSet, read_data_set
from ros2_llava_phi.files.yaml_file import read_yaml
from ros2_llava_phi.model.checkpoint import load_network
from ros2_llava_phi.training.labels import label_all
from ros2_llava_phi.training.recipe import Start, read_recipe
from ros2_llava_phi.training.run import train
from ros2_llava_phi.training.start import open_start
from ros2_llava_phi.training.validation import Validation, validate
from tiny.scene_files import Sort, write_scenes

RECIPE = Path(__file__).parent.parent / 'config' / 'train' / 'domain_lora.yaml'
TRAINING_SEED, HELD_OUT_SEED = 31, 910_001
SCENES = {Sort.THERMAL: 2000, Sort.KNOWN: 700}


def ask(model: str, path: Path) -> Validation:
    """Ask a model all questions of a data set."""
    origin = open_start(Start(checkpoint=model), 0)
    records = read_data_set(DataSet(name='held out', path=path))
    length = origin.config.text.context_length
    asked = label_all(records.conversations, origin.tokenizer, origin.config, 'v0', length)
    network = load_network(origin.folder)
    return validate(network, origin.tokenizer, asked.samples, len(asked.samples), 0, 'fp32', 'cpu')


def share(validation: Validation) -> float:
    """Return the share of right answers."""
    right, asked = validation.accuracy()
    return right / asked


def main(
    work: Annotated[Path, typer.Option(help='Folder for data and runs.')] = Path('build/domain'),
    held_out: Annotated[int, typer.Option(help='Held-out scenes of each kind.')] = 100,
) -> None:
    """Fine-tune llava-phi-tiny on thermal pictures; print and write what came of it."""
    content: dict[str, Any] = read_yaml(RECIPE)
    kinds = {'new': Sort.THERMAL, 'old': Sort.KNOWN}
    for each in content['data']:
        kind = kinds[each['name']]
        made = write_scenes(work / each['name'], SCENES[kind], kind, TRAINING_SEED, 'train')
        each['path'] = str(made.resolve())
    content['out'] = str((work / 'run').resolve())
    recipe = work / 'recipe.yaml'
    recipe.write_text(json.dumps(content, indent=2))
    start = time.perf_counter()
    train(read_recipe(recipe), Console())
    minutes = (time.perf_counter() - start) / 60
    scores = {}
    table = Table(f'{held_out} held-out scenes each', 'questions', 'before', 'after')
    for name, kind in kinds.items():
        asked = write_scenes(work / f'held_out_{name}', held_out, kind, HELD_OUT_SEED, 'heldout')
        before, after = (ask(model, asked) for model in ('llava-phi-tiny', content['out']))
        scores[name] = {'before': share(before), 'after': share(after)}
        table.add_row(
            f'{name} domain ({kind.value})',
            str(len(after.asked)),
            f'{share(before):.1%}',
            f'{share(after):.1%}',
        )
    console = Console()
    console.print(table)
    console.print(f'training took {minutes:.1f} min, validation before and after included')
    result = {'minutes': minutes, 'held_out_scenes': held_out, 'accuracy': scores}
    (work / 'domain.json').write_text(json.dumps(result, indent=2) + '\n')


if __name__ == '__main__':
    typer.run(main)
