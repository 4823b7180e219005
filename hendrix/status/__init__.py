"""What the running site tells its operator: the access log."""
