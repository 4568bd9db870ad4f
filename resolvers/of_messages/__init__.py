"""What is done with messages that were sent: edit, delete, react, reply, search."""
