"""IEC 62055-41 on the meter side: from 20 digits to fields, and what guards them."""
