"""HDF5 files that need not be trusted."""

import contextlib
import math
import os

import h5py


@contextlib.contextmanager
def limited_memory(num_bytes=2**28):
    """Lets what would take more memory than this fail, where it can be.

    HDF5 takes as much as a file says that a text has before it looks whether
    it is there. The limit holds for the whole process, on Linux: keep the
    block short, and out of threads.

    Args:
        num_bytes: int. Bytes more than the process has. Default: 256 MiB.
    """
    try:
        import resource

        with open("/proc/self/statm") as file:
            in_use = int(file.read().split()[0]) * os.sysconf("SC_PAGESIZE")
    except (ImportError, OSError):
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = in_use + num_bytes
    if soft != resource.RLIM_INFINITY:
        limit = min(limit, soft)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def plain_datasets(group, num_bytes, seen=None):
    """Returns the data sets of a group and of all groups in it.

    Args:
        group: `h5py.Group`.
        num_bytes: int. Bytes of the file: no data set may have more.

    Returns:
        A list of `h5py.Dataset`.

    Raises:
        ValueError: There is a link to elsewhere, or a data set that is stored
            elsewhere, compressed, or larger than the file.
    """
    seen = set() if seen is None else seen
    found = []
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise ValueError(f"{name!r} is a link to elsewhere")
        item = group[name]
        address = h5py.h5o.get_info(item.id).addr
        if address in seen:
            raise ValueError(f"{name!r} is there twice")
        seen.add(address)
        if isinstance(item, h5py.Group):
            found += plain_datasets(item, num_bytes, seen)
        else:
            _check_dataset(item, num_bytes)
            found.append(item)
    return found


def _check_dataset(dataset, num_bytes):
    if dataset.external or dataset.is_virtual:
        raise ValueError(f"{dataset.name!r} is stored in another file")
    if dataset.id.get_create_plist().get_nfilters():
        raise ValueError(f"{dataset.name!r} is compressed")
    for shape in (dataset.shape, dataset.chunks or ()):
        if math.prod(shape) * dataset.dtype.itemsize > num_bytes:
            raise ValueError(f"{dataset.name!r} has the shape {shape}")
