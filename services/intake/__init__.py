"""Intake, the only door: reads what units hand over and what their people do, and answers every row."""
