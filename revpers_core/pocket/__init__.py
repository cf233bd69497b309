"""The embedded default: SDXL in miniature with everything the method needs, trained on faces that we render."""

from pathlib import Path

WEIGHTS = Path(__file__).parent / "weights"
CHECKPOINT = WEIGHTS / "pocket_sdxl.safetensors"
ADAPTER = WEIGHTS / "pocket_faceid.safetensors"
FACE_MODEL = WEIGHTS / "pocket_arcface.onnx"
JUDGE = WEIGHTS / "pocket_judge.onnx"
DETECTOR = WEIGHTS / "pocket_detector.onnx"
FACTORS = WEIGHTS / "pocket_factors.onnx"
GALLERY = Path(__file__).parent / "gallery"
MIN_NORM = 8.5
"""Recogniser features shorter than this are no face (256 photos of the gallery: 11.0 and more, 99% above 12.3; 300
places, flat colours, ramps and noise: 4.9 at most)."""
