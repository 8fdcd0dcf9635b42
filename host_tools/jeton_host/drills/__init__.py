"""Drills: the stories of four utilities as programs that use the Meter client."""
