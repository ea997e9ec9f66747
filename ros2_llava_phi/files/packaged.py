"""What comes along with the package: a model, a recording with what is true of it, questions."""

from importlib.resources import files
from pathlib import Path

DATA = Path(str(files('ros2_llava_phi'))) / 'data'


def or_packaged(path: Path, name: Path) -> Path:
    """Return a path, or where nothing is there, what is packaged under that name."""
    packaged = DATA / name
    try:
        missing = '..' not in name.parts and packaged.exists() and not path.exists()
    except OSError:  # whoever opens the path says why it is none
        return path
    return packaged if missing else path
