"""From photos to face crops (paper, section 4.1.1)."""
