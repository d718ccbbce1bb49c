r"""``cnn`` trained by Muon: more accurate than by Adam after as many epochs, in more time a step.

python main.py --config=configs/cnn_muon.py --config.augment=True --config.dataset=fer2013.csv
    24 minutes; 68.9 % on PublicTest as the mean over a face, the face zoomed in and out, and their mirror
    images, 68.0 % with --config.views=one. These are the weights of ``cnn`` in the package. With three seeds
    (--config.seeds=3) 68.9 and 67.8 %.
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
