"""The version of okd_tf, alone in a file so that packaging can read it without importing TensorFlow."""

VERSION = "0.1.0"
