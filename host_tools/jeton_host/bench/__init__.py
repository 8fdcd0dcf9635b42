"""Real boards: flashing, examining, measuring, wires and drawings of them."""
