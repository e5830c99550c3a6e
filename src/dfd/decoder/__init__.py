"""The Deep Face Decoder D: its networks, their files, and where they come from (paper, section 3)."""
