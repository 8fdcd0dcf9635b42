"""Becomes a MicroPython interpreter. Python runs this file in a separate process.

    python -I -S launch.py [terminal] module FOLDER GENTLE NUDGE [ARGUMENT ...]
    python -I -S launch.py [terminal] program FILE [ARGUMENT ...]

With `terminal`, standard input becomes the controlling terminal, so that Ctrl-C works and the
interpreter ends with its parent: only the process itself can do that.
It must not import any installed package or any module of Jeton (Python runs with -I -S).
"""

import os
import sys


def run_module(where: str, gentle: int, nudge: int, arguments: list[str]) -> None:
    """Become the interpreter of the package micropython_run, which is in the folder `where`.

    Its own SIGINT handler leaves the running code by a long jump, even inside the allocator or the
    file system: a lock stays held, and the next code that needs it waits for ever. A chip instead
    schedules KeyboardInterrupt, which the program's next jump raises. The signal `gentle` does the
    same here, if the library exports that function; then $JETON_GENTLE is set. The interrupt may
    be scheduled just before a wait begins: the signal `nudge` only ends waits (its handler, abs,
    does nothing).
    """
    sys.path.append(where)
    import micropython_run

    try:
        import ctypes

        note = ctypes.CDLL(micropython_run.__file__).mp_sched_keyboard_interrupt
        ctypes.pythonapi.PyOS_setsig(gentle, note)
        ctypes.pythonapi.PyOS_setsig(nudge, ctypes.CDLL(None).abs)
        os.environ["JETON_GENTLE"] = "1"
    except (ImportError, OSError, AttributeError):
        pass
    sys.exit(micropython_run.run_main(["micropython", *arguments]))


def run_program(program: str, arguments: list[str]) -> None:
    """Become the interpreter in an executable file."""
    os.execv(program, ["micropython", *arguments])  # noqa: S606


def main(given: list[str]) -> None:
    """Become the interpreter that the command line names."""
    if given[0] == "terminal":
        import fcntl
        import termios

        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        del given[0]
    if given[0] == "module":
        run_module(given[1], int(given[2]), int(given[3]), given[4:])
    else:
        run_program(given[1], given[2:])


if __name__ == "__main__":
    main(sys.argv[1:])
