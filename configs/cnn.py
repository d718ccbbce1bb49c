r"""A residual CNN of 2.6 M parameters, trained by Adam: the one to start with.

python main.py --config=configs/cnn.py
    on the built-in faces, all at 48 pixels: 4 minutes on 2 cores; 83 % validation accuracy.
python main.py --config=configs/cnn.py --config.augment=True --config.dataset=fer2013.csv
    24 minutes; on PublicTest, with three seeds, 68.0 % as the mean over a face, the face zoomed in and
    out, and their mirror images, and 67.4 % as the mean over the face and its mirror image.

configs/cnn_muon.py trains the same network by Muon. docs/accuracy.md says on what these were measured.
"""

from configs import default


def get_config():
    config = default.get_config()
    config.model = "cnn"
    config.cnn.activation = "silu"
    config.train_sides = (32, 32, 40, 48)
    config.epochs = 26
    config.learning_rate = 3e-3
    config.weight_decay = 0.5
    config.views = "zoom"
    return config
