"""The numbers of the operations that a modelled board sends to the models of its parts.

They are constants in boards/virtual/modelled (`_MODE = const(1)` and so on). The compiler inlines
them there, so that they use no heap of the firmware under test. This module reads that source.
"""

import re
from collections.abc import Iterator

from jeton_host.paths import boards_dir

_CONSTANT = re.compile(r"^_([A-Z0-9_]+) = const\((\d+)\)$", re.MULTILINE)
_CODES = {
    name: int(code)
    for file in ("machine", "i2c_target")
    for name, code in _CONSTANT.findall(
        (boards_dir() / "virtual" / "modelled" / f"{file}.py").read_text(encoding="utf-8")
    )
}


def codes(names: str) -> Iterator[int]:
    """Yield the numbers of operations, whose names are separated by spaces.

    KeyError for an unknown name.
    """
    for name in names.split():
        yield _CODES[name]
