"""The message log: drafts become entries, a batch at a time, in one order."""
