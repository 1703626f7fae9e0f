"""The file layouts of patch features, one file a layout.

Each layout is a class under ``@LAYOUTS.declare`` (:mod:`.registry`), which says what its files are
called and how they begin; the class (:mod:`.base`) recognises, describes and reads them. What
layouts share lies beside them: ``hdf5`` (features and coordinates in one HDF5 file) and
``attributes``.
"""
