"""Full-text search: an index of the messages on this machine, which follows the log.

words       what a text is searched by: words of any script, folded
question    what somebody searches for, read from what they typed
hits        where a text answers a question, and an excerpt with the hits marked
documents   the index's form of a message, and its schema
index       the index as it lies in its directory: reading it, and writing it
queries     a question, and what its asker may see, as the index's query
answers     the messages that the index proposes, in bounded time
texts       what the index reads from the database
follower    keeps the index up to the log
requests    what the processes of a machine ask of the one that writes the index
indexer     the program that follows the log: a process of its own
keeper      starts that program in one of the processes that share the directory
search      the part that the server runs
"""
