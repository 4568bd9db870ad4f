"""What happens to a message after it is sent: edits, a deletion, reactions, replies."""
