"""The gate through which every file of the user's is opened.

A file may be a pipe that never ends, a device, an archive of a few KB that unpacks to the disk's
size, or a header that claims a billion rows. One module a kind of file asks first whether what
lies there can be what it is taken for, so that every command needs bounded time and memory and
ends with a sentence:

``plain`` regular files of a plausible size; ``text`` JSON and YAML; ``archives`` gzip, zip and
Parquet; ``hdf5`` links, storage and sizes of datasets; ``tensors`` safetensors and PyTorch files;
``records`` what this package itself wrote as JSON.
"""
