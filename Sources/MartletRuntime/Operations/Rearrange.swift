// Values that change their place: columns of a wider matrix, transposed matrices.
import MartletKernels

extension Compute {
  /// `y[r, c] (+)= x[r, c]` for `columns` columns, the rows of either any distance apart.
  public func copyColumns(
    _ x: UnsafePointer<Float>, rowStride xStride: Int, rows: Int, columns: Int, into y: UnsafeMutablePointer<Float>,
    rowStride yStride: Int, accumulate: Bool
  ) {
    let cut = PieceCut.rows(rows, columns: columns)
    let work = ColumnsWork(
      kernels: kernels.elementwise, x: x, xStride: xStride, columns: columns, y: y, yStride: yStride, accumulate: accumulate,
      cut: cut)
    run(work, pieces: cut.pieces)
  }

  /// `y[n, j, i] (+)= x[n, i, j]` for `matrices` matrices `[height, width]`, which lie one after the other; y is apart from x.
  public func transpose(
    _ x: UnsafePointer<Float>, matrices: Int, height: Int, width: Int, into y: UnsafeMutablePointer<Float>, accumulate: Bool
  ) {
    let cut = PieceCut.rows(matrices * width, columns: height)
    let work = TransposeWork(x: x, height: height, width: width, y: y, accumulate: accumulate, cut: cut)
    run(work, pieces: cut.pieces)
  }
}

private struct ColumnsWork: PieceWork {
  let kernels: ElementwiseKernels
  let x: UnsafePointer<Float>
  let xStride: Int
  let columns: Int
  let y: UnsafeMutablePointer<Float>
  let yStride: Int
  let accumulate: Bool
  let cut: PieceCut

  func run(_ piece: Int) {
    let (start, count) = cut.range(piece)
    for r in start..<start + count {
      let (source, target) = (x + r * xStride, y + r * yStride)
      if accumulate {
        kernels.binary(.add, UnsafePointer(target), source, 1, columns, .full, target)
      } else if columns < 16 {
        // Too few for a call of memcpy.
        for c in 0..<columns { target[c] = source[c] }
      } else {
        target.update(from: source, count: columns)
      }
    }
  }
}

private struct TransposeWork: PieceWork {
  let x: UnsafePointer<Float>
  let height: Int
  let width: Int
  let y: UnsafeMutablePointer<Float>
  let accumulate: Bool
  /// of the rows of all transposed matrices
  let cut: PieceCut

  /// Values of a row of x that are read before the next row: a cache line.
  private static let block = 16

  func run(_ piece: Int) {
    var (row, left) = cut.range(piece)
    while left > 0 {
      let (matrix, j) = row.quotientAndRemainder(dividingBy: width)
      let count = min(left, TransposeWork.block, width - j)
      let source = x + matrix * height * width + j
      let target = y + row * height
      for i in 0..<height {
        for k in 0..<count {
          let value = source[i * width + k]
          target[k * height + i] = accumulate ? target[k * height + i] + value : value
        }
      }
      row += count
      left -= count
    }
  }
}
