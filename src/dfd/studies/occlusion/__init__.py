"""What blocks over eyes and mouth do to reconstructions (paper, 4.3.2: Fig. 11)."""
