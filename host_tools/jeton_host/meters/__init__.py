"""Named meters, the ports of boards, and the rescue of a damaged flash."""
