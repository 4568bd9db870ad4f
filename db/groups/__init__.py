"""Groups: their rows of `conversations` and `members`, and pages of what is written in them."""
