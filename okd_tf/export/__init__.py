"""Export: a trained student as files that other programs run without okd_tf.

`student.export_student` writes them all and a report of how far each is from the Keras model.
"""
