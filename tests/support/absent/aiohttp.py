"""In the place of aiohttp, which is the tests' own: a server does without, as for its users."""

raise ModuleNotFoundError("absent, as where only the server's packages are installed")
