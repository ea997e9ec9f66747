"""Plans of an export that are built when they are first needed, and kept for this machine."""

import fcntl
import logging
import shutil
from pathlib import Path

from ros2_llava_phi.errors import ModelError
from ros2_llava_phi.files.hashing import files_hash
from ros2_llava_phi.files.user_cache import user_cache

from .cuda import gpu_name
from .exported import MANIFEST, check_files
from .plans import holds_plans, mismatch, read_plan_manifest
from .tensorrt_build import Progress, build
from .tensorrt_library import library_name, load_tensorrt


def plans_of(export: Path, on_progress: Progress | None) -> Path:
    """
    Return a folder with plans of an export for this machine; build it, and log why, if need be.

    on_progress: as for `build`; None if nothing is to be built.

    Raises ModelError as `build` does, and if plans that must not be built are missing.
    """
    folder = user_cache() / 'plans' / files_hash([export / MANIFEST])
    reason = _unfit(folder)
    if not reason:
        return folder
    if on_progress is None:
        raise ModelError(
            f'{export} cannot be run without plans for this machine ({reason}); allow to build '
            'them, or use `llava-phi build`'
        )
    log = logging.getLogger(__name__)
    log.warning('building plans for TensorRT, which takes minutes: %s', reason)
    heard = ['']

    def hear(phase: str, done: int, total: int) -> None:
        if phase != heard[0]:
            heard[0] = phase
            log.info('building plans for TensorRT: %s', phase)
        on_progress(phase, done, total)

    folder.parent.mkdir(mode=0o700, exist_ok=True)
    # Two at once would spoil each other's timings; the system unlocks for one that is killed.
    with (user_cache() / 'building.lock').open('a') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _unfit(folder):
            return folder
        # Built beside its place: whoever else starts meanwhile sees whole plans or none.
        partial = folder.with_name('building')
        shutil.rmtree(partial, ignore_errors=True)
        build(export, partial, on_progress=hear)
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    log.info('plans are built, and kept in %s', folder)
    return folder


def _unfit(folder: Path) -> str:
    """Return why plans cannot be used, or '' if they can."""
    library, gpu = library_name(load_tensorrt()), gpu_name()
    if not holds_plans(folder):
        return 'there are none for this model yet'
    try:
        plans = read_plan_manifest(folder)
        if reason := mismatch(plans, library, gpu):
            return f'{folder} {reason}'
        check_files(folder, plans.files, 'they are built again')
    except ModelError as error:
        return str(error)
    return ''
