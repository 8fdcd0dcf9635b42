"""IEC 62055-41 on the meter side: decoding, decryption and checks of tokens of 20 digits."""
