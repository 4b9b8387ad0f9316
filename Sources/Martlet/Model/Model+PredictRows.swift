// Inference of rows that lie side by side: the short way, without a description of arrays.
import MartletRuntime

extension Model {
  /// Inference of a model with one input and one output, ``Model/predict(_:batchSize:into:)`` to the bit. Allocates nothing after
  /// the first call of a number of rows.
  ///
  /// - Parameters:
  ///   - input: `rows` rows of Float32, one after the other.
  ///   - output: room for as many rows of the output; not in the input's memory.
  /// - Throws: ``MartletError/Kind/invalidArgument`` for a model of several inputs or outputs, negative or too many rows, or
  ///   memory that overlaps.
  public func predict(
    rows: Int, _ input: UnsafePointer<Float>, batchSize: Int = 0, into output: UnsafeMutablePointer<Float>
  ) throws {
    guard inputLengths.count == 1, outputLengths.count == 1 else {
      throw MartletError.invalidArgument(
        "The model has \(inputLengths.count) inputs and \(outputLengths.count) outputs; rows alone are for one of each.")
    }
    guard rows >= 0, rows <= maximumRows else {
      throw MartletError.invalidArgument("rows must be 0 or more, and their values fit in memory; \(rows) came.")
    }
    guard UInt(bitPattern: input) % 4 == 0, UInt(bitPattern: output) % 4 == 0 else {
      throw MartletError.invalidArgument("input and output must lie at multiples of 4 bytes.")
    }
    guard canPredict(rows: rows, input, into: output) else {
      throw MartletError.invalidArgument("output shares memory with input. Give it memory of its own.")
    }
    let (inLength, outLength) = (inputLengths[0], outputLengths[0])
    try run(rows: rows, batchSize: batchSize) { executor, first, count in
      let target = output + first * outLength
      if let normalizer = network.imageNormalizer {
        executor.inputFloats(0).update(from: input + first * inLength, count: count * inLength)
        normalizer.apply(executor.inputFloats(0), count: count * inLength, areBytes: false)
      } else {
        executor.readInput(0, at: UnsafeMutablePointer(mutating: input + first * inLength))
      }
      executor.write(0, to: target)
      executor.forward()
      executor.copyOutput(0, to: target, count: count * outLength)
      executor.readInput(0, at: nil)
      _ = executor.writeOutput(0, at: nil)
    }
  }

  private var maximumRows: Int { Shape.maximumElementCount / max(inputLengths[0], outputLengths[0], 1) }

  /// Whether so many rows can be counted in bytes, and input and output have memory of their own.
  package func canPredict(rows: Int, _ input: UnsafePointer<Float>, into output: UnsafePointer<Float>) -> Bool {
    guard rows > 0 else { return rows == 0 }
    guard rows <= maximumRows else { return false }
    let (start, outStart) = (UInt(bitPattern: input), UInt(bitPattern: output))
    return outStart &+ UInt(4 * rows * outputLengths[0]) <= start || start &+ UInt(4 * rows * inputLengths[0]) <= outStart
  }
}
