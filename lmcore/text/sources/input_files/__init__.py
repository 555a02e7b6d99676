"""Files as bytes and as text: decompressed, taken out of archives, decoded."""
