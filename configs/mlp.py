"""The DNN of the course."""

from configs import default


def get_config():
    config = default.get_config()
    config.model = "mlp"
    config.normalize = "pixelwise"
    return config
