"""The text of the project uses plain technical English: retired words do not come back.

`python tests/unit/test_plain_words.py [PATH ...]` lists each place, to use while writing.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("firmware", "host_tools", "boards", "tests", "docs")
FILES = (
    "README.md",
    "CHANGELOG.md",
    "Makefile",
    "pyproject.toml",
    "mkdocs.yml",
)
KINDS = {
    ".py",
    ".pyi",
    ".md",
    ".toml",
    ".json",
    ".jinja",
    ".html",
    ".txt",
    ".css",
    ".js",
    ".csv",
}
# Not ours: licences, and vectors quote their sources.
OTHERS = (
    "firmware/fonts/",
    "firmware/languages/",
    "tests/vectors/",
    "tests/unit/test_plain_words.py",
)

# What to write instead is in CONTRIBUTING.md.
RETIRED = re.compile(
    r"""(?<![a-z])(?:
    told|tells?|telling|stands?|stood|anew|bears?|octets?|splinters?
    |whoever|somebody|nobody|heed|hither|thereof|whence|amiss
    |comes?\ to(?!\ (?:the|an?)\ end)|lets?\ go|let\ it\ go
    |is\ so\b|so\ it\ is|not\ as\ it\ is|has\ it\b(?!\ (?:been|ever))|has\ not\ got
    |ought\ to|becomes?\ of|of\ its\ own\ accord
    )(?![a-z])""",
    re.VERBOSE,
)

# Places where such a word is right: file, a part of the line, and the reason.
EXCEPTIONS: tuple[tuple[str, str, str], ...] = (
    ("tests/device/test_modelled_boards.py", "file.tell()", "a method of files"),
    ("CHANGELOG.md", "Issued.told", "the old name"),
    ("boards/virtual/modelled/files.py", 'tell = _alone("tell")', "a method of files"),
    ("host_tools/jeton_host/bench/measuring.py", '"mpy_octets": ', "a key of --json"),
    ("tests/device/test_bench.py", '"mpy_octets"', "a key of --json"),
    ("tests/device/test_flash.py", '"octets"', "a key of --json"),
    ("host_tools/jeton_host/cli/flash.py", '"octets"', "a key of the JSON of `jeton flash`"),
)


def texts() -> Iterator[Path]:
    """Yield the files whose words are the project's own."""
    for name in FILES:
        if (ROOT / name).exists():
            yield ROOT / name
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            name = path.relative_to(ROOT).as_posix()
            if path.suffix in KINDS and not name.startswith(OTHERS) and "__pycache__" not in name:
                yield path


def retired(path: Path) -> Iterator[str]:
    """Yield `file:line: word: the line` for each retired word of a file."""
    name = path.relative_to(ROOT).as_posix()
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        # Names count too: camelCase and snake_case are words.
        words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", line).replace("_", " ").lower()
        for found in RETIRED.finditer(words):
            if not any(name == file and part in line for file, part, _ in EXCEPTIONS):
                yield f"{name}:{number}: {found[0]}: {line.strip()}"


def test_no_retired_word() -> None:
    found = [place for path in texts() for place in retired(path)]
    assert not found, "\n".join(found)


def test_each_exception_is_needed() -> None:
    for file, part, reason in EXCEPTIONS:
        assert part in (ROOT / file).read_text(encoding="utf-8"), (file, part)
        assert reason


if __name__ == "__main__":
    chosen = [(Path.cwd() / a).resolve() for a in sys.argv[1:]] or [ROOT]
    for text in texts():
        if any(text == c or c in text.parents for c in chosen):
            for place in retired(text):
                print(place)
