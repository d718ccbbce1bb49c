"""A residual CNN of 1.5 M parameters, shaped for accuracy per minute, on a CPU too.

python main.py --config=configs/cnn.py
    on the built-in faces: 4 minutes on 2 cores, 76.9 % validation accuracy.
python main.py --config=configs/cnn.py --config.augment=True --config.dataset=fer2013.csv
    27 minutes, 66.4 % on PublicTest; 67.1 % with --mode=eval --config.views=flip.
    With --config.teacher=best, the weights of configs/best.py: 41 minutes, 67.7 % both ways. These
    weights come with the package.
python main.py --config=configs/cnn.py --config.augment=True --config.dataset=fer2013.csv --config.epochs=7
    6 minutes, 61.2 % on PublicTest.

The README says on what these were measured.
"""

from configs import default


def get_config():
    config = default.get_config()
    config.model = "cnn"
    config.train_sides = (32, 32, 48, 48)
    config.optimizer = "muon"
    config.learning_rate = 0.03
    config.momentum = 0.95
    config.patience = 5
    return config
