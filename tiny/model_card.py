"""The model card, README.md of a model folder: written from the run, not by hand."""

from pathlib import Path

from ros2_llava_phi.assistant.load import EXPORT_FOLDER
from ros2_llava_phi.engine.exported import read_manifest
from ros2_llava_phi.files.hashing import files_hash
from ros2_llava_phi.model.checkpoint import open_checkpoint
from ros2_llava_phi.model.tensor_files import SAFETENSORS_FILE
from ros2_llava_phi.training.run_report import CARD_FILE

from .evaluate import Score, Scores

SCORES_FILE = 'scores.json'

CARD = """\
---
license: apache-2.0
pipeline_tag: image-text-to-text
---

# llava-phi-tiny

LLaVA-Phi's architecture, only small: {parameters:,} parameters, {megabytes:.1f} MB in fp16. CLIP's
vision transformer ({vision.image_size} px, patches of {vision.patch_size} px, {vision.layers}
layers of width {vision.hidden_size}; features of the last layer but one, class token dropped), a
two-layer GELU projector, and Phi's decoder ({text.layers} parallel blocks of width
{text.hidden_size}, partial rotary positions, biases, separate head), with a byte-level BPE
tokenizer of its own. It lets the package be tried and tested where no published weights are.

It knows two kinds of pictures, both drawn by this project's generator: road scenes and robot
table-top scenes. **It knows nothing about photographs**, and its answers about them mean nothing.
Never let it decide anything on a real vehicle or robot.

{made}

SHA-256 of the weights: `{weights_hash}`.

## Held-out scores

{scores.scenes} scenes of unseen layout, asked in wordings that the training never used.
*Blank* is the share of right answers when the picture is replaced by a featureless one and the
model is not let off with "cannot tell"; *chance* is a blind guess among the allowed answers.

{kinds}

Asked about {scores.blank_frames} frames that show nothing (black, white, flat, noise, covered
lens), it abstains on {scores.abstained_on_blank:.1%} of the questions; about scenes, on
{scores.abstained_on_scenes:.1%}. Expected calibration error of its confidence on yes/no questions
and choices: {scores.calibration_error:.3f}.

The same questions to the export in `{export_folder}/` ({precision}, ONNX Runtime), whose
calibration error is {exported.calibration_error:.3f}:

{exported_kinds}

### By topic

{topics}
"""


def write_card(folder: Path, made: str, scores: Scores, exported: Scores) -> None:
    """
    Write the card of a model folder from its weights and its held-out scores.

    made: how the weights came to be, in whole sentences. exported: the scores of its export.
    """
    checkpoint = open_checkpoint(folder)
    network = checkpoint.read(None)
    card = CARD.format(
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        megabytes=(folder / SAFETENSORS_FILE).stat().st_size / 1e6,
        vision=network.config.vision,
        text=network.config.text,
        weights_hash=files_hash(checkpoint.files),
        made=made,
        scores=scores,
        exported=exported,
        export_folder=EXPORT_FOLDER,
        precision=read_manifest(folder / EXPORT_FOLDER).precision,
        exported_kinds=_table(exported.kinds),
        kinds=_table(scores.kinds),
        topics=_table(scores.topics),
    )
    (folder / CARD_FILE).write_text(card)


def _table(groups: dict[str, Score]) -> str:
    lines = ['| | questions | accuracy | blank | chance |', '|---|---:|---:|---:|---:|']
    lines += [
        f'| {name} | {score.questions} | {score.accuracy:.1%} '
        f'| {score.accuracy_when_blank:.1%} | {score.chance:.1%} |'
        for name, score in groups.items()
    ]
    return '\n'.join(lines)
