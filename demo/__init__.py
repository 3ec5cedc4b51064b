"""One invented county, from workbook to agency queue: ``python -m demo``."""
