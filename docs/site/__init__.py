"""Makes a site of the documents: `python -m docs.site`, which `make docs` calls.

Pages are written for readers of the repository: their links lead to its files. `pages` lays them
out as the site has them, `reference` prints the pages that nobody writes, and the site generator
renders them all. It runs strictly: a broken link or anchor ends the build.
"""
