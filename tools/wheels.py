"""Make the CMake files in the ROS 2 wheels fit this machine; run by the environment's Python.

They name the Python and NumPy include folders of the machine that built them.
"""

import re
import sys
import sysconfig
from pathlib import Path

import numpy

BUILD_MACHINE = r'/opt/python/cp\d+-cp\d+'


def fit(text: str) -> str:
    """Return the text of a CMake file with this interpreter's folders."""
    text = re.sub(
        BUILD_MACHINE + r'/lib/python[\d.]+/site-packages/numpy/_core/include',
        numpy.get_include(),
        text,
    )
    return re.sub(BUILD_MACHINE + r'/include/python[\d.]+', sysconfig.get_path('include'), text)


def main() -> None:
    """Rewrite the files below share/ that need it."""
    for file in Path(sys.prefix, 'share').rglob('*.cmake'):
        text = file.read_text()
        if (fitted := fit(text)) != text:
            file.write_text(fitted)


if __name__ == '__main__':
    main()
