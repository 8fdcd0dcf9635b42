"""Runs a document exactly as written: its commands, and the files that it asks for.

A document is Markdown. In it:

* a block ```` ```sh ```` is run by bash, which stops at the first command that fails. All of them
  are one terminal: a `cd` or an `export` applies to the blocks after it;
* a block of any other kind under a line that ends in a file's name and a colon
  (`` `test_it.py`: ``) is written to that file;
* a block ```` ```python ```` without such a line is run;
* a block ```` ```text output ```` is the output of the block before it: these lines in this order,
  with or without other lines between them. `…` in a line matches any text;
* a block ```` ```console ```` is a session: a line after `$ ` is a command, the lines below it are
  its output, as in a block `text output`. A command must end with status 0, unless it prints one
  that begins with `jeton: `. If the session prints another token than the document, the new token
  replaces the old one in the rest of the document;
* a code span in a table that begins with `jeton ` is a command too. These run after all
  blocks, except those that need a person, another terminal or hardware, or have a placeholder such
  as NAME;
* all other blocks are ignored.

Words after the kind: `no-run` (needs hardware), `exit=1` (the expected exit status),
`background` (another terminal: the runner waits until it prints a line, or with `until=WORD` a
line that contains this word, and stops it with Ctrl-C at the end of the document).
"""

import contextlib
import dataclasses
import importlib.metadata
import os
import queue
import re
import shlex
import signal
import subprocess
import sys
import sysconfig
import threading
import venv as venvs
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 120  # for each block

_FENCE = re.compile(r"^( *)(`{3,}|~{3,})(.*)$")
_NAMED = re.compile(r"(?:^|[\s`*(])([\w./-]+\.\w+)`?\*?\*?:\s*$")
_PROMPT = "$ "
_TOKEN = re.compile(r"\b\d{4}(?: \d{4}){4}\b")
_IN_TABLE = re.compile(r"`(jeton [^`]+)`")
# Commands that do not end, need hardware or take minutes; and placeholders.
_ATTENDED = {*("run", "serve", "vend-server", "flash", "doctor", "bench", "wires"), "conformance"}
_PLACEHOLDER = re.compile(r"(?<![$\w])[A-Z]{3,}\d?\b|…|/dev/|\bauto\b")
_OURS = re.compile(r"_?_?(editable__)?_*jeton[-_.0-9a-z]*", re.IGNORECASE)


@dataclass(frozen=True)
class Block:
    """A fenced block: its kind, the words after the kind, and the file named in the line above."""

    kind: str
    words: tuple[str, ...]
    text: str
    name: str
    line: int

    def value(self, key: str) -> str | None:
        """Return the text after `key=` in the words."""
        return next((w.partition("=")[2] for w in self.words if w.startswith(key + "=")), None)


def blocks(text: str) -> list[Block]:
    """Return the fenced blocks of a document."""
    found: list[Block] = []
    above, lines = "", text.splitlines()
    at = 0
    while at < len(lines):
        fence = _FENCE.match(lines[at])
        if not fence:
            above = lines[at].strip() or above
            at += 1
            continue
        indent, mark, info = fence.groups()
        begin = at + 1
        at = begin
        while at < len(lines) and lines[at].strip() != mark:
            at += 1
        assert at < len(lines), f"the block in line {begin} does not end"
        kind, *words = info.split() or [""]
        named = _NAMED.search(above)
        body = "".join(line.removeprefix(indent) + "\n" for line in lines[begin:at])
        found.append(Block(kind, tuple(words), body, named[1] if named else "", begin))
        above = ""
        at += 1
    return found


def table_commands(text: str) -> list[str]:
    """Return the commands in the tables of a document that can be run unchanged."""
    rows = [line for line in text.splitlines() if line.startswith("|")]
    found = [command for row in rows for command in _IN_TABLE.findall(row)]
    return [
        command
        for command in found
        if command.split()[1] not in _ATTENDED and not _PLACEHOLDER.search(command)
    ]


def session(block: Block) -> Iterator[tuple[Block, str]]:
    """Yield the commands of a console block, each with its expected output."""
    command, output, line = "", "", block.line
    for number, text in enumerate([*block.text.splitlines(), _PROMPT], block.line + 1):
        if not text.startswith(_PROMPT):
            output += text + "\n"
            continue
        if command:
            words = ("exit=any",) if re.search(r"^jeton: ", output, re.MULTILINE) else ()
            yield Block("sh", words, command + "\n", "", line), output
        command, output, line = text.removeprefix(_PROMPT), "", number


def run_doc(
    path: Path,
    venv: Path,
    cwd: Path,
    *,
    replace: Mapping[str, str] | None = None,
    timeout_s: float = TIMEOUT_S,
) -> list[tuple[Block, str]]:
    """Run a document in the folder `cwd`; programs of `venv` are first on the PATH.

    Return the output of each block that was run. AssertionError names the line of the first
    block with another result. `replace` maps words of the document to words used here:
    `{"/dev/ttyUSB0": board.path}`.
    """
    text = path.read_text(encoding="utf-8")
    missing = [word for word in replace or {} if word not in text]
    assert not missing, f"{path.name} does not have {missing}: there is nothing to replace"
    for word, other in (replace or {}).items():
        text = text.replace(word, other)
    done: list[tuple[Block, str]] = []
    tokens: dict[str, str] = {}  # token in the document -> token in this run
    with _Terminal(venv, cwd, timeout_s) as terminal:
        for found in blocks(text):
            block = dataclasses.replace(found, text=_replaced(found.text, tokens))
            where = f"{path.name}:{block.line}"
            if "no-run" in block.words:
                continue
            if block.kind == "text" and "output" in block.words:
                assert done, f"{where}: nothing was run before this output"
                _compare(where, block.text, done[-1][1])
            elif block.kind != "sh" and block.name:
                file = terminal.folder() / block.name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(block.text, encoding="utf-8")
            elif block.kind in ("sh", "python"):
                done.append((block, terminal.run(where, block)))
            elif block.kind == "console":
                for step, shown in session(block):
                    step = dataclasses.replace(step, text=_replaced(step.text, tokens))
                    where = f"{path.name}:{step.line}"
                    output = terminal.run(where, step)
                    done.append((step, output))
                    tokens |= _compare(where, _replaced(shown, tokens), output, new_tokens=True)
        for command in table_commands(text):
            step = Block("sh", (), _replaced(command, tokens) + "\n", "", 0)
            done.append((step, terminal.run(f"{path.name}: {command}", step)))
    return done


def _replaced(text: str, tokens: Mapping[str, str]) -> str:
    return _TOKEN.sub(lambda match: tokens.get(match[0], match[0]), text)


def _compare(
    where: str, expected: str, output: str, *, new_tokens: bool = False
) -> dict[str, str]:
    """Fail if lines are missing; with `new_tokens`, return expected -> printed tokens."""
    rest = [line.rstrip() for line in output.splitlines()]
    tokens: dict[str, str] = {}
    for line in filter(None, (line.rstrip() for line in expected.splitlines())):
        pattern = ".*".join(map(re.escape, line.split("…")))
        if new_tokens:
            pattern = _TOKEN.sub(lambda _: _TOKEN.pattern, pattern.replace("\\ ", " "))
        while rest and not re.fullmatch(pattern, rest[0]):
            del rest[0]
        assert rest, f"{where}: the line {line!r} is not printed (any more), but:\n{output}"
        tokens |= zip(_TOKEN.findall(line), _TOKEN.findall(rest[0]), strict=False)
        del rest[0]
    return tokens


class _Terminal:
    """The folder and variables of a shell, kept between blocks, and the background programs."""

    def __init__(self, venv: Path, cwd: Path, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._state = cwd.with_name(cwd.name + ".state")
        self._state.mkdir()
        cwd.mkdir(exist_ok=True)
        assert not any(cwd.iterdir()), f"{cwd} is to be an empty folder"
        self._others: list[subprocess.Popen[str]] = []
        (self._state / "cwd").write_text(f"{cwd}\n")
        (self._state / "env").write_text("")
        (self._state / "home").mkdir()
        self._environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTEST_", "PYTHON", "COV_", "PIP_", "VIRTUAL_ENV"))
        }
        self._environment |= {
            "PATH": f"{venv / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "VIRTUAL_ENV": str(venv),
            "HOME": str(self._state / "home"),
            # pip finds only the wheel and the packages it needs.
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(venv / "wheel"),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "NO_COLOR": "1",
            "COLUMNS": "100",
        }

    def __enter__(self) -> "_Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        for other in self._others:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(other.pid, signal.SIGINT)
        for other in self._others:
            try:
                other.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(other.pid, signal.SIGKILL)
                other.wait()

    def folder(self) -> Path:
        """Return the current folder of the shell."""
        return Path((self._state / "cwd").read_text().rstrip("\n"))

    def _start(self, block: Block) -> subprocess.Popen[str]:
        state = shlex.quote(str(self._state))
        text = block.text
        if block.kind == "python":
            script = self._state / f"line_{block.line}.py"
            script.write_text(text, encoding="utf-8")
            text = f"python {shlex.quote(str(script))}\n"
        keep = (
            ""
            if "background" in block.words
            else f"trap 'pwd >{state}/cwd; export -p >{state}/env' EXIT\n"
        )
        program = f". {state}/env\nset -eo pipefail\n{keep}{text}"
        return subprocess.Popen(
            ["bash", "-c", program],
            cwd=self.folder(),
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, where: str, block: Block) -> str:
        """Run a block and return what it printed."""
        process = self._start(block)
        if "background" in block.words:
            self._others.append(process)
            return self._wait_for_word(where, block, process)
        try:
            output, _ = process.communicate(timeout=self._timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            raise AssertionError(
                f"{where} did not end within {self._timeout_s:g} s:\n{block.text}\n{output}"
            ) from None
        expected = block.value("exit") or "0"
        assert expected in ("any", str(process.returncode)), (
            f"{where} ended with status {process.returncode}, not {expected}:\n"
            f"{block.text}\n{output}"
        )
        return output

    def _wait_for_word(self, where: str, block: Block, process: "subprocess.Popen[str]") -> str:
        word = block.value("until") or ""
        said: queue.Queue[str] = queue.Queue()

        def listen() -> None:
            assert process.stdout is not None
            for line in process.stdout:
                said.put(line)
            said.put("")

        threading.Thread(target=listen, daemon=True).start()
        output = ""
        while True:
            try:
                line = said.get(timeout=self._timeout_s)
            except queue.Empty:
                line = ""
            output += line
            assert line, f"{where} did not print {word!r}:\n{block.text}\n{output}"
            if word in line:
                return output


def make_venv(folder: Path) -> Path:
    """Make a virtual environment with Jeton from its built wheel; return its folder.

    The packages that Jeton needs are linked from this interpreter's environment, without Jeton
    itself. The wheel is in its subfolder `wheel`.
    """
    done = folder / "made"
    if done.exists():
        return folder
    venvs.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    with_site = f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    needed = folder / "needed"
    needed.mkdir()
    for part in Path(sysconfig.get_paths()["purelib"]).iterdir():
        if not _OURS.fullmatch(part.name) and part.suffix != ".pth":
            (needed / part.name).symlink_to(part)
    (folder / with_site / "needed.pth").write_text(f"{needed}\n")
    for script in _scripts(needed):
        file = folder / "bin" / script.name
        file.write_text(
            f"#!{python}\nimport sys\nfrom {script.module} import {script.attr.split('.')[0]}\n"
            f"sys.exit({script.attr}())\n"
        )
        file.chmod(0o755)
    _quietly(
        sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "wheel")
    )
    (wheel,) = (folder / "wheel").glob("*.whl")
    _quietly(str(python), "-m", "pip", "install", "--no-index", "--no-deps", str(wheel))
    done.touch()
    return folder


def _scripts(folder: Path) -> Iterator[importlib.metadata.EntryPoint]:
    for package in importlib.metadata.distributions(path=[str(folder)]):
        yield from package.entry_points.select(group="console_scripts")


def _quietly(*command: str) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PIP_"))}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S
    )
    assert done.returncode == 0, f"{shlex.join(command)}:\n{done.stdout}{done.stderr}"
