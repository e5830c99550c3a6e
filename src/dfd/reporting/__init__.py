"""What a run's metrics say, for readers: tables, one page with everything, the tables inside README.md and docs."""
