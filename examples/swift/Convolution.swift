import Martlet

/// Convolution as a plain function: finds the edges of images of 28 × 28 pixels, then learns the same filters from the edges alone.
func learnEdgeFilters(_ x: Tensor) throws {
  let count = min(50, x.shape[0])
  let images = try Tensor(Array(x.values.prefix(count * 784)), shape: [count, 28, 28, 1])
  // Sobel's filters, as [filters, channels, height, width]: what rises from left to right, and what rises downwards.
  let sobel = try Tensor([-1, 0, 1, -2, 0, 2, -1, 0, 1, -1, -2, -1, 0, 0, 0, 1, 2, 1], shape: [2, 1, 3, 3])
  let convolution = ConvolutionFunction(padding: .same)

  // A plain function works on anybody's memory: here on that of tensors, whose results are made beforehand.
  func convolve(_ weight: Tensor, _ bias: Tensor) throws -> Tensor {
    var y = try Tensor(shape: convolution.outputShape(x: images.shape, weight: weight.shape))
    let shape = y.shape
    try y.withMutableFloats { target in
      try view(images) { x in
        try view(weight) { weight in
          try view(bias) { bias in
            try convolution.convolve(
              x, weight: weight, bias: bias, into: ArrayView(target.baseAddress, .float32, shape: shape))
          }
        }
      }
    }
    return y
  }
  let none = try Tensor([0, 0], shape: [2])
  let edges = try convolve(sobel, none)

  // Filters that start at nothing, and descend along the gradient of the mean squared difference from those edges.
  var (weight, bias) = (try Tensor(shape: [2, 1, 3, 3]), try Tensor([0.5, 0.5], shape: [2]))
  var (gradWeight, gradBias) = (try Tensor(shape: [2, 1, 3, 3]), try Tensor(shape: [2]))
  for _ in 0..<400 {
    let found = try convolve(weight, bias)
    let scale = 2 / Float(count * 28 * 28)
    let difference = try Tensor(zip(found.values, edges.values).map { scale * ($0 - $1) }, shape: found.shape)
    try gradWeight.withMutableFloats { dw in
      try gradBias.withMutableFloats { db in
        let wanted = ConvolutionFunction.Gradients(
          weight: try ArrayView(dw.baseAddress, .float32, shape: [2, 1, 3, 3]),
          bias: try ArrayView(db.baseAddress, .float32, shape: [2]))
        try view(images) { x in
          try view(weight) { weight in
            try view(difference) { try convolution.gradients(x, weight: weight, gradOutput: $0, into: wanted) }
          }
        }
      }
    }
    weight = try Tensor(zip(weight.values, gradWeight.values).map { $0 - 0.2 * $1 }, shape: [2, 1, 3, 3])
    bias = try Tensor(zip(bias.values, gradBias.values).map { $0 - 0.2 * $1 }, shape: [2])
  }
  let errors = zip(weight.values + bias.values, sobel.values + none.values).map { abs($0 - $1) }
  let rows = [0, 3, 6].map { "\(weight.values[$0..<$0 + 3].map { ($0 * 100).rounded() / 100 })" }
  print("learned from edges: \(rows.joined(separator: " ")), largest error \(errors.max() ?? .nan)")
}

/// A tensor's memory for as long as the body runs.
private func view<Result>(_ tensor: Tensor, _ body: (ArrayView) throws -> Result) throws -> Result {
  try tensor.withUnsafeFloats {
    try body(ArrayView(UnsafeMutableRawPointer(mutating: $0.baseAddress), .float32, shape: tensor.shape))
  }
}
