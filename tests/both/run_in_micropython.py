"""Runs every test function of one file of this folder in MicroPython: run_in_micropython.py MODULE LIB."""

import gc
import sys

sys.path[:] = [sys.argv[2], __file__.rsplit("/", 1)[0]]
module = __import__(sys.argv[1])
failed = 0
for name in sorted(dir(module)):
    if name.startswith("test_"):
        gc.collect()
        try:
            getattr(module, name)()
            print("passed", name)
        except Exception as error:
            failed += 1
            print("FAILED", name)
            sys.print_exception(error)
sys.exit(1 if failed else 0)
