"""Codes that kernels and their callers share; no numba here, so that reading them costs nothing."""

# player fields of a key: 0 pads a context (and stands for start), then conversion and null; players follow, so that no
# name can collide with a state
PAD, CONVERSION, NULL_STATE, FIRST_PLAYER = 0, 1, 2, 3

# statuses of a journey
CONVERTING, NULL, OPEN, UNATTRIBUTED = 0, 1, 2, 3
STATUSES = ("converting", "null", "open", "unattributed")

# fates of an outcome row
CREDITED, NO_EFFECT, OTHER, REFUNDED, NETTED, UNMATCHED = range(6)
FATES = 6

# fates of a touch, in the order of the ledger's array; a touch that serves several journeys has the first that applies
USED, OUTSIDE, IS_OPEN, PASSED_OVER, OVER_CAP = range(5)

# why a conversion has no touch to credit: semantics §2
NEVER_SEEN, AFTER_ONLY, TOO_OLD, SINCE_LAST = range(4)
REASONS = ("never_seen", "after_only", "too_old", "since_last")

# what `repeats` does
REPEATS = ("keep", "collapse", "first", "last")
KEEP, COLLAPSE, FIRST, LAST = 0, 1, 2, 3

# place of an interaction that is not among the preferred ones: behind them all
NOT_PREFERRED = (1 << 31) - 1

# rules; those up to LAST_NON_DIRECT choose one touch
FIRST_TOUCH, LAST_TOUCH, LAST_NON_DIRECT, LINEAR, POSITION, DECAY, SHAPLEY, CUSTOM = range(8)

# words of an order-free sum, see fixed.py
WORDS = 4
HIGH_BITS, LOW_BITS = 20, 42
LOW_MASK = (1 << LOW_BITS) - 1
