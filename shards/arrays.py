"""Names of numpy array types, for annotations."""

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]
Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
UInt64s = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float64]
Ordinals = npt.NDArray[np.uint32]  # numbers of samples in their shard
Pixels = npt.NDArray[np.uint8]
