"""One room per question, on top of everything else; none imports another."""
