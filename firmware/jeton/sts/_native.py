"""What lets a module with viper code import in CPython too, where it runs as ordinary Python.

MicroPython's compiler itself knows `micropython.viper` and the ptr types: it uses nothing here.
"""

from array import array

try:
    import micropython
except ImportError:

    class micropython:  # type: ignore[no-redef]
        """Stands in for MicroPython's module of the same name."""

        @staticmethod
        def viper(function):
            """Return the function as it is: CPython has no native emitter."""
            return function


# Pointers to the octets, 16-bit and 32-bit words of a buffer.
ptr8 = bytearray
ptr16 = array
ptr32 = array
