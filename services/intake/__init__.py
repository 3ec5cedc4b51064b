"""Intake, through which all data enters: it reads what units submit and what their people do, and answers each row."""
