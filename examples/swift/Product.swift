import Martlet

/// Matrix products on arrays of one's own: the direction in which images of 28 × 28 pixels differ most, by power iteration.
func findPrincipalDirection(_ images: Tensor) throws {
  let (count, pixels) = (min(500, images.shape[0]), 784)
  var x = Array(images.values.prefix(count * pixels))
  for pixel in 0..<pixels {
    let places = stride(from: pixel, to: x.count, by: pixels)
    let mean = places.reduce(0) { $0 + x[$1] } / Float(count)
    for place in places { x[place] -= mean }
  }
  var direction = [Float](repeating: 1 / 28, count: pixels)
  var along = [Float](repeating: 0, count: count)
  var next = direction
  var variance: Float = 0
  func length(_ v: [Float]) -> Float { v.reduce(0) { $0 + $1 * $1 }.squareRoot() }
  for _ in 0..<100 {
    try x.withUnsafeMutableBytes { x in
      let data = try ArrayView(x.baseAddress, .float32, shape: [count, pixels])
      // Its transpose: nothing is copied.
      let turned = try ArrayView(x.baseAddress, .float32, shape: [pixels, count], strides: [1, pixels])
      try direction.withUnsafeMutableBytes { v in
        try along.withUnsafeMutableBytes { xv in
          try next.withUnsafeMutableBytes { xxv in
            let along = try ArrayView(xv.baseAddress, .float32, shape: [count, 1])
            try MatrixProductFunction.multiply(data, ArrayView(v.baseAddress, .float32, shape: [pixels, 1]), into: along)
            try MatrixProductFunction.multiply(turned, along, into: ArrayView(xxv.baseAddress, .float32, shape: [pixels, 1]))
          }
        }
      }
    }
    variance = length(next)
    direction = next.map { $0 / variance }
  }
  let share = 100 * variance / x.reduce(0) { $0 + $1 * $1 }
  print("one direction of \(pixels) holds \((share * 10).rounded() / 10) % of the variance")
}
