"""What operations ask before they act: tokens, passwords, limits, validation of input."""
