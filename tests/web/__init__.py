"""What browsers load from us: the chat page, the client, the playground."""
