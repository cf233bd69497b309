"""Attacks and baselines on the pocket world, where who is who is known: tables with intervals, made by one command."""
