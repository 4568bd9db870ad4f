"""What browsers load from us: the playground."""
