"""Faces in pixels: where they are, how they are cut out and recognised."""
