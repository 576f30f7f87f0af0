"""Zip archives of numpy arrays from anywhere: every size is known before anything is made of it."""

from __future__ import annotations

import io
import math
import zipfile

import numpy as np
import numpy.typing as npt

from attrib.errors import DataError


def members(written: bytes, what: str, most: int) -> dict[str, bytes]:
    """Content of each member of an archive, none of it compressed: what is stored cannot grow when it is read.

    Raises
    ------
    DataError
        ``bad_model_file``.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(written)) as archive:
            listed = archive.infolist()
            if len(listed) > most or len({member.filename for member in listed}) < len(listed):
                raise broken(what, f"more than {most:,} members, or one twice")
            if any(member.compress_type != zipfile.ZIP_STORED for member in listed):
                raise broken(what, "compressed members")
            if sum(member.file_size for member in listed) > len(written):
                raise broken(what, "members that overlap")
            return {member.filename: archive.read(member) for member in listed}
    except DataError:
        raise
    except Exception as error:  # a foreign parser, hostile bytes: whatever it says, they are no archive
        raise broken(what, f"no archive ({type(error).__name__})") from error


def array(written: bytes, what: str) -> npt.NDArray[np.generic]:
    """One array of numbers, of the size that its header says.

    Raises
    ------
    DataError
        ``bad_model_file``.

    Examples
    --------
    >>> file = io.BytesIO()
    >>> np.save(file, np.arange(3))
    >>> array(file.getvalue(), "arrays")
    array([0, 1, 2])
    """
    try:
        file = io.BytesIO(written)
        version = np.lib.format.read_magic(file)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, _, dtype = read(file)
        # a header may claim more than any memory holds
        if dtype.hasobject or math.prod(shape) * dtype.itemsize != len(written) - file.tell():
            raise broken(what, "an array of another size than it says")
        found: npt.NDArray[np.generic] = np.load(io.BytesIO(written), allow_pickle=False)
    except DataError:
        raise
    except Exception as error:  # as above
        raise broken(what, f"no array ({type(error).__name__})") from error
    return found


def broken(what: str, why: str) -> DataError:
    """Say that a file of a stored model cannot be used."""
    return DataError(
        "bad_model_file", f"the {what} of a stored model cannot be read: {why}", hint="fit and save it again"
    )
