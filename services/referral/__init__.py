"""Referral: every finding becomes a task of one unit, with deadlines, until it is done."""
