"""A county's data: the reader of its folder, the checks of what is in it, and the citations of its policy.

Its form is ``contracts.county.County``, which stays among the contracts because it is published on ``county.v1``.
"""
