"""fer_jax: facial expression recognition in JAX and Flax."""

__version__ = "0.1.0"
