r"""``best``'s network taught by FER+: what ten people said of each face, eight classes with contempt."""

from configs import best


def get_config():
    config = best.get_config()
    config.vote_target = "probability"
    config.label_smoothing = 0.0
    return config
