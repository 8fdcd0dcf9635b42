"""Names for modules with viper code, which CPython imports and runs as ordinary Python.

MicroPython's compiler handles `micropython.viper` and the pointer types itself and does not use
this module.
"""

from array import array

try:
    import micropython
except ImportError:

    class micropython:  # type: ignore[no-redef]
        """Replaces MicroPython's module of the same name in CPython."""

        @staticmethod
        def viper(function):
            """Return the function unchanged: CPython has no native emitter."""
            return function


# Pointers to bytes, 16-bit words and 32-bit words of a buffer.
ptr8 = bytearray
ptr16 = array
ptr32 = array
