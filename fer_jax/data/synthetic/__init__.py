"""Faces drawn by rule, for trying everything out without a download."""

from fer_jax.data.synthetic.faces import draw_faces, synthetic_splits

__all__ = ["draw_faces", "synthetic_splits"]
