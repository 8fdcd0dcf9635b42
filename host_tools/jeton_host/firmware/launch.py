"""Becomes a MicroPython interpreter. Python runs this file's text in a process of its own.

No package of the environment is there (-I -S), and of this program's own none is imported.
"""

import os
import sys


def run_module(where: str, gentle: int, nudge: int) -> None:
    """Become the interpreter of the package micropython_run, which lies in the folder `where`.

    Its own handler of SIGINT leaves whatever runs by a long jump, the allocator and the file
    system included: what they had locked or half done stays so, and the next to ask for the lock
    waits for ever. A chip leaves a note instead, which the next jump of the program finds. The
    signal `gentle` does that here, where the library lets its function for it be found;
    $JETON_GENTLE then tells the interpreter. The note may come just before a wait begins: the
    signal `nudge` only ends waits (abs, its handler, does nothing).
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
    """Become the interpreter that is an executable file."""
    os.execv(program, ["micropython", *sys.argv[1:]])  # noqa: S606
