"""The client of a meter: its serial line and the verbs that are sent over it."""
