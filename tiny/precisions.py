"""What an export's integers cost the small model: each precision asked about the same scenes."""

from pathlib import Path
from tempfile import TemporaryDirectory

import typer
from rich.console import Console
from rich.table import Table

from ros2_llava_phi.assistant.load import find_model, load
from ros2_llava_phi.assistant.question import request_text
from ros2_llava_phi.engine.export import export
from ros2_llava_phi.engine.gptq import Prompt
from ros2_llava_phi.model.checkpoint import open_checkpoint
from ros2_llava_phi.model.config import ModelConfig
from ros2_llava_phi.model.image import preprocess
from ros2_llava_phi.model.prompt import after_picture, answer_text

from .evaluate import Scores, evaluate
from .scene_shards import draw, question_of

SEED = 1  # the training's: what is held out is not calibrated with
QUESTIONS_PER_SCENE = 4


def scene_prompts(scenes: int, config: ModelConfig) -> list[Prompt]:
    """Return questions of training scenes with their answers, QUESTIONS_PER_SCENE a scene."""
    prompts = []
    for index in range(scenes):
        drawn = draw(SEED, index, 'train', config.vision.grid)
        pixels = preprocess(drawn.picture, config)
        for example in drawn.examples[:QUESTIONS_PER_SCENE]:
            asked = after_picture(request_text(question_of(example)))
            prompts.append(Prompt(pixels, asked + answer_text(example.answer)))
    return prompts


def print_precisions(scores: dict[str, Scores], console: Console) -> None:
    """Print a table of accuracy by kind of question, and of the calibration error."""
    kinds = list(next(iter(scores.values())).kinds)
    table = Table(title=f'{next(iter(scores.values())).scenes} held-out scenes')
    for heading in ('', *kinds, 'calibration error'):
        table.add_column(heading, justify='left' if not heading else 'right')
    for name, one in scores.items():
        shares = (f'{one.kinds[kind].accuracy:.2%}' for kind in kinds)
        table.add_row(name, *shares, f'{one.calibration_error:.4f}')
    console.print(table)


def main(model: str, scenes: int = 400, calibration_scenes: int = 64) -> None:
    """Export a model in integers, 4 bits without and with calibration; evaluate all and fp32."""
    checkpoint, console = open_checkpoint(find_model(model)), Console()
    prompts = scene_prompts(calibration_scenes, checkpoint.config)
    scores = {'fp32': evaluate(load(model, 'torch'), scenes)}
    with TemporaryDirectory() as folder:
        for name, precision, given in (
            ('int8', 'int8', []),
            ('int4', 'int4', []),
            ('int4, calibrated', 'int4', prompts),
            ('mixed', 'mixed', []),
            ('mixed, calibrated', 'mixed', prompts),
        ):
            out = Path(folder) / name
            loss = export(checkpoint, out, name, precision, prompts=given)
            console.print(name, loss)
            scores[name] = evaluate(load(str(out)), scenes)
    print_precisions(scores, console)


if __name__ == '__main__':
    typer.run(main)
