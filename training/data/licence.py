"""Under which terms the data may be used; the sentences go into the model card."""

from collections.abc import Iterable

from .conversation import DataError
from .data_set import DataSet, Format

NUSCENES = "nuScenes' pictures: its terms of use, not for commercial use."
TERMS = {
    Format.LLAVA: 'texts and pictures keep the terms of where they came from; LLaVA-1.5 was '
    "trained on texts that GPT-4 wrote, to which OpenAI's terms apply.",
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
    return [f'{each.name} ({each.format.value}): {TERMS[each.format]}' for each in sets]
