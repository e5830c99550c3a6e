"""What is done to a face before it is embedded (paper, section 4.3)."""
