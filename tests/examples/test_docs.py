"""The runner of documents: it runs commands, keeps state, and fails for a wrong document."""

import os
import sys
from pathlib import Path

import pytest

from tests.examples.docs import blocks, run_doc

_DOCUMENT = """\
# A document

```sh
jeton --version
python -c 'import jeton_host; print(jeton_host.__file__)'
mkdir inner
cd inner
export GREETING="good morning"
```

`test_it.py`:

```python
def test_it():
    assert 1 + 1 == 2
```

```sh
test "$(basename "$PWD")" = inner
pytest -q -p no:cacheprovider test_it.py
echo "$GREETING"
```
```text output
… passed in …
good morning
```

```sh exit=3
exit 3
```

```sh no-run
rm -rf /nowhere
```

```python
import os
print(os.environ["GREETING"].upper())
```

```text output
GOOD MORNING
```

```sh background until=ready
echo begun; echo ready; cat /dev/tty
```
"""


def test_document_is_run_with_only_the_wheel(wheel_venv: Path, tmp_path: Path) -> None:
    document = tmp_path / "it.md"
    document.write_text(_DOCUMENT)
    done = run_doc(document, wheel_venv, tmp_path / "empty")
    assert str(wheel_venv) in done[0][1]
    assert len(done) == 5
    assert (tmp_path / "empty" / "inner" / "test_it.py").exists()


def test_pip_finds_only_the_wheel(wheel_venv: Path, tmp_path: Path) -> None:
    document = tmp_path / "it.md"
    document.write_text("```sh\npip install jeton-meter\n```\n")
    ((_, output),) = run_doc(document, wheel_venv, tmp_path / "empty")
    assert "Requirement already satisfied: jeton" in output
    assert "Looking in links" in output


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("```sh\nfalse\ntrue\n```\n", "it.md:1 ended with status 1, not 0"),
        ("\n```sh exit=1\ntrue\n```\n", "it.md:2 ended with status 0, not 1"),
        ("```sh\necho b; echo a\n```\n```text output\na\nb\n```\n", "the line 'b' is not printed"),
        ("```sh background until=ready\necho begun\n```\n", "did not print 'ready'"),
    ],
    ids=["fails", "works", "output", "background"],
)
def test_wrong_document_fails(text: str, said: str, tmp_path: Path) -> None:
    document = tmp_path / "it.md"
    document.write_text(text)
    venv = Path(sys.executable).parents[1]
    with pytest.raises(AssertionError, match=said.replace("(", r"\(")):
        run_doc(document, venv, tmp_path / "empty")


def test_words_are_replaced(tmp_path: Path) -> None:
    document = tmp_path / "it.md"
    document.write_text("```sh\necho at /dev/ttyUSB0\n```\n")
    venv = Path(sys.executable).parents[1]
    ((_, output),) = run_doc(document, venv, tmp_path / "a", replace={"/dev/ttyUSB0": "/dev/x"})
    assert output == "at /dev/x\n"
    with pytest.raises(AssertionError, match="nothing to replace"):
        run_doc(document, venv, tmp_path / "b", replace={"/dev/ttyACM9": os.devnull})


def test_blocks_are_assigned_to_their_files() -> None:
    found = blocks("In `a/b.toml`:\n\n```toml\n[x]\n```\nand\n  ~~~sh no-run\n  ls\n  ~~~\n")
    assert [(b.kind, b.words, b.text, b.name, b.line) for b in found] == [
        ("toml", (), "[x]\n", "a/b.toml", 3),
        ("sh", ("no-run",), "ls\n", "", 7),
    ]


_SESSION = """\
```console
$ echo the token is 9999 8888 7777 6666 5555 today
the token is 1111 2222 3333 4444 5555 …
$ echo 1111 2222 3333 4444 5555
9999 8888 7777 6666 5555
$ echo "jeton: refused" && exit 1
jeton: refused
```

```sh
echo 1111 2222 3333 4444 5555 >token.txt
```

| command | what it does |
|---|---|
| `jeton --version`, `jeton run NAME`, `jeton list` | `jeton flash auto` |
"""


def test_a_session_uses_the_tokens_of_this_run(wheel_venv: Path, tmp_path: Path) -> None:
    document = tmp_path / "it.md"
    document.write_text(_SESSION)
    done = run_doc(document, wheel_venv, tmp_path / "empty")
    assert (tmp_path / "empty" / "token.txt").read_text() == "9999 8888 7777 6666 5555\n"
    assert [block.text for block, _ in done[-2:]] == ["jeton --version\n", "jeton list\n"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("```console\n$ false\n```\n", "it.md:2 ended with status 1"),
        ("```console\n$ true\n$ echo a\nb\n```\n", "it.md:3: the line 'b' is not printed"),
        ("| `jeton no-such-command` |\n", "it.md: jeton no-such-command ended with status"),
    ],
    ids=["status", "output", "table"],
)
def test_wrong_session_or_table_fails(
    text: str, message: str, wheel_venv: Path, tmp_path: Path
) -> None:
    document = tmp_path / "it.md"
    document.write_text(text)
    with pytest.raises(AssertionError, match=message):
        run_doc(document, wheel_venv, tmp_path / "empty")
