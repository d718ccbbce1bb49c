"""The default classes, seven expressions in the order of FER2013, and the size of its faces."""

LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
NUM_CLASSES = len(LABELS)
SIDE = 48
"""Height and width of a face in pixels."""
