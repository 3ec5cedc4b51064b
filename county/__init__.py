"""A county's data: the reader of its folder, its checks, and the citations of its policy.

The data type is ``contracts.county.County``, which is a contract because it is published on ``county.v1``.
"""
