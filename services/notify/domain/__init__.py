"""What is told to whom, in which words; pure."""
