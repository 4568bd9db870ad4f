"""The limits that operations ask: rates, numbers at once, and time."""
