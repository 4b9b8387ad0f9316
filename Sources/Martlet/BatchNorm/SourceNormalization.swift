// Normalising a caller's array at the precision of its own element type: what is rounded to Float32 is the result.

/// Rows of an array: some that follow each other, or some by number.
enum SourceRows {
  case range(first: Int, count: Int)
  case numbers(UnsafeBufferPointer<Int>)

  var count: Int {
    switch self {
    case .range(_, let count): count
    case .numbers(let numbers): numbers.count
    }
  }

  subscript(place: Int) -> Int {
    switch self {
    case .range(let first, _): first &+ place
    case .numbers(let numbers): numbers[place]
    }
  }
}

/// `y = (x − center − offset)·multiplier·scale + shift`, in Float64 up to y, for some rows of an array.
struct SourceNormalization: SourceElementBody {
  let source: ArrayView
  let rows: SourceRows
  let runs: ChannelRuns
  let center: UnsafePointer<Double>
  /// Nil: 0.
  var offset: UnsafePointer<Double>?
  let multiplier: UnsafePointer<Double>
  /// Nil: 1.
  var scale: UnsafePointer<Float>?
  /// Nil: 0.
  var shift: UnsafePointer<Float>?
  /// Room for the rows, one after the other.
  let target: UnsafeMutablePointer<Float>

  mutating func run() {
    source.dataType.withElement(&self)
  }

  func run<Element: SourceElement>(_: Element.Type) {
    let length = source.rowLength
    for place in 0..<rows.count {
      let y = target + place &* length
      source.forEachElement(rows[place], Element.self, runs) { c, i, x in
        let distance = x.distance(from: center[c]) - (offset?[c] ?? 0)
        y[i] = Float(distance * multiplier[c] * Double(scale?[c] ?? 1) + Double(shift?[c] ?? 0))
      }
    }
  }
}
