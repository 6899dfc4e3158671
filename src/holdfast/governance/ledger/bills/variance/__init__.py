"""What changed between two periods, as price, volume, mix and cache."""
