"""Limits on the size, depth and range of input from outside, checked before the input is parsed.

No regular sender reaches them. A record that exceeds one is not an event; a claim that exceeds one is not read.
"""

LONGEST_HEADER = 1024
"""Bytes of one header's value. The longest header that Hutong writes is ``ce_source``, about 80 bytes."""
LONGEST_KEY = 1000
"""Bytes of a record's key. A PostgreSQL index entry may have 2700 bytes; the keys are UUIDs, dates and codes."""
LARGEST_PRODUCER_ID = 2**31 - 1
"""The largest PostgreSQL ``integer``."""
LARGEST_SEQUENCE = 2**63 - 1
"""The largest PostgreSQL ``bigint``."""
FIRST_YEAR, LAST_YEAR = 1900, 2999
"""The years of every time in an envelope or watermark. Conversion to any time zone stays within Python's range."""
DEEPEST_JSON = 64
"""The nesting depth of arrays and objects in a value; a ``Row`` has three levels."""
