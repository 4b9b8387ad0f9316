import MartletTestSupport
import Testing

@testable import Martlet

@Suite struct ImageReaderTests {
  /// One image's values after `choice`; `pixels` are row-major `[height, width, channels]`, uint8.
  private func read(
    _ pixels: [UInt8], _ shape: [Int], _ choice: ImageChoice, _ normalization: ImageNormalization? = nil
  ) throws -> [Float] {
    var pixels = pixels
    var result = [Float](repeating: -99, count: pixels.count)
    try pixels.withUnsafeMutableBytes { bytes in
      let view = try ArrayView(bytes.baseAddress, .uint8, shape: [1] + shape)
      let reader = try ImageReader(view, rowShape: shape, Augmentation(), normalization)
      result.withUnsafeMutableBufferPointer { reader.read(0, choice, into: $0.baseAddress!) }
    }
    return result
  }

  private let picture: [UInt8] = [
    11, 12, 13, 14,
    21, 22, 23, 24,
    31, 32, 33, 34,
  ]

  @Test func crops() throws {
    var choice = ImageChoice()
    #expect(try read(picture, [3, 4, 1], choice) == picture.map(Float.init))
    (choice.rowOffset, choice.columnOffset) = (1, -2)
    #expect(
      try read(picture, [3, 4, 1], choice) == [
        0, 0, 21, 22,
        0, 0, 31, 32,
        0, 0, 0, 0,
      ])
    (choice.rowOffset, choice.columnOffset) = (-2, 1)
    #expect(
      try read(picture, [3, 4, 1], choice) == [
        0, 0, 0, 0,
        0, 0, 0, 0,
        12, 13, 14, 0,
      ])
  }

  @Test func flips() throws {
    var choice = ImageChoice()
    choice.isFlipped = true
    #expect(
      try read(picture, [3, 4, 1], choice) == [
        14, 13, 12, 11,
        24, 23, 22, 21,
        34, 33, 32, 31,
      ])
    // A pixel's channels stay in order; the crop comes first.
    #expect(try read([1, 2, 3, 4, 5, 6], [1, 3, 2], choice) == [5, 6, 3, 4, 1, 2])
    choice.columnOffset = 1
    #expect(try read([1, 2, 3, 4, 5, 6], [1, 3, 2], choice) == [0, 0, 5, 6, 3, 4])
  }

  @Test func cutouts() throws {
    var choice = ImageChoice()
    (choice.cutoutRows, choice.cutoutColumns) = (1..<3, 0..<2)
    #expect(
      try read(picture, [3, 4, 1], choice) == [
        11, 12, 13, 14,
        0, 0, 23, 24,
        0, 0, 33, 34,
      ])
    // The hole lies in the result, not in the image: the flip does not move it.
    choice.isFlipped = true
    #expect(
      try read(picture, [3, 4, 1], choice) == [
        14, 13, 12, 11,
        0, 0, 22, 21,
        0, 0, 32, 31,
      ])
  }

  /// Rounded once; padding and holes are 0 after it.
  @Test func normalizing() throws {
    let normalization = ImageNormalization(mean: [0.4, 0.2], standardDeviation: [0.5, 0.25])
    var choice = ImageChoice()
    choice.columnOffset = -1
    let got = try read([0, 51, 255, 102], [1, 2, 2], choice, normalization)
    #expect(got == [0, 0, Float((0 - 0.4) / 0.5), Float((51.0 / 255 - 0.2) / 0.25)])
    let all = try read([0, 51, 255, 102], [1, 2, 2], ImageChoice(), normalization)
    #expect(all[2...] == [Float((1 - 0.4) / 0.5), Float((102.0 / 255 - 0.2) / 0.25)])
    // One figure for all channels.
    let one = ImageNormalization(mean: [0.5], standardDeviation: [0.25])
    #expect(try read([0, 255], [1, 1, 2], ImageChoice(), one) == [-2, 2])
  }

  /// Every type, stride and choice against the definition, pixel by pixel.
  @Test(arguments: [UInt64(1), 2, 3]) func againstTheDefinition(seed: UInt64) throws {
    let (height, width, channels, count) = (7, 5, 3, 40)
    let augmentation = Augmentation(cropPadding: 3, flips: true, cutout: 4)
    let normalization = ImageNormalization(mean: [0.3, 0.4, 0.5], standardDeviation: [0.2, 0.3, 0.4])
    var numbers = TestRandom(seed: seed)
    let length = height * width * channels
    let random = ImageChoice.random(seed: seed, epoch: 2)
    var bytes = numbers.array(count * length, 0...255.99).map { UInt8($0) }
    var floats = bytes.map { Float($0) / 255 }
    // Channels last, and channels first seen through strides.
    for strides in [[length, width * channels, channels, 1], [length, width, 1, height * width]] {
      for isBytes in [true, false] {
        try bytes.withUnsafeMutableBytes { bytes in
          try floats.withUnsafeMutableBytes { floats in
            let view = try ArrayView(
              isBytes ? bytes.baseAddress : floats.baseAddress, isBytes ? .uint8 : .float32,
              shape: [count, height, width, channels], strides: strides)
            let reader = try ImageReader(view, rowShape: [height, width, channels], augmentation, normalization)
            for image in 0..<count {
              let choice = reader.choice(image, random)
              var got = [Float](repeating: .nan, count: length)
              got.withUnsafeMutableBufferPointer { reader.read(image, choice, into: $0.baseAddress!) }
              var want = [Double]()
              for y in 0..<height {
                for x in 0..<width {
                  for c in 0..<channels {
                    let (row, column) = (y + choice.rowOffset, (choice.isFlipped ? width - 1 - x : x) + choice.columnOffset)
                    let isHole = choice.cutoutRows.contains(y) && choice.cutoutColumns.contains(x)
                    guard !isHole, (0..<height).contains(row), (0..<width).contains(column) else {
                      want.append(0)
                      continue
                    }
                    let place = image * strides[0] + row * strides[1] + column * strides[2] + c * strides[3]
                    want.append((Double(bytes[place]) / 255 - normalization.mean[c]) / normalization.standardDeviation[c])
                  }
                }
              }
              // Values up to 3.5; the float32 way rounds v/255, v − mean, 1/deviation and their product.
              expectClose(got, want, within: 2e-6, "image \(image), strides \(strides), seed \(seed)")
            }
          }
        }
      }
    }
  }

  @Test func errors() throws {
    let x = try Tensor(shape: [2, 4, 4, 3])
    let flat = try Tensor(shape: [2, 12])
    expectError(.shapeMismatch, "[height, width, channels]", "[12]") {
      _ = try ImageReader(flat.view(), rowShape: [12], Augmentation(), nil)
    }
    expectError(.invalidArgument, "cutout") {
      _ = try ImageReader(x.view(), rowShape: [4, 4, 3], Augmentation(cutout: 5), nil)
    }
    var integers = [Int32](repeating: 0, count: 96)
    integers.withUnsafeMutableBytes { bytes in
      expectError(.unsupported, "validation_inputs[0]", "uint8 or float32", "int32 came") {
        let view = try ArrayView(bytes.baseAddress, .int32, shape: [2, 4, 4, 3])
        _ = try ImageReader(view, rowShape: [4, 4, 3], nil, nil, argument: "validation_inputs[0]")
      }
    }
  }
}
