"""Conversations: the list of one's own, groups, marks, and who is typing."""
