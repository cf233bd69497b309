"""Identity adapters: their files, projections, attention and slot table."""
