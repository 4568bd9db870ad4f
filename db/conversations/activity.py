"""How far `members.activity` may lie from the truth (docs/decisions/0017-conversations.md)."""

# It is written again when the conversation's last message lies so far past it,
ACTIVITY_STEP = 1000
# and always before the last message lies further past it.
MOST_BEHIND = 2 * ACTIVITY_STEP
# It is the last position of a batch: so far, at most, it may lie past the conversation's own.
MOST_AHEAD = 1000
# Past every position.
FOR_EVER = 2**62
