"""Oracle knowledge distillation with architecture search.

Importing this package imports neither TensorFlow nor Keras. It only sets two environment variables that must
be set before their first import: oneDNN kernels on (twice the speed on CPU; off by default on some
processors) and TensorFlow as the Keras backend. A value that the user has set is not changed.
"""

import os

from okd_tf import version

__version__ = version.VERSION

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
