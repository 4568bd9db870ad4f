"""The processes of a server: listeners, workers, who gets a connection, what a process may hold."""
