"""SQLite, MySQL and MariaDB: pools, connections, statements, and what their errors mean."""
