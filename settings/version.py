"""Which edition of Parley this is."""

VERSION = "0.2.0"
