"""What survives a restart: models, sessions, the message log, migrations. Imports nothing of ours."""
