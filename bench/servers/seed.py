"""Users put straight into a database: to register forty takes ten seconds of bcrypt."""

from bench.servers.served import Parley, Served

PASSWORD = "a password"  # noqa: S105  # nobody's but the benchmark's
# Of PASSWORD, at the servers' default cost of 12; shared by all.
PASSWORD_HASH = "$2b$12$UBJZlTGpFVyFZm8BzLCryOkcOsRZL7zuvgclTZhEbI8xgwoC6FSh2"  # noqa: S105


def add_users(served: Served, count: int) -> None:
    """Make sure that users 1 to `count` exist; `email(n)` and PASSWORD log them in."""
    columns, values = "id, email, display_name, password_hash, created_at", ""
    if isinstance(served, Parley):
        columns, values = f"{columns}, search_name", ", CONCAT('user ', seq)"
    served.database.execute(
        f"""
        INSERT IGNORE INTO users ({columns})
        SELECT seq, CONCAT('user', seq, '@example.com'), CONCAT('User ', seq), '{PASSWORD_HASH}',
               UTC_TIMESTAMP(6){values}
        FROM seq_1_to_{count}
        """,  # noqa: S608  # our own words and a number
        served.name,
    )


def email(user_id: int) -> str:
    """The e-mail address of a user of add_users."""
    return f"user{user_id}@example.com"
