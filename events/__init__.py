"""What does not survive a restart: facts on their way to whoever is subscribed.

The log in `db` is the truth; what is here is how its news travels. Imports nothing of ours.
"""
