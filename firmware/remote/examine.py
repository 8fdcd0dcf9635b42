"""Tests the parts of a board one by one while its meter runs but does not use them.

Each test prints one line a step, which the host reads: what to press, what was detected.
"""

from time import sleep_ms, ticks_add, ticks_diff, ticks_ms  # type: ignore[attr-defined]

from jeton_main import runtime  # type: ignore[import-not-found]


def alone(test):
    """Return a test as a function that runs while the meter's timer does nothing.

    After the test the meter draws its display again, also after an error.
    """

    def run(*arguments):
        with runtime.lock:
            try:
                test(runtime.parts, *arguments)
            finally:
                runtime.lines = []
                runtime.fresh = True

    return run


def wait(ms):
    """Yield every 10 ms for `ms` milliseconds."""
    end = ticks_add(ticks_ms(), ms)
    while ticks_diff(end, ticks_ms()) > 0:
        sleep_ms(10)
        yield


def ticks(count):
    """Sleep for this many ticks of 20 ms: the models of a virtual board update at each tick."""
    for _ in range(count):
        sleep_ms(20)


# The display


@alone
def show(parts, lines, count):
    """Draw lines and keep them on the display for this many ticks."""
    display = parts["display"]
    while display.show(lines):
        sleep_ms(5)
    print("shown")
    ticks(count)


@alone
def redraw(parts):
    """Draw the meter's display again completely; OSError if the display does not answer."""
    display = parts["display"]
    display.renew()
    lines = runtime.lines
    while display.show(lines):
        sleep_ms(5)


def begin_display():
    """Initialize the display again and redraw it; print its fault, if any."""
    with runtime.lock:
        runtime.make(("display",))
        runtime.lines = []
        runtime.fresh = True
    print(runtime.faults.get("display", ""))


def display_address():
    """Print the display's address on its I2C bus, 0 if it has none."""
    print(getattr(runtime.parts.get("display"), "address", 0))


# The keypad


@alone
def await_keys(parts, keys, limit_ms):
    """Print each pressed key, until all were pressed or none for `limit_ms`."""
    keypad = parts["keypad"]
    left = keys
    while keypad.take():
        pass
    print("ready")
    last = ticks_ms()
    while left and ticks_diff(ticks_ms(), last) < limit_ms:
        key = keypad.take()
        if key:
            print("key", key)
            left = left.replace(key, "")
            last = ticks_ms()
        sleep_ms(10)


@alone
def hold_keys(parts, count, looks):
    """Let the host hold each of `count` keys; print the keys detected in `looks` scans of 10 ms.

    A key that was not detected is held once more.
    """
    keypad = parts["keypad"]
    rest = keypad.held()
    print("stuck", rest)
    for at in range(count):
        found = ""
        for _ in range(2):
            while keypad.take():
                pass
            print("hold", at)
            for _ in range(looks):
                sleep_ms(10)
                key = keypad.take()
                if key:
                    found += key
                elif found:
                    break
            print("got", found)
            for _ in range(looks):
                if keypad.held() == rest:
                    break
                sleep_ms(10)
            if found:
                break


# Outputs


@alone
def switch(parts, name, times, ms):
    """Switch an output on and off this many times, `ms` each."""
    part = parts[name]
    for _ in range(times):
        for on in (True, False):
            for _ in wait(ms):
                part.set(on)
    print("done")


@alone
def count_outputs(parts, times, count):
    """Switch each output on as often as `times` says: that number identifies it to the host."""
    for name in times:
        parts[name].set(False)
    ticks(count)
    print("base")
    ticks(count)
    for name, number in times.items():
        for _ in range(number):
            parts[name].set(True)
            ticks(2)
            parts[name].set(False)
            ticks(2)
    print("done")
    ticks(count)


# Inputs


def gives_sign(parts, name):
    """Return whether an input has its signal: the pulses received, or the contact's level."""
    return parts[name].take() if name == "pulses" else parts[name].on()


@alone
def await_sign(parts, name, limit_ms):
    """Print whether the signal of an input came within `limit_ms`."""
    print("ready")
    for _ in wait(limit_ms):
        if gives_sign(parts, name):
            print("sign")
            break


def signs_seen(parts, names, most, more):
    """Return the inputs with a signal in `most` looks of 10 ms, at most `more` after the first."""
    found = set()
    while most:
        most -= 1
        sleep_ms(10)
        for name in names:
            if gives_sign(parts, name):
                found.add(name)
        if found:
            if not more:
                break
            more -= 1
    return found


@alone
def give_signs(parts, names, looks):
    """Let the host give the signal of each input; print which inputs detected it."""
    signs_seen(parts, names, 1, 0)
    print("rest", *signs_seen(parts, names, 3, 3))
    for name in names:
        print("give", name)
        print("seen", *signs_seen(parts, names, looks, 5))
        print("end", name)
        ticks(5)
        signs_seen(parts, names, 1, 0)
