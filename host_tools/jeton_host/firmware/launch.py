"""Becomes a MicroPython interpreter. Python runs this file's text in a separate process.

It must not import any installed package or any module of Jeton (Python runs with -I -S).
"""

import os
import sys


def run_module(where: str, gentle: int, nudge: int) -> None:
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
    sys.exit(micropython_run.run_main(["micropython", *sys.argv[1:]]))


def run_program(program: str) -> None:
    """Become the interpreter in an executable file."""
    os.execv(program, ["micropython", *sys.argv[1:]])  # noqa: S606
