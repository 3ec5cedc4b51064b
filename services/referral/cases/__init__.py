"""What each kind of input does to a child's case: referrals, proposals, ledger entries, duties, merged files."""
