"""Fuzzes the targets in targets.py, guided by code coverage: `make fuzz`.

`python -m tests.hostile.fuzz TARGET [SECONDS]` fuzzes one target; without arguments it lists the
targets. An input that fails is written to crash-… in the working directory, and its traceback is
printed.
"""

import sys
import tempfile
from pathlib import Path

try:
    import atheris
except ImportError:
    sys.exit("fuzz: there is no atheris for this Python here (pip install '.[fuzz]'): skipped")

sys.path.append(str(Path(__file__).parents[1] / "both"))
with atheris.instrument_imports(include=["jeton", "jeton_host", "json"]):
    from tests.hostile import targets

KNOWN = {function.__name__: function for function in targets.TARGETS}


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in KNOWN:
        print(*KNOWN, sep="\n")
        return
    function = KNOWN[sys.argv[1]]
    seconds = sys.argv[2] if len(sys.argv) > 2 else "60"
    with tempfile.TemporaryDirectory(prefix="jeton-") as folder:
        for i, seed in enumerate(targets.TARGETS[function]):
            Path(folder, str(i)).write_bytes(seed)
        options = (f"-max_total_time={seconds}", "-timeout=5", "-max_len=20000", "-verbosity=0")
        atheris.Setup([sys.argv[0], *options, "-print_final_stats=1", folder], function)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
