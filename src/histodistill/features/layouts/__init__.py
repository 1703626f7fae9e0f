"""The file layouts of patch features, one module a container format.

``hdf5`` reads TRIDENT, CLAM and STAMP, ``pytorch`` and ``arrays`` read CLAM, slide2vec and plain
tensors and arrays, ``slide2vec`` reads what slide2vec writes beside its features. The containers
share one interface (:class:`histodistill.features.formats.Container`); files are opened, read and
closed in each call.
"""
