"""How long, how deep and how far away what comes from outside may be: looked at before it is parsed.

No honest sender meets one of them. What is beyond is no event, or a claim that is not read.
"""

LONGEST_HEADER = 1024
"""Bytes of one header's value; the longest of ours is a source of about 80. Python makes a number of so many digits."""
LONGEST_KEY = 1000
"""Bytes of a record's key: an index of PostgreSQL takes no more than 2700. Ours are UUIDs, dates and places."""
LARGEST_PRODUCER_ID = 2**31 - 1
"""PostgreSQL's ``integer``."""
LARGEST_SEQUENCE = 2**63 - 1
"""PostgreSQL's ``bigint``."""
FIRST_YEAR, LAST_YEAR = 1900, 2999
"""Of every moment and day of an envelope or a mark: no time zone leads out of what can be counted."""
DEEPEST_JSON = 64
"""Arrays and objects within one another; a row has three."""
