"""A training recipe: one YAML file that says what is trained, on what, and how."""

from collections.abc import Iterable
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from ros2_llava_phi.datasets.data_set import DataSet
from ros2_llava_phi.errors import FileError, TrainingError
from ros2_llava_phi.files.settings import Number, StrictSettings, first_problem
from ros2_llava_phi.files.yaml_file import read_yaml

Share = Annotated[Number, Field(ge=0, lt=1)]
Rate = Annotated[Number, Field(gt=0, le=1)]
# Of a block of either part, those that an adapter can sit on.
SHARED_LAYERS = {'q_proj', 'k_proj', 'v_proj', 'fc1', 'fc2'}
LAYERS = {'decoder': SHARED_LAYERS | {'dense'}, 'vision_tower': SHARED_LAYERS | {'out_proj'}}
Count = Annotated[int, Field(ge=1, le=10**9, strict=True)]


class Start(StrictSettings):
    """
    The model that the training starts from.

    checkpoint: the folder of a whole model, in any layout, or the name of a packaged one.
    clip, phi: instead, the folders of a vision encoder and of a decoder; between them comes a
    projector with random weights, which `align` trains first.
    base, vision_tower: the folders that a checkpoint of a projector or an adapter needs, too.
    pool: how many patches along each side are averaged to one token of a picture, where several
    pictures would not fit otherwise; None keeps the checkpoint's.
    """

    checkpoint: str | None = None
    clip: Path | None = None
    phi: Path | None = None
    base: Path | None = None
    vision_tower: Path | None = None
    pool: Annotated[int, Field(ge=1, strict=True)] | None = None

    @model_validator(mode='after')
    def _check(self) -> 'Start':
        if self.checkpoint is None and (self.clip is None or self.phi is None):
            raise ValueError('give a checkpoint, or both clip and phi')
        if self.checkpoint is not None and (self.clip or self.phi):
            raise ValueError('give a checkpoint, or clip and phi, but not both')
        return self


class How(str, Enum):
    """How a part of the network learns."""

    FROZEN = 'frozen'
    FULL = 'full'
    LORA = 'lora'


class Part(StrictSettings):
    """
    How a part learns.

    how: not at all (frozen), all its weights (full), or by a low-rank adapter (lora).
    learning_rate: the peak.
    """

    how: How = How.FROZEN
    learning_rate: Rate | None = None

    @model_validator(mode='after')
    def _check(self) -> 'Part':
        if self.how != How.FROZEN and self.learning_rate is None:
            raise ValueError(f'what learns ({self.how.value}) needs a learning_rate')
        if self.how == How.FROZEN and self.learning_rate is not None:
            raise ValueError('what is frozen takes no learning_rate')
        return self


class Learns(StrictSettings):
    """What each part of the network does; a part that is not named is frozen."""

    projector: Part = Part()
    decoder: Part = Part()
    vision_tower: Part = Part()

    @model_validator(mode='after')
    def _check(self) -> 'Learns':
        if all(part.how == How.FROZEN for _, part in self.parts()):
            raise ValueError('everything is frozen; name a part that learns')
        if self.projector.how == How.LORA:
            raise ValueError('the projector is small: train it in full, or freeze it')
        return self

    def parts(self) -> Iterable[tuple[str, Part]]:
        """Return the parts by name."""
        return (
            ('projector', self.projector),
            ('decoder', self.decoder),
            ('vision_tower', self.vision_tower),
        )


class Lora(StrictSettings):
    """
    Low-rank adapters (Hu et al., arXiv 2106.09685), for the parts that learn by lora.

    r: the rank. alpha: the adapter is scaled by alpha / r. dropout: of its input.
    targets: the layers of each block that get one, by their names in network.py; `dense` is the
    decoder's, `out_proj` the vision tower's.
    """

    r: Annotated[int, Field(ge=1, le=1024, strict=True)] = 128
    alpha: Annotated[Number, Field(gt=0)] = 256.0
    dropout: Share = 0.05
    targets: tuple[
        Literal['q_proj', 'k_proj', 'v_proj', 'dense', 'out_proj', 'fc1', 'fc2'], ...
    ] = ('q_proj', 'k_proj', 'v_proj', 'dense', 'out_proj', 'fc1', 'fc2')


class AdamW(StrictSettings):
    """
    AdamW (Loshchilov and Hutter, arXiv 1711.05101).

    betas, eps: as in Adam. weight_decay: of matrices; biases and norms never decay.
    """

    betas: tuple[Share, Share] = (0.9, 0.999)
    eps: Annotated[Number, Field(gt=0)] = 1e-8
    weight_decay: Annotated[Number, Field(ge=0)] = 0.0


class Stage(str, Enum):
    """What a training is for, which decides the template and what may learn."""

    ALIGN = 'align'
    INSTRUCT = 'instruct'
    DOMAIN = 'domain'


class Recipe(StrictSettings):
    """
    One training.

    start: the model that it starts from.
    stage: `align` trains the projector alone, on captions in the plain template; `instruct` and
    `domain` train on conversations, `domain` from a finished model.
    learns: what each part of the network does. lora: the adapters of parts that learn so.
    data: the data sets, which are mixed by their weights.
    validation: the share of the scenes that is held out. validation_questions: how many of its
    questions are asked before and after; 0 asks none.
    research_only: says that the result will never operate a vehicle or robot, which some data
    sets' licences ask for.
    optimizer, warm_up: AdamW, with a linear warm-up over that share of the steps, and a cosine to
    zero behind it.
    precision: what is multiplied in; what learns is kept in fp32, as is the optimiser.
    batch_size: conversations a step, all processes together. accumulate: in how many parts each
    process takes its share of them through the network, one after another.
    questions_per_picture: how many questions about one picture are read behind it at once.
    max_length: the most tokens of a conversation, pictures included; else the model's context.
    checkpointing: whether activations are computed again rather than kept, which spares memory.
    clip: the most that the gradient's norm may be.
    epochs, steps: how long; one of them.
    seed: of the order of the data and all else that is random.
    workers: processes that read pictures ahead; 0 reads them in between.
    save_every: steps between saves. out: the folder of the run and of the finished model.
    fsdp: whether several GPUs share the weights rather than have a copy each.
    """

    start: Start
    stage: Stage
    learns: Learns
    lora: Lora = Lora()
    data: Annotated[tuple[DataSet, ...], Field(min_length=1)]
    validation: Share = 0.05
    validation_questions: Annotated[int, Field(ge=0, strict=True)] = 200
    research_only: bool = False
    optimizer: AdamW = AdamW()
    warm_up: Share = 0.03
    precision: Literal['fp32', 'bf16', 'fp16'] = 'fp32'
    batch_size: Annotated[int, Field(ge=1, le=1 << 20, strict=True)] = 128
    accumulate: Count = 1
    questions_per_picture: Count = 16
    max_length: Count | None = None
    checkpointing: bool = False
    clip: Annotated[Number, Field(gt=0)] = 1.0
    epochs: Annotated[Number, Field(gt=0, le=10_000)] | None = None
    steps: Count | None = None
    seed: Annotated[int, Field(ge=0, lt=1 << 31, strict=True)] = 0
    workers: Annotated[int, Field(ge=0, le=256, strict=True)] = 0
    save_every: Count = 500
    out: Path
    fsdp: bool = False

    @model_validator(mode='after')
    def _check(self) -> 'Recipe':
        if (self.epochs is None) == (self.steps is None):
            raise ValueError('give either epochs or steps')
        if self.stage == Stage.ALIGN:
            self._check_align()
        if self.stage == Stage.DOMAIN and self.start.checkpoint is None:
            raise ValueError('stage domain starts from a finished model; give start.checkpoint')
        names = [each.name for each in self.data]
        if len(set(names)) < len(names):
            raise ValueError(f'two data sets have the same name; names: {", ".join(names)}')
        for name, part in self.learns.parts():
            if part.how == How.LORA and not set(self.lora.targets) & LAYERS[name]:
                raise ValueError(
                    f'lora.targets names no layer of {name}: use {", ".join(sorted(LAYERS[name]))}'
                )
        if self.accumulate > self.batch_size:
            raise ValueError(f'accumulate {self.accumulate} exceeds the {self.batch_size} samples')
        return self

    def _check_align(self) -> None:
        learn = [name for name, part in self.learns.parts() if part.how != How.FROZEN]
        if learn != ['projector']:
            raise ValueError(
                f'stage align trains the projector alone, but learns names {", ".join(learn)}'
            )

    @property
    def template(self) -> str:
        """Return the template of conversations: 'plain' or 'v0'."""
        return 'plain' if self.stage == Stage.ALIGN else 'v0'

    @property
    def uses_lora(self) -> bool:
        """Return whether any part learns by an adapter."""
        return any(part.how == How.LORA for _, part in self.learns.parts())


def read_recipe(path: Path) -> Recipe:
    """
    Read a recipe; its paths are relative to the file.

    Raises TrainingError in one line that names the file and the field.
    """
    try:
        content = read_yaml(path)
    except FileError as error:
        raise TrainingError(str(error)) from error
    if not isinstance(content, dict):
        raise TrainingError(f'{path} holds no settings by name')
    try:
        recipe = Recipe.model_validate(content)
    except ValidationError as error:
        raise TrainingError(f'{path}: {first_problem(error)}') from error
    try:
        return _resolved(recipe, path.resolve().parent)
    except (OSError, RuntimeError, ValueError) as error:
        # A NUL, links in a circle, the home of nobody.
        reason = (isinstance(error, OSError) and error.strerror) or error
        raise TrainingError(f'{path}: a path in it is none: {reason}') from error


def _resolved(recipe: Recipe, folder: Path) -> Recipe:
    """Return a recipe whose paths are absolute."""

    def absolute(settings: Any) -> Any:
        paths = {
            name: (folder / value.expanduser()).resolve()
            for name, value in settings
            if isinstance(value, Path)
        }
        return settings.model_copy(update=paths)

    start = absolute(recipe.start)
    # A packaged model has a name, which is no path.
    if start.checkpoint and (folder / Path(start.checkpoint).expanduser()).is_dir():
        there = (folder / Path(start.checkpoint).expanduser()).resolve()
        start = start.model_copy(update={'checkpoint': str(there)})
    data = tuple(absolute(each) for each in recipe.data)
    return absolute(recipe).model_copy(update={'start': start, 'data': data})
