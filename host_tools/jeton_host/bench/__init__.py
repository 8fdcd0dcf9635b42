"""Work on real boards: flashing, tests of parts, measurements, wires and wiring drawings."""
