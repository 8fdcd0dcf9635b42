"""The power-cut laboratory: the meter survives whatever a cut leaves on its flash."""
