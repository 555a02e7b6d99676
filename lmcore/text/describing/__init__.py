"""What people want to know of a corpus before they train on it."""
