"""Steps that are done once, and again only when what they depend on changes."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Step:
    """One thing to do, and what it depends on.

    `inputs` are files, by their content, and strings; `after` is the step that it builds upon.
    """

    name: str
    inputs: Sequence[Path | str]
    do: Callable[[], None]
    after: 'Step | None' = None

    def key(self) -> str:
        """Return a hash of everything that the outcome depends on."""
        digest = hashlib.sha256(self.after.key().encode() if self.after else b'')
        for item in self.inputs:
            digest.update(str(item).encode() + b'\0')
            if isinstance(item, Path) and item.is_file():
                digest.update(item.read_bytes())
        return digest.hexdigest()


def bring_up_to_date(steps: Sequence[Step], stamps: Path, before: Callable[[], None]) -> None:
    """Do the steps whose stamp in the folder `stamps` is missing or old.

    `before` is called once, and only if there is something to do.
    """
    checked = False
    for step in steps:
        stamp = stamps / f'.{step.name}.done'
        if stamp.exists() and stamp.read_text() == step.key():
            continue
        if not checked:
            before()
            checked = True
        stamp.unlink(missing_ok=True)
        step.do()
        stamp.write_text(step.key())
