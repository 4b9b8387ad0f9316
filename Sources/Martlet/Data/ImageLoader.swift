// The batches of a fit on images, each prepared while the step before it runs.
import MartletRuntime

/// How a fit cuts its rows into batches.
struct BatchSchedule {
  var rows: Int
  var batchSize: Int
  var epochs: Int
  var stepsPerEpoch: Int
  var shuffles: Bool
  var seed: UInt64
  /// The number, in the seed's sequence, of the first epoch.
  var firstEpoch = 0

  /// The numbers, in an epoch's order, of a step's rows.
  func range(step: Int) -> Range<Int> {
    let first = step * batchSize
    return first..<min(first + batchSize, rows)
  }

  /// Writes to `order` the order of an epoch, counted from the first one here.
  func fill(_ order: UnsafeMutableBufferPointer<Int>, epoch: Int) {
    for i in 0..<order.count { order[i] = i }
    if shuffles { CounterRandom(seed: seed, stream: UInt64(firstEpoch + epoch)).shuffle(order) }
  }
}

/// Two batches' memory, which a thread of its own fills ahead: one is in use, the other in preparation.
final class ImageLoader {
  private let batches: ImageBatches
  private let prefetcher: Prefetcher

  /// - Throws: ``MartletError/Kind/outOfMemory``.
  init(_ reader: ImageReader, _ schedule: BatchSchedule) throws {
    batches = try ImageBatches(reader, schedule)
    prefetcher = Prefetcher(
      batches, itemCount: schedule.epochs * schedule.stepsPerEpoch, slotCount: ImageBatches.slotCount)
  }

  /// The next batch: its rows' numbers and its images. In use until ``release()``.
  func next() -> (rows: UnsafeBufferPointer<Int>, pixels: UnsafeMutableRawPointer) { batches.contents(prefetcher.next()) }
  func release() { prefetcher.release() }
  /// Ends the thread; nothing reads the caller's images any more.
  func finish() { prefetcher.finish() }
}

/// Prepares batches, by whichever thread.
final class ImageBatches: PrefetchSource, @unchecked Sendable {
  static let slotCount = 2

  private let reader: ImageReader
  private let schedule: BatchSchedule
  private let pixels: [Storage]
  private let indices: [Storage]
  /// Rows in each slot. Memory rather than an array: one slot is written while another is read.
  private let counts: Storage
  private let order: Storage
  /// Whose order is in `order`.
  private var epoch: Int?

  init(_ reader: ImageReader, _ schedule: BatchSchedule) throws {
    self.reader = reader
    self.schedule = schedule
    let (bytes, overflows) = schedule.batchSize.multipliedReportingOverflow(by: reader.length * 4)
    guard !overflows, bytes <= Shape.maximumElementCount else {
      throw MartletError(.outOfMemory, "A batch of this size needs more memory than can be addressed. Use a smaller batch.")
    }
    pixels = try (0..<ImageBatches.slotCount).map { _ in try Storage(byteCount: bytes, isZeroed: false) }
    indices = try (0..<ImageBatches.slotCount).map { _ in
      try Storage(byteCount: schedule.batchSize * MemoryLayout<Int>.size, isZeroed: false)
    }
    counts = try Storage(byteCount: ImageBatches.slotCount * MemoryLayout<Int>.size)
    order = try Storage(byteCount: schedule.rows * MemoryLayout<Int>.size, isZeroed: false)
  }

  func prepare(item: Int, slot: Int) {
    let (epoch, step) = item.quotientAndRemainder(dividingBy: schedule.stepsPerEpoch)
    let order = UnsafeMutableBufferPointer(
      start: order.base.assumingMemoryBound(to: Int.self), count: schedule.rows)
    if self.epoch != epoch {
      schedule.fill(order, epoch: epoch)
      self.epoch = epoch
    }
    let random = ImageChoice.random(seed: schedule.seed, epoch: schedule.firstEpoch + epoch)
    let range = schedule.range(step: step)
    let rows = indices[slot].base.assumingMemoryBound(to: Int.self)
    var target = pixels[slot].floats
    for (place, number) in range.enumerated() {
      let image = order[number]
      rows[place] = image
      reader.read(image, reader.choice(image, random), into: target)
      target += reader.length
    }
    counts.base.storeBytes(of: range.count, toByteOffset: slot * MemoryLayout<Int>.size, as: Int.self)
  }

  func forgetProgress() { epoch = nil }

  func contents(_ slot: Int) -> (rows: UnsafeBufferPointer<Int>, pixels: UnsafeMutableRawPointer) {
    let rows = UnsafePointer(indices[slot].base.assumingMemoryBound(to: Int.self))
    let count = counts.base.load(fromByteOffset: slot * MemoryLayout<Int>.size, as: Int.self)
    return (UnsafeBufferPointer(start: rows, count: count), pixels[slot].base)
  }
}
