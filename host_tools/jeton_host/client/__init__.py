"""The client of a meter: one serial line, and the verbs over it."""
