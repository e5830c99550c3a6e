"""What a template gives away (ours)."""
