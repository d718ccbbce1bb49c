r"""``cnn`` trained by Muon: more accurate than by Adam after as many epochs, in more time a step.

python main.py --config=configs/cnn_muon.py --config.augment=True --config.dataset=fer2013.csv
    24 minutes; with three seeds (--config.seeds=3) 68.9 % on PublicTest as the mean over a face, the face
    zoomed in and out, and their mirror images, 67.8 % with --config.views=one.
python main.py --config=configs/cnn_muon.py --config.augment=True --config.dataset=fer2013.csv \
    --config.teacher=best --config.initial_weights=runs/cnn_muon "--config.train_sides=(48,)" \
    --config.epochs=18 --config.learning_rate=0.02 --config.warmup_epochs=0.5 --workdir=runs/cnn-taught
    goes on from it, taught by best: 38 minutes more; 71.1 %, with what best was until 2026-11-29. The package
    includes these weights, by the name of cnn.
python main.py --config=configs/cnn_muon.py --config.augment=True --config.dataset=fer2013.csv \
    --config.epochs=5 --workdir=runs/cnn-5
    8 minutes, 60.5 % on PublicTest.
python main.py --config=configs/cnn_muon.py --config.augment=True --config.dataset=fer2013.csv \
    --config.votes=fer2013new.csv --config.vote_target=probability --config.label_smoothing=0 \
    --workdir=runs/cnn-votes
    learns what ten people say of each face (FER+): 17 minutes on a faster machine; with three seeds 87.5 % of
    the faces on which most of them agree.

docs/accuracy.md says on what these were measured.
"""

from configs import cnn


def get_config():
    config = cnn.get_config()
    config.epochs = 20
    config.optimizer = "muon"
    config.learning_rate = 0.03
    config.momentum = 0.95
    config.weight_decay = 0.05
    return config
