"""Where this user keeps what is made once for a machine: XDG_CACHE_HOME, or ~/.cache."""

import os
from pathlib import Path

from ros2_llava_phi.errors import FileError


def user_cache() -> Path:
    """
    Return the package's folder in the user's cache, which nobody else may write to.

    Raises FileError if it cannot be made, or others may write to it: what it holds is run.
    Source: XDG Base Directory Specification.
    """
    root, home = os.environ.get('XDG_CACHE_HOME', ''), os.environ.get('HOME')
    if Path(root).is_absolute():
        base = Path(root)
    elif home is not None and not Path(home).is_absolute():
        raise FileError(
            f'HOME is {home!r}, no absolute path; let it or XDG_CACHE_HOME name one for a cache'
        )
    else:
        try:
            base = Path.home() / '.cache'
        except RuntimeError as error:
            raise FileError(
                'this user has no home folder for a cache; let XDG_CACHE_HOME name a folder'
            ) from error
    folder = base / 'llava_phi'
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
    except OSError as error:
        raise FileError(f'{folder} cannot be used: {error.strerror}') from error
    if status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise FileError(f'{folder} can be written by others; `chmod go-w` it, or remove it')
    return folder
