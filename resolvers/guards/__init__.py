"""What operations ask before they act: tokens, passwords, limits, what a field may hold."""
