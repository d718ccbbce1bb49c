"""Every field of a config, with the default that the other files build on."""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    config = ConfigDict()

    # Data.
    # Or a file of faces: CSV (also .gz, .xz, .zip), .npz, .parquet;
    # pictures in folders or a .zip; 'kaggle:OWNER/NAME'.
    config.dataset = "synthetic"
    # What labels mean: '' for words, names of folders and FER2013's numbers; the numbering of another set:
    # 'ferplus', 'affectnet', 'rafdb', 'ckplus', 'alphabetical'; or names, 'neutral,happy,sad' for 0, 1, 2.
    config.classes = ""
    config.votes = ""  # FER+'s votes, fer2013new.csv, row by row for fer2013.csv; eight classes
    config.vote_target = "majority"  # what training learns of them: 'majority', or 'probability'
    config.vote_share = 1.0  # share of the votes in what training learns; the rest: the data set's own labels
    config.split = "validation"  # what --mode=eval scores: 'validation' or 'test'
    config.validation_fraction = 0.1  # drawn from the training faces if the data set has no validation faces
    config.skip_broken = False  # leave out pictures that cannot be read; otherwise the data set is refused
    config.cache = True  # keep parsed CSV files in ~/.cache/fer_jax for the next start
    config.synthetic = ConfigDict()
    config.synthetic.num_train = 2000  # faces to draw for each split
    config.synthetic.num_validation = 700
    config.synthetic.num_test = 700
    config.synthetic.seed = -1  # of the drawing; -1 for config.seed

    # Preprocessing.
    config.normalize = "global"  # 'none', 'pixelwise', 'global' or 'samplewise'
    config.balance = "none"  # of classes: 'none', 'weights' (in the loss) or 'sampling' (of the batches)

    # Augmentation as in Keras's ImageDataGenerator, with some additions; only if augment is True.
    config.augment = False
    config.augmentation = ConfigDict()
    config.augmentation.rotation_range = 15.0  # degrees
    config.augmentation.width_shift_range = 0.1  # below 1 a fraction of the width, otherwise pixels
    config.augmentation.height_shift_range = 0.1
    config.augmentation.zoom_range = 0.12  # height and width each by a factor from [1 - z, 1 + z]
    config.augmentation.horizontal_flip = True
    config.augmentation.vertical_flip = False
    config.augmentation.fill_mode = "nearest"  # 'constant' (black), 'nearest', 'reflect' or 'wrap'
    config.augmentation.brightness_range = 0.2  # factor from [1 - b, 1 + b]
    config.augmentation.contrast_range = 0.2
    config.augmentation.erasing_probability = 0.0  # probability that a rectangle of the face is hidden

    # Networks. config.model chooses one; the field of the same name has its sizes.
    config.model = "cnn"  # 'cnn' or 'mlp'
    config.cnn = ConfigDict()
    config.cnn.widths = (32, 128, 256)  # channels at 24, 12 and 6 pixels; a fourth stage would have 3
    config.cnn.blocks = (1, 2, 2)  # residual blocks at each size
    config.cnn.side = 48  # pixels a side at which the network sees a face; above 48 it enlarges faces first
    config.cnn.stem_stride = 2  # of the first convolution; 1 for 48, 24 and 12 pixels
    config.cnn.activation = "relu"  # or 'silu'
    config.cnn.dropout = 0.3
    config.cnn.dtype = "float32"  # of the computation; or 'bfloat16', see docs/scaling.md
    config.mlp = ConfigDict()
    config.mlp.hidden = (896, 512, 128)
    config.mlp.dropout = 0.5

    # Training.
    # Image sizes in pixels, for equal shares of the run; small ones train faster. Built-in faces have the
    # network's own, unless a flag sets others.
    config.train_sides = (48,)
    config.batch_size = 128
    config.epochs = 24
    config.optimizer = "adam"  # 'adam', 'sgd' or 'muon'; the last two use Nesterov's momentum
    config.learning_rate = 3e-3  # the peak: linear warm-up, then cosine decay to 0
    config.schedule = "cosine"  # 'cosine' after the warm-up, or 'one_cycle', which has its own
    config.warmup_epochs = 2.0
    config.momentum = 0.9  # of 'sgd' and 'muon'
    config.weight_decay = 0.05  # on kernels only; decoupled, but 'sgd' adds it to the gradient (use 5e-4)
    config.clip_norm = 0.0  # largest global norm of the gradient; 0 for no limit
    config.label_smoothing = 0.1
    config.mixup_alpha = 0.0  # blends pairs of faces, with shares from Beta(alpha, alpha); 0 for none
    config.cutmix_alpha = 0.0  # pastes a part of another face, its area from Beta(alpha, alpha); 0 for none
    # Start from this network's weights instead of random ones: a workdir, or the name of shipped weights.
    # 'A,B': the mean of the weights of several that went on from one network.
    config.initial_weights = ""
    # Learn also from this network's probabilities, named in the same way; 'A,B': the mean of several.
    config.teacher = ""
    config.teacher_share = 0.7  # share of the teacher's probabilities in the targets; the rest are labels
    # FER+'s votes, fer2013new.csv, row by row for fer2013.csv: the teacher knows them too. The labels stay.
    config.teacher_votes = ""
    config.teacher_votes_share = 0.5  # share of the votes in what the teacher says; the rest: the networks
    config.nonfinite = "stop"  # or 'skip': what to do when a loss or gradient is not finite
    config.ema_decay = 0.998  # of averaged weights, which are evaluated and saved; 0 for no averages
    config.patience = 0  # epochs without a better validation accuracy before training stops; 0 for no stop
    # Minutes of work that a kill may lose, or one epoch if that is longer; 0 saves after every epoch. A run
    # that ends or is stopped by a signal is always saved. No part of a run.
    config.checkpoint_minutes = 1.0
    config.tensorboard = False  # write event files for TensorBoard to tensorboard/ in the workdir
    config.seeds = 1  # number of runs, with seeds from seed on, each in a folder of the workdir
    config.seed = 0  # for initial weights, order, augmentation, dropout, drawn splits and drawn faces

    # Several processes that train one network together (docs/scaling.md); no part of a run.
    config.distributed = False  # this process is one of several
    config.coordinator_address = ""  # HOST:PORT of process 0; '' if a scheduler provides all three
    config.num_processes = 0  # how many there are
    config.process_id = -1  # number of this process, from 0

    # Evaluation.
    config.views = "one"  # 'one', 'flip' (a face and its mirror image), 'zoom' or 'ten_crop'

    # Finding faces in photos (docs/photos.md); no part of a run.
    config.detector = ""  # 'mtcnn', 'haar' or FILE.onnx (YuNet); '' for the best that is installed
    config.faces = ""  # or 'whole': a small square picture that shows one face alone is taken whole

    # Videos and cameras of --mode=predict; no part of a run.
    config.video = ConfigDict()
    config.video.frames_per_second = 0.0  # frames to look at; 0 for all
    # Time constant in seconds of the mean over a face's probabilities; 0 for none. Expressions last half a
    # second to four.
    config.video.smoothing = 0.5

    # The web page of --mode=serve; no part of a run.
    config.serve = ConfigDict()
    config.serve.host = "127.0.0.1"  # this computer alone; '0.0.0.0' lets the network in: see docs/serve.md
    config.serve.port = 8000  # 0 for any free port

    return config.lock()
