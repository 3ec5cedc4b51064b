"""One invented county, from workbook to agency queue: ``python -m deploy.demo``."""
