"""What survives a restart: models, connections, the message log, migrations.

Imports nothing of ours but the facts (events/facts.py).
"""
