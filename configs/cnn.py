"""A small residual CNN."""

from configs import default


def get_config():
    config = default.get_config()
    config.model = "cnn"
    config.patience = 5
    return config
