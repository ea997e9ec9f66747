"""Under which terms the data may be used; the sentences go into the model card."""

import re
from collections.abc import Iterable

from ros2_llava_phi.errors import DataError

from .data_set import DataSet, Format

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


def _terms(data_set: DataSet) -> str:
    terms = TERMS[data_set.format]
    if data_set.format == Format.LLAVA and LLAVAS_OWN.match(data_set.path.name):
        return f'{terms} {BY_GPT_4}'
    return terms
