"""Runs the tests of one file in MicroPython; arguments: the module, the folder of the firmware."""

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
