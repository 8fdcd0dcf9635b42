"""IEC 62055-41 as a meter needs it: from 20 digits to fields, and the keys and identifiers that guard them."""
