// Sums of windows and their adjoint: average pooling, and nearest-neighbour upsampling the other way round.

/// `output[p] (+)= Σ x[p's window] / divisor`.
@inlinable
public func poolWindowSum<I: InstructionSet>(_: I.Type, _ p: PoolingRows) {
  forEachWindow(I.self, p) { window, channel, count in
    if count == I.lanes {
      sumOfWindow(I.self, p, window, channel, I.lanes)
    } else {
      sumOfWindow(I.self, p, window, channel, count)
    }
  }
}

@inlinable @inline(__always)
func sumOfWindow<I: InstructionSet>(_: I.Type, _ p: PoolingRows, _ window: PoolingWindow, _ channel: Int, _ count: Int) {
  var sum = I.Vector(repeating: 0)
  for i in 0..<window.height {
    var x = p.x + (window.input + i * window.rowStride + channel)
    for _ in 0..<window.width {
      sum += vectorOf(I.self, count, x)
      x += window.tapStride
    }
  }
  put(I.self, count, sum / I.Vector(repeating: divisor(p, window)), p.output + (window.output + channel), p.accumulate)
}

/// `input[i] += y[p] / divisor` for every i of p's window.
@inlinable
public func poolSpread<I: InstructionSet>(_: I.Type, _ p: PoolingRows) {
  forEachWindow(I.self, p) { window, channel, count in
    if count == I.lanes {
      spreadOverWindow(I.self, p, window, channel, I.lanes)
    } else {
      spreadOverWindow(I.self, p, window, channel, count)
    }
  }
}

@inlinable @inline(__always)
func spreadOverWindow<I: InstructionSet>(_: I.Type, _ p: PoolingRows, _ window: PoolingWindow, _ channel: Int, _ count: Int) {
  let y = vectorOf(I.self, count, p.y + (window.output + channel)) / I.Vector(repeating: divisor(p, window))
  for i in 0..<window.height {
    var x = p.input + (window.input + i * window.rowStride + channel)
    for _ in 0..<window.width {
      put(I.self, count, y, x, true)
      x += window.tapStride
    }
  }
}

@inlinable @inline(__always)
func divisor(_ p: PoolingRows, _ window: PoolingWindow) -> Float {
  p.divisor != 0 ? p.divisor : Float(max(1, window.height * window.width))
}
