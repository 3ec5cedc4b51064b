"""What referral decides: pure functions over frozen values."""
