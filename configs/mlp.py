"""The DNN of the course: dense layers, with as many parameters as configs/cnn.py to 1 %.

python main.py --config=configs/mlp.py
    on the built-in faces: half a minute on 2 cores, 32.6 % validation accuracy.
python main.py --config=configs/mlp.py --config.dataset=fer2013.csv
    2 minutes, 47.1 % on PublicTest.

docs/accuracy.md says on what these were measured.
"""

from configs import default


def get_config():
    config = default.get_config()
    config.model = "mlp"
    config.normalize = "pixelwise"
    return config
