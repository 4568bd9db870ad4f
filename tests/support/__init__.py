"""What the tests stand on: throw-away servers, other people's clients, free ports."""
