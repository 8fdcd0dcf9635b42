"""Runs the tests of one module in MicroPython.

Arguments: module, folder of the compiled firmware, folder of the compiled tests, root of the
sources.
"""

import gc
import sys

sys.path[:] = sys.argv[2:4]
gc.threshold(16384)  # as firmware/main.py does
module = __import__(sys.argv[1])
gc.threshold(16384)  # as on a board
failed = 0
for name in sorted(dir(module)):
    if name.startswith("test_"):
        gc.collect()
        test = getattr(module, name)
        delattr(module, name)  # frees heap for the next tests
        try:
            test()
            print("passed", name)
        except Exception as error:
            failed += 1
            print("FAILED", name)
            sys.print_exception(error)
sys.exit(1 if failed else 0)
