// How an operation hands its pieces to the worker threads without allocating.

/// The pieces of one operation; a plain value of pointers and sizes on the caller's stack.
protocol PieceWork {
  /// Does piece `piece`; called once for each, on any thread.
  func run(_ piece: Int)
}

extension PieceWork {
  /// The value behind `work`, a piece of it. A static method, so that its existential metatype fits beside the pointer.
  fileprivate static func run(_ work: UnsafeRawPointer, _ piece: Int) {
    work.assumingMemoryBound(to: Self.self).pointee.run(piece)
  }
}

/// What the thread pool's C function gets to see: which work, and of what type. A closure would live on the heap.
private struct PieceContext {
  let work: UnsafeRawPointer
  let type: any PieceWork.Type
}

extension Compute {
  /// Runs all pieces of `work`; a single piece stays on the calling thread.
  func run<Work: PieceWork>(_ work: Work, pieces: Int) {
    if pieces == 1 { return work.run(0) }
    withUnsafePointer(to: work) { pointer in
      var context = PieceContext(work: UnsafeRawPointer(pointer), type: Work.self)
      withUnsafeMutablePointer(to: &context) { context in
        pool.run(pieces: pieces, UnsafeMutableRawPointer(context)) { raw, piece in
          let context = raw.assumingMemoryBound(to: PieceContext.self).pointee
          context.type.run(context.work, piece)
        }
      }
    }
  }
}

/// A range of `count` items in pieces of at most `size`.
struct PieceCut {
  let count: Int
  let size: Int

  /// Pieces of 16384 values (64 KiB, a multiple of every vector and of dropout's groups); what fits two stays one, because
  /// waking a thread costs more than it saves.
  static func elements(_ count: Int) -> PieceCut {
    PieceCut(count: count, size: count <= 32768 ? max(count, 1) : 16384)
  }

  /// Whole rows of `columns` values, about 16384 values a piece; `weight` is the cost of a value in simple operations.
  static func rows(_ rows: Int, columns: Int, weight: Int = 1) -> PieceCut {
    let values = 16384 / weight
    if rows * columns <= 2 * values { return PieceCut(count: rows, size: max(rows, 1)) }
    return PieceCut(count: rows, size: max(1, values / max(columns, 1)))
  }

  var pieces: Int { (count + size - 1) / size }

  /// First item and number of items of a piece.
  func range(_ piece: Int) -> (start: Int, count: Int) {
    let start = piece * size
    return (start, min(size, count - start))
  }
}
