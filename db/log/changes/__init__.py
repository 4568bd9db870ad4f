"""What an operation can give the log: one file for each noun.

A change is plain data with `write`: what it checks, what it writes, and the fact that it makes.
"""
