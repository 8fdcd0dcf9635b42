"""Makes the tables of the reference from the code; `hook` fills them into the pages."""
