"""Valid names and limits of settings.

The named things are registered where they are defined; except for datasets, these modules take seconds to
import. Tests compare the two.
"""

from okd_tf import sources
from okd_tf.sources import request

STRATEGIES = ("darts", "gumbel", "reinforce", "random")
NO_SEARCH = "none"  # in place of a strategy
TEACHERS_LOSSES = ("mean", "vote", "oracle", "dkd", "oracle_dkd", "confidence", "masked")  # of what they say
GATED_LOSSES = ("oracle", "oracle_dkd")  # of those, the ones for which no teacher may be right
NONE_RIGHT = ("label", "mean", "both")
SEARCH_LOSSES = ("ce", *TEACHERS_LOSSES)
LOSSES = (*SEARCH_LOSSES, "mutual")
LABELS = "ce"  # the loss of labels alone
AUTO = "auto"  # in place of the student's loss: the best of these, as short trainings show
AUTO_LOSSES = ("ce", "mean", "oracle", "dkd")  # labels first, which the others are held against
TRAIN_LOSSES = (*LOSSES, AUTO)
REWARDS = ("accuracy", "loss")
BALANCES = ("none", "weights", "sampling")
PRECISIONS = ("float32", "bfloat16", "float16")
RESIZE = request.RESIZE
DATASETS = (*sources.KINDS, sources.GIVEN)
AUGMENTATIONS = ("crop_flip", "crop", "flip", "none")
MIXES = ("none", "cutmix", "mixup", "both")
USUAL_MIX_PROBABILITY = 0.5
AUGMENTATION_OPS = (
    *("identity", "autocontrast", "equalize", "posterize", "solarize"),
    *("color", "contrast", "brightness", "sharpness"),
    *("rotate", "shear_x", "shear_y", "translate_x", "translate_y"),
)
ALL_AUGMENTATION_OPS = "randaugment"  # stands for all of them
USUAL_AUGMENTATION_OPS, MOST_AUGMENTATION_OPS = 2, 4  # in a view
USUAL_MAGNITUDE, MOST_MAGNITUDE = 9, 30
OPS = (
    *("identity", "conv_3x3", "conv_5x5", "sep_conv_3x3", "sep_conv_5x5"),
    *("max_pool_3x3", "avg_pool_3x3"),
)
BACKBONES = (
    "conv5",
    *("resnet8", "resnet14", "resnet20", "resnet32", "resnet44", "resnet56", "resnet62", "resnet110"),
    *("resnet8x4", "resnet32x4", "resnet8_s2", "resnet14_s2", "resnet20_s2", "resnet18"),
    *("preact_resnet20", "preact_resnet32", "preact_resnet56", "preact_resnet110"),
    *("wrn16_1", "wrn16_2", "wrn16_4", "wrn28_10", "wrn40_1", "wrn40_2", "wrn40_4"),
    *("densenet40_12", "densenet100_12"),
    *("vgg8", "vgg13", "vgg16"),
    *("mobilenet_v2", "shufflenet_v2"),
)
NETWORK_SUFFIX = ".keras"  # of a file in the place of a name
APPLICATION_PREFIX = "applications:"  # of a network of keras.applications in the place of a name
APPLICATIONS = (
    *("ConvNeXtBase", "ConvNeXtLarge", "ConvNeXtSmall", "ConvNeXtTiny", "ConvNeXtXLarge"),
    *("DenseNet121", "DenseNet169", "DenseNet201"),
    *("EfficientNetB0", "EfficientNetB1", "EfficientNetB2", "EfficientNetB3", "EfficientNetB4"),
    *("EfficientNetB5", "EfficientNetB6", "EfficientNetB7"),
    *("EfficientNetV2B0", "EfficientNetV2B1", "EfficientNetV2B2", "EfficientNetV2B3"),
    *("EfficientNetV2L", "EfficientNetV2M", "EfficientNetV2S"),
    *("InceptionResNetV2", "InceptionV3", "MobileNet", "MobileNetV2", "MobileNetV3Large", "MobileNetV3Small"),
    *("NASNetLarge", "NASNetMobile"),
    *("ResNet101", "ResNet101V2", "ResNet152", "ResNet152V2", "ResNet50", "ResNet50V2"),
    *("VGG16", "VGG19", "Xception"),
)
NO_WEIGHTS, IMAGENET = "none", "imagenet"  # of an application, in the place of a file
WEIGHTS_SUFFIXES = (".h5", NETWORK_SUFFIX)
SCHEDULES = ("cosine", "step")
OPPONENTS = ("none", "bare", "all")  # beside the baseline
EXPORT_FORMATS = ("saved_model", "float32", "int8")
KEEP = ("last", "best", "average")  # of the weights in a training
STAGES = (
    *("teachers", "bank", "search", "assistant", "choice", "finals", "student", "budgets"),
    *("baseline", "opponents", "trials", "evaluate", "export", "report"),
)
TRAINING = (  # of these, those that may train
    *("teachers", "search", "assistant", "choice", "finals", "student", "budgets"),
    *("baseline", "opponents", "trials"),
)

EFFORTS = ("quick", "normal", "thorough")
EFFORT = "normal"
OPEN = {  # settings that can be left to the data, and the value that does so, which is their default
    "backbone": "",
    "backbone_width": 0,
    "teacher_backbone": "",
    "mix": "",
    "teacher_mix": "",
    "batch_size": 0,
    "learning_rate": 0.0,
    "teacher_epochs": 0,
    "search_epochs": 0,
    "search_warmup_epochs": -1,
    "assistant_epochs": 0,
    "student_epochs": 0,
    "views": -1,
}
ROLES = {  # by stage, whose own settings, such as ROLE_learning_rate, go before the general ones
    "teachers": "teacher",
    "assistant": "student",
    "choice": "student",
    "finals": "student",
    "student": "student",
    "budgets": "student",
    "baseline": "student",
    "opponents": "student",
    "trials": "student",
}

DROPS = (0.5, 0.75)  # of the rate, where nobody says otherwise
MOST = 2**63 - 1  # of any whole number: int64
LARGEST_IMAGE = 4096  # height or width in pixels
