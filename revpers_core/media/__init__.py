"""Whole pictures: reading and writing, everyone in a photo, strength, verdict."""
