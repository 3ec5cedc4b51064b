"""Referral: every risk is somebody's task, with a clock, until it is done."""
