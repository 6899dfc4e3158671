"""What a provider bills for an answer, on every wire: counts by class, one attempt for each model that took part. Pure."""
