// Naive Float64 versions of the kernels: as plain as possible, so that they can be trusted by reading.
