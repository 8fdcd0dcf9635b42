"""Runs the console in MicroPython on a small heap, for hostile requests.

Arguments as for tests/both/run_in_micropython.py. A request is a line with "t" or "b" and a
length, then that many bytes; the console gets them as text ("t") or as bytes ("b"). The answer is
one JSON line: [the console's answer, or the exception that it raised, in hexadecimal,
milliseconds, bytes of heap in use].
"""

import gc
import sys
import time

sys.path.insert(0, sys.argv[2])
sys.path.insert(1, sys.argv[3])

import both_support as support
from jeton.console import Console
from jeton.meter import Meter

gc.threshold(16384)  # as firmware/main.py does


class Clock:
    rate = 1

    def __init__(self):
        self.seconds = support.T0

    def now(self):
        return self.seconds

    def set(self, seconds):
        self.seconds = seconds

    def advance(self, seconds):
        self.seconds += seconds

    def linger(self, seconds):
        pass


store = support.Store()
meter = Meter(store, support.profiles)
meter.start()
console = Console(meter, Clock(), dict)
while True:
    line = sys.stdin.readline()
    if not line:
        break
    left = int(line[1:])
    try:
        request = bytearray(left)
        left -= sys.stdin.buffer.readinto(request)
        request = request.decode() if line[0] == "t" else bytes(request)
    except MemoryError:
        # As at a prompt: no memory for the whole text, so the console never gets it.
        request = "[]"
        while left:
            left -= len(sys.stdin.buffer.read(min(left, 256)))
    started = time.ticks_ms()
    try:
        answer = console.rpc(request)
    except Exception as error:
        answer = "RAISED %r" % error
    took = time.ticks_diff(time.ticks_ms(), started)
    request = None
    sys.stdout.write('["')
    # json.dumps would need memory for a second copy of the answer.
    for i in range(0, len(answer), 64):
        for byte in answer[i : i + 64].encode():
            sys.stdout.write("%02x" % byte)
    answer = None
    gc.collect()
    print('", %d, %d]' % (took, gc.mem_alloc()))
