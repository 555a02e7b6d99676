"""What makes a raw document a clean one, or tells why it is none."""
