"""Questions beyond the credit table; one file a question."""
