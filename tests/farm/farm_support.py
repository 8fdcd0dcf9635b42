"""A farm on this computer: coordinator, exporter and served virtual boards, on free ports."""

import contextlib
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

BIN = Path(sys.executable).parent
SBIN = "/usr/sbin:/usr/local/sbin"
PATIENCE_S = 60


def missing() -> str:
    """Return which program of a farm is missing and how to install it; empty if none is."""
    try:
        import labgrid  # noqa: F401
    except ImportError:
        return "labgrid is not installed here: run `make farm`"
    if shutil.which("ser2net", path=os.environ["PATH"] + ":" + SBIN) is None:
        return "ser2net is not installed: apt-get install ser2net, or brew install ser2net"
    return ""


def free_port() -> int:
    with contextlib.closing(socket.socket()) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Program:
    """A program in the background; it counts as started when it prints a given word."""

    def __init__(self, command: Sequence[str], word: str, cwd: Path, env: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()
        output = ""
        while word not in output:
            line = self._lines.get(timeout=PATIENCE_S)
            assert line, f"{command} ended before it said {word!r}:\n{output}"
            output += line

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGINT)
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


@dataclass
class Done:
    status: int
    out: str


@dataclass
class Farm:
    """A running farm; `ports` are the serial ports of its boards by place."""

    folder: Path
    env: dict[str, str]
    ports: dict[str, Path] = field(default_factory=dict)

    def run(self, *command: str, **more: str) -> Done:
        done = subprocess.run(
            [str(BIN / command[0]), *command[1:]],
            cwd=self.folder,
            env=self.env | more,
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE_S,
            check=False,
        )
        return Done(done.returncode, done.stdout + done.stderr)

    def client(self, place: str, *command: str, **more: str) -> Done:
        return self.run("labgrid-client", "-p", place, *command, **more)

    def test(self, *options: str) -> Done:
        return self.run("pytest", "-q", "-p", "no:cacheprovider", *options)


@contextlib.contextmanager
def served_farm(folder: Path, links: Path, places: Sequence[str]) -> Iterator[Farm]:
    """Run a farm with a virtual board for each place."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "LG_"))}
    env["PATH"] = f"{BIN}:{env['PATH']}:{SBIN}"
    env["PYTHONUNBUFFERED"] = "1"
    env["LG_COORDINATOR"] = f"127.0.0.1:{free_port()}"
    farm = Farm(folder, env)
    with contextlib.ExitStack() as stack:

        def start(word: str, *command: str) -> None:
            program = Program([str(BIN / command[0]), *command[1:]], word, folder, env)
            stack.callback(program.stop)

        shelf = ""
        for place in places:
            assert farm.run("jeton", "new", place).status == 0
            link = farm.ports[place] = links.with_name(f"{links.name}-{place}")
            start(str(link), "jeton", "serve", place, "--link", str(link))
            shelf += f"{place}:\n  RawSerialPort:\n    port: {link}\n"
        (folder / "shelf.yaml").write_text(shelf)
        start("ready", "labgrid-coordinator", "--listen", env["LG_COORDINATOR"])
        start(
            f"{places[-1]}/RawSerialPort",
            "labgrid-exporter", "--name", "shelf", "--hostname", "127.0.0.1", "shelf.yaml",
        )  # fmt: skip
        for place in places:
            assert farm.client(place, "create").status == 0
            assert farm.client(place, "add-match", f"shelf/{place}/*").status == 0
        yield farm
