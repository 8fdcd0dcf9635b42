"""The conformance sheet: which cases, how they run, how they are shown."""
