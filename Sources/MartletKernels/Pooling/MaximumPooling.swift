// The largest value of each window.

/// `output[p] = max x[p's window]`; NaN if one is NaN, −∞ without any.
@inlinable
public func poolMaximum<I: InstructionSet>(_: I.Type, _ p: PoolingRows) {
  forEachWindow(I.self, p) { window, channel, count in
    if count == I.lanes {
      maximumOfWindow(I.self, p, window, channel, I.lanes)
    } else {
      maximumOfWindow(I.self, p, window, channel, count)
    }
  }
}

@inlinable @inline(__always)
func maximumOfWindow<I: InstructionSet>(_: I.Type, _ p: PoolingRows, _ window: PoolingWindow, _ channel: Int, _ count: Int) {
  var largest = I.Vector(repeating: -.infinity)
  for i in 0..<window.height {
    var x = p.x + (window.input + i * window.rowStride + channel)
    for _ in 0..<window.width {
      let v = vectorOf(I.self, count, x)
      // The first of equals stays; NaN comes in by the second choice and stays by the first.
      largest = I.whereEqual(v, v, I.whereLess(largest, v, v, largest), v)
      x += window.tapStride
    }
  }
  put(I.self, count, largest, p.output + (window.output + channel), false)
}

/// `input[i] += y's gradient` (in `output`) for the first i of the window with `x[i] = y`, or the first that is NaN where y is NaN.
///
/// The place is found again from x and y: both are kept anyway, as the layers before and after need them, so that no index is stored and a
/// window may have any size.
@inlinable
public func poolMaximumGradient<I: InstructionSet>(_: I.Type, _ p: PoolingRows) {
  forEachWindow(I.self, p) { window, channel, count in
    if count == I.lanes {
      maximumGradientOfWindow(I.self, p, window, channel, I.lanes)
    } else {
      maximumGradientOfWindow(I.self, p, window, channel, count)
    }
  }
}

@inlinable @inline(__always)
func maximumGradientOfWindow<I: InstructionSet>(
  _: I.Type, _ p: PoolingRows, _ window: PoolingWindow, _ channel: Int, _ count: Int
) {
  let zero = I.Vector(repeating: 0)
  let one = I.Vector(repeating: 1)
  let y = vectorOf(I.self, count, p.y + (window.output + channel))
  // 0 for numbers, 1 for NaN.
  let isNaN = I.whereEqual(y, y, zero, one)
  var gradient = vectorOf(I.self, count, p.output + (window.output + channel))
  for i in 0..<window.height {
    var at = window.input + i * window.rowStride + channel
    for _ in 0..<window.width {
      let x = vectorOf(I.self, count, p.x + at)
      let here = I.whereEqual(x, x, I.whereEqual(x, y, gradient, zero), I.whereEqual(isNaN, one, gradient, zero))
      let taken = I.whereEqual(x, x, I.whereEqual(x, y, zero, gradient), I.whereEqual(isNaN, one, zero, gradient))
      put(I.self, count, here, p.input + at, true)
      gradient = taken
      at += window.tapStride
    }
  }
}
