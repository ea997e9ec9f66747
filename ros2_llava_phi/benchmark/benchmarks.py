"""All benchmarks by name."""

from .drivelm import DRIVELM
from .mmbench import MMBENCH
from .mme import MME
from .mmvet import MMVET
from .nuscenesqa import NUSCENESQA
from .openeqa import OPENEQA
from .pope import POPE
from .scienceqa import SCIENCEQA
from .textvqa import TEXTVQA
from .vizwiz import VIZWIZ
from .vqav2 import VQAV2

# In the order of the paper's table, and then the drivers' and robots' own.
BENCHMARKS = {
    each.name: each
    for each in (
        VQAV2,
        VIZWIZ,
        SCIENCEQA,
        TEXTVQA,
        POPE,
        MME,
        MMBENCH,
        MMVET,
        DRIVELM,
        NUSCENESQA,
        OPENEQA,
    )
}
