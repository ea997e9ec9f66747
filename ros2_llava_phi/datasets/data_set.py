"""A data set, as a training file names it: what it holds, and under which terms."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from ros2_llava_phi.errors import DataError, counted
from ros2_llava_phi.files.settings import Number, StrictSettings

from .bddx import read_bddx
from .check import DAMAGED, check, refuse_damaged
from .dialogue import Dialogue, Dropped, Sample, choices_in, says_yes_or_no
from .drivelm import read_drivelm
from .lingoqa import read_lingoqa
from .llava import read_llava
from .nuscenes_qa import read_nuscenes_qa
from .openeqa import read_openeqa
from .records import read_text
from .robovqa import read_robovqa
from .sheet import read_sheet


class Format(str, Enum):
    """What a data set is written in."""

    LLAVA = 'llava'
    SHEET = 'sheet'
    DRIVELM = 'drivelm'
    NUSCENES_QA = 'nuscenes_qa'
    LINGOQA = 'lingoqa'
    BDDX = 'bddx'
    ROBOVQA = 'robovqa'
    OPENEQA = 'openeqa'


NUSCENES = "nuScenes' pictures: its terms of use, not for commercial use."
TERMS = {
    Format.LLAVA: 'texts and pictures keep the terms of where they came from.',
    Format.SHEET: 'recordings and answers of your own.',
    Format.DRIVELM: f'texts: CC BY-NC-SA 4.0. {NUSCENES}',
    Format.NUSCENES_QA: f'texts: CC BY-NC-SA 4.0, as derived from nuScenes. {NUSCENES}',
    Format.LINGOQA: 'Wayve Dataset Licence Agreement for Non-Commercial Use: a model trained on '
    'it must not be used to operate a vehicle or robot or to assist in that, nor for any '
    'high-risk purpose, and must be published on an academic basis and free of charge. This work '
    'was made using the Wayve LingoQA dataset and benchmark, provided by Wayve Technologies Ltd '
    'under licence terms available at https://github.com/wayveai/LingoQA.',
    Format.BDDX: "UC Regents' licence for education, research and non-profit; BDD's videos: its "
    'own terms.',
    Format.ROBOVQA: 'CC BY 4.0.',
    Format.OPENEQA: 'texts: MIT. Pictures: the terms of ScanNet or HM3D, whichever they are of.',
}
# LLaVA's own texts are told by the names under which they are published, as
# llava_v1_5_mix665k.json and llava_instruct_150k.json.
LLAVAS_OWN = re.compile(r'llava_(v1_5|instruct)_')
BY_GPT_4 = "GPT-4 wrote the texts of LLaVA's mixtures, and OpenAI's terms apply to them."
RESEARCH_ONLY = (Format.LINGOQA,)


class DataSet(StrictSettings):
    """
    One data set of a mixture.

    name: what messages and the model card call it.
    format, path: the file with its questions and answers.
    pictures: the folder that picture names are relative to; else that of the file.
    weight: how many times an epoch sees the set; of a fraction, another part in each epoch.
    part: train or validation takes all of it for that, which is how official splits are named;
    split divides it by scene.
    scenes: a text file, one scene a line; only these are read.
    frames: how many pictures to take of a video, evenly spread.
    on_bad: whether records that cannot be used are skipped and counted, or end the run.
    """

    name: Annotated[str, Field(min_length=1)]
    format: Format = Format.LLAVA
    path: Path
    pictures: Path | None = None
    weight: Annotated[Number, Field(gt=0, le=1000)] = 1.0
    part: Literal['split', 'train', 'validation'] = 'split'
    scenes: Path | None = None
    frames: Annotated[int, Field(ge=1, le=64, strict=True)] = 4
    on_bad: Literal['skip', 'refuse'] = 'skip'


@dataclass(frozen=True)
class Records:
    """What was read of a data set: what can be used, and what was dropped."""

    conversations: tuple[Dialogue, ...]
    dropped: tuple[Dropped, ...]


def read_data_set(data_set: DataSet, checked: Callable[[], object] = lambda: None) -> Records:
    """
    Read and check a data set.

    checked: called after each picture that was looked at.

    Raises DataError if a file is missing or damaged, if nothing of it can be used, at the first
    record that cannot be used where `on_bad` says refuse, and where too many pictures lost data.
    """
    folder = data_set.pictures or data_set.path.parent
    if not folder.is_dir():
        raise DataError(f'{data_set.name}: there is no folder of pictures {folder}')
    samples = _named(_samples(data_set, folder), data_set.name)
    if data_set.scenes is not None:
        samples = _only(samples, _lines(data_set.scenes))
    all_checked = check(map(_as_chosen, samples), folder, checked)
    conversations = tuple(each for each in all_checked if isinstance(each, Dialogue))
    dropped = tuple(each for each in all_checked if isinstance(each, Dropped))
    damaged = [each for each in dropped if each.reason == DAMAGED]
    if damaged:
        where = f'{data_set.name} ({data_set.path})'
        refuse_damaged(len(damaged), len(all_checked), where, damaged[0].detail)
    if dropped and (data_set.on_bad == 'refuse' or not conversations):
        first = dropped[0]
        detail = f' ({first.detail})' if first.detail else ''
        raise DataError(
            f'{data_set.path}, record {first.record}: {first.reason}{detail}; '
            f'{len(dropped)} of {counted(len(all_checked), "record")} cannot be used'
        )
    if not conversations:
        of_these = f' of the scenes in {data_set.scenes}' if data_set.scenes else ''
        raise DataError(f'{data_set.path} holds no records{of_these}')
    return Records(conversations, dropped)


def check_licences(sets: Iterable[DataSet], research_only: bool) -> list[str]:
    """
    Return a sentence on the terms of each data set, for the model card.

    Raises DataError for a set that forbids what a robot's model is for, unless the result is for
    research only.
    """
    sets = list(sets)
    for each in sets:
        if each.format in RESEARCH_ONLY and not research_only:
            raise DataError(
                f'{each.name}: the licence of {each.format.value} forbids using a model trained '
                'on it to operate a vehicle or robot; set research_only if the result will not be'
            )
    return [f'{each.name} ({each.format.value}): {_terms(each)}' for each in sets]


def _samples(data_set: DataSet, folder: Path) -> Iterator[Sample]:
    path, frames = data_set.path, data_set.frames
    match data_set.format:
        case Format.LLAVA:
            return read_llava(path, folder)
        case Format.SHEET:
            return read_sheet(path, folder)
        case Format.DRIVELM:
            return read_drivelm(path, folder)
        case Format.NUSCENES_QA:
            return read_nuscenes_qa(path, folder)
        case Format.LINGOQA:
            return read_lingoqa(path, folder, frames)
        case Format.BDDX:
            return read_bddx(path, folder, frames)
        case Format.ROBOVQA:
            return read_robovqa(path, folder, frames)
        case Format.OPENEQA:
            return read_openeqa(path, folder, frames)


def _named(samples: Iterable[Sample], name: str) -> Iterator[Sample]:
    return (replace(each, source=name) for each in samples)


def _as_chosen(sample: Sample) -> Sample:
    """Capitalise a yes or no as the assistant does, unless the request has choices of its own."""
    if isinstance(sample, Dropped):
        return sample
    turns = [
        replace(turn, answer=turn.answer.strip().capitalize())
        if turn.answer and says_yes_or_no(turn.answer) and not choices_in(turn)
        else turn
        for turn in sample.turns
    ]
    return replace(sample, turns=tuple(turns))


def _lines(path: Path) -> set[str]:
    return {line.strip() for line in read_text(path).splitlines()}


def _only(samples: Iterable[Sample], scenes: set[str]) -> Iterator[Sample]:
    return (each for each in samples if isinstance(each, Dropped) or each.scene in scenes)


def _terms(data_set: DataSet) -> str:
    terms = TERMS[data_set.format]
    if data_set.format == Format.LLAVA and LLAVAS_OWN.match(data_set.path.name):
        return f'{terms} {BY_GPT_4}'
    return terms
