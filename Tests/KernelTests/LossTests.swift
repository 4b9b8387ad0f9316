import MartletKernels
import MartletRuntime
import MartletTestSupport
import ReferenceKernels
import Testing

@Suite struct LossTests {
  static let shapes = (1...35).map { (3, $0) } + [(0, 5), (1, 1), (4000, 10), (20, 3000)]

  private typealias Loss = (
    Compute, UnsafePointer<Float>, UnsafePointer<Float>, UnsafeMutablePointer<Float>?, UnsafeMutableRawPointer
  ) -> LossResult

  /// Runs a loss on every compute with and without gradient: the same result to the bit, whatever the threads.
  private func run(
    _ name: String, _ x: [Float], _ targets: [Float], rows: Int, columns: Int, _ loss: Loss,
    check: (String, LossResult, [Float]) -> Void
  ) {
    for (set, computes) in EveryCompute.ofAllThreads {
      let bytes = computes[0].lossWorkspaceByteCount(rows: rows, columns: columns)
      let workspace = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
      defer { workspace.deallocate() }
      let logits = GuardedBuffer(x)
      let t = GuardedBuffer(targets, misalignedBy: 4)
      let results = computes.map { compute in
        let gradient = GuardedBuffer(count: x.count)
        let result = loss(compute, logits.input, t.input, gradient.pointer, workspace)
        let alone = loss(compute, logits.input, t.input, nil, workspace)
        #expect(alone.sum == result.sum && alone.correct == result.correct, "\(name) on \(set)")
        return (result, gradient.values)
      }
      for (result, gradient) in results {
        #expect(result.sum == results[0].0.sum && result.correct == results[0].0.correct, "\(name) on \(set)")
        #expect(gradient.bits == results[0].1.bits, "\(name) on \(set)")
      }
      check("\(name) \(rows)×\(columns) on \(set)", results[0].0, results[0].1)
    }
  }

  private func row(_ x: [Float], _ r: Int, _ columns: Int) -> [Double] { x[r * columns..<(r + 1) * columns].map(Double.init) }

  @Test func crossEntropyOfLabels() {
    var random = TestRandom(seed: 14)
    for (rows, classes) in Self.shapes {
      let x = random.array(rows * classes, -10...10)
      let labels = (0..<rows).map { _ in Int32.random(in: 0..<Int32(classes), using: &random) }
      var sum = 0.0
      var correct = 0
      var gradient: [Double] = []
      for r in 0..<rows {
        let logits = row(x, r, classes)
        let t = (0..<classes).map { $0 == Int(labels[r]) ? 1.0 : 0 }
        sum += Reference.crossEntropy(logits, t)
        correct += logits.firstIndex(of: logits.max() ?? 0) == Int(labels[r]) ? 1 : 0
        gradient += zip(Reference.softmax(logits), t).map { 0.25 * ($0 - $1) }
      }
      run("labels", x, x, rows: rows, columns: classes) { compute, x, _, gradient, workspace in
        compute.softmaxCrossEntropy(
          x, rows: rows, classes: classes, labels: labels, probabilities: nil, gradient: gradient, gradientScale: 0.25,
          workspace: workspace)
      } check: { name, result, got in
        #expect(abs(result.sum - sum) <= Tolerance.softmax(spread: 20) * Double(rows) + 1e-12 * sum, "\(name)")
        #expect(result.correct == correct, "\(name)")
        let isRight = zip(got, gradient).allSatisfy { abs(Double($0) - $1) <= 0.25 * Tolerance.softmax(spread: 20) }
        #expect(isRight, "\(name)")
      }
    }
  }

  @Test func crossEntropyOfProbabilities() {
    var random = TestRandom(seed: 15)
    for (rows, classes) in Self.shapes {
      let x = random.array(rows * classes, -10...10)
      let t = random.array(rows * classes, 0...1).map { $0 < 0.3 ? 0 : $0 }
      var sum = 0.0
      var weights = 0.0
      var correct = 0
      var gradient: [Double] = []
      for r in 0..<rows {
        let logits = row(x, r, classes)
        let targets = row(t, r, classes)
        let weight = targets.reduce(0, +)
        weights += weight
        sum += Reference.crossEntropy(logits, targets)
        correct += logits.firstIndex(of: logits.max() ?? 0) == targets.firstIndex(of: targets.max() ?? 0) ? 1 : 0
        gradient += zip(Reference.softmax(logits), targets).map { $0 * weight - $1 }
      }
      run("probabilities", x, t, rows: rows, columns: classes) { compute, x, t, gradient, workspace in
        compute.softmaxCrossEntropy(
          x, rows: rows, classes: classes, labels: nil, probabilities: t, gradient: gradient, gradientScale: 1,
          workspace: workspace)
      } check: { name, result, got in
        // The differences x − maximum are rounded at size 20, each weighted by its probability.
        #expect(abs(result.sum - sum) <= 2 * Tolerance.softmax(spread: 20) * weights + 1e-12 * sum, "\(name)")
        #expect(result.correct == correct, "\(name)")
        let scale = Double(classes) * Tolerance.softmax(spread: 20)
        #expect(zip(got, gradient).allSatisfy { abs(Double($0) - $1) <= scale }, "\(name)")
      }
    }
  }

  /// A sure and right prediction has a small loss, and keeps its digits down to the last place of 1 in Float64.
  @Test func smallLossesAreRelativelyRight() {
    for logit: Float in [5, 12, 20, 30] {
      let x = [logit, 0, 1, 2]
      let want = Reference.crossEntropy(x.map(Double.init), [1, 0, 0, 0])
      run("sure", x, x, rows: 1, columns: 4) { compute, x, _, gradient, workspace in
        compute.softmaxCrossEntropy(
          x, rows: 1, classes: 4, labels: [0], probabilities: nil, gradient: gradient, gradientScale: 1,
          workspace: workspace)
      } check: { name, result, _ in
        #expect(abs(result.sum - want) <= Tolerance.softmax(spread: 30) * want + 0x1p-52, "\(name)")
      }
    }
  }

  /// Probability 0 against a logit of −∞ is no loss; a NaN logit is a NaN loss.
  @Test func impossibleClasses() {
    let x: [Float] = [1, -.infinity, 2]
    run("impossible", x, [0.5, 0, 0.5], rows: 1, columns: 3) { compute, x, t, gradient, workspace in
      compute.softmaxCrossEntropy(
        x, rows: 1, classes: 3, labels: nil, probabilities: t, gradient: gradient, gradientScale: 1, workspace: workspace)
    } check: { name, result, got in
      #expect(abs(result.sum - Reference.crossEntropy([1, 2], [0.5, 0.5])) <= 1e-6, "\(name)")
      #expect(got[1] == 0, "\(name)")
    }
    for (_, compute) in EveryCompute.ofOneThread {
      var result = [0.0, 0.0]
      let sum = compute.softmaxCrossEntropy(
        [1, .nan], rows: 1, classes: 2, labels: [0], probabilities: nil, gradient: nil, gradientScale: 1, workspace: &result)
      #expect(sum.sum.isNaN)
    }
  }

  @Test func meanSquaredError() {
    var random = TestRandom(seed: 16)
    for (rows, columns) in Self.shapes {
      let x = random.array(rows * columns, -3...3)
      let t = random.array(rows * columns, -3...3)
      let differences = zip(x, t).map { Double($0) - Double($1) }
      let sum = differences.map { $0 * $0 }.reduce(0, +) / Double(columns)
      run("squares", x, t, rows: rows, columns: columns) { compute, x, t, gradient, workspace in
        compute.meanSquaredError(
          x, targets: t, rows: rows, columns: columns, gradient: gradient, gradientScale: 0.5, workspace: workspace)
      } check: { name, result, got in
        // The difference is rounded once, and squared: two unit roundoffs.
        #expect(abs(result.sum - sum) <= Tolerance.steps(3) * sum, "\(name)")
        let isRight = zip(got, differences).allSatisfy {
          abs(Double($0) - $1 / Double(columns)) <= Tolerance.steps(3) * abs($1) / Double(columns)
        }
        #expect(isRight, "\(name)")
      }
    }
  }

  @Test func binaryCrossEntropy() {
    var random = TestRandom(seed: 17)
    for (rows, columns) in Self.shapes {
      let x = random.array(rows * columns, -40...40)
      let t = random.array(rows * columns, 0...1).map { $0 < 0.3 ? 0 : $0 > 0.7 ? 1 : $0 }
      let losses = zip(x, t).map { Reference.binaryCrossEntropy(Double($0), Double($1)) }
      let sum = losses.reduce(0, +) / Double(columns)
      let correct = (0..<rows).filter { r in
        (0..<columns).allSatisfy { (x[r * columns + $0] > 0) == (t[r * columns + $0] > 0.5) }
      }.count
      run("binary", x, t, rows: rows, columns: columns) { compute, x, t, gradient, workspace in
        compute.binaryCrossEntropy(
          x, targets: t, rows: rows, columns: columns, gradient: gradient, gradientScale: 2, workspace: workspace)
      } check: { name, result, got in
        // 1 − t, the product, the sum, and the tail's own few ulp: all terms are positive.
        #expect(abs(result.sum - sum) <= Tolerance.steps(10) * sum, "\(name)")
        #expect(result.correct == correct, "\(name)")
        let isRight = zip(got.indices, got).allSatisfy { i, value in
          let want = 2 * (Reference.sigmoid(Double(x[i])) - Double(t[i])) / Double(columns)
          return abs(Double(value) - want) <= 2 * Tolerance.steps(8) / Double(columns)
        }
        #expect(isRight, "\(name)")
      }
    }
  }

  /// An infinite logit on the target's side is no loss, on the other an infinite one; the gradient is what the sigmoid leaves.
  @Test func infiniteLogits() {
    let x: [Float] = [.infinity, -.infinity, .infinity, -.infinity, .infinity]
    let t: [Float] = [1, 0, 0, 1, 0.5]
    let want: [Double] = [0, 0, .infinity, .infinity, .infinity]
    let gradients: [Float] = [0, 0, 1, -1, 0.5]
    for place in x.indices {
      run("infinite", [x[place]], [t[place]], rows: 1, columns: 1) { compute, x, t, gradient, workspace in
        compute.binaryCrossEntropy(
          x, targets: t, rows: 1, columns: 1, gradient: gradient, gradientScale: 1, workspace: workspace)
      } check: { name, result, got in
        #expect(result.sum == want[place] && got[0] == gradients[place], "\(name), \(x[place])")
      }
    }
    for (_, compute) in EveryCompute.ofOneThread {
      for target: Float in [0, 0.5, 1] {
        var (workspace, gradient) = ([0.0, 0.0], [Float(0)])
        let result = compute.binaryCrossEntropy(
          [.nan], targets: [target], rows: 1, columns: 1, gradient: &gradient, gradientScale: 1, workspace: &workspace)
        #expect(result.sum.isNaN && gradient[0].isNaN)
      }
    }
  }

  /// The scan of a batch of targets misses nothing that is out of range, at any place and length.
  @Test func targetScan() {
    for count in [1, 3, 4, 7, 31, 64, 100] {
      for place in Set([0, count / 2, count - 1]) {
        var labels = [Int32](repeating: 2, count: count)
        #expect(TargetScan.areLabels(labels, count: count, classes: 3))
        for wrong in [Int32(3), -1, Int32.max, Int32.min] {
          labels[place] = wrong
          #expect(!TargetScan.areLabels(labels, count: count, classes: 3))
        }
        var values = [Float](repeating: 1, count: count)
        #expect(TargetScan.areFinite(values, count: count) && TargetScan.areWithin(values, count: count, largest: 1))
        #expect(TargetScan.sum(values, count: count) == Double(count))
        for wrong in [Float.nan, -Float.nan, Float.infinity, -Float.infinity] {
          values[place] = wrong
          #expect(!TargetScan.areFinite(values, count: count) && !TargetScan.areWithin(values, count: count, largest: 1))
        }
        for wrong in [-Float.leastNonzeroMagnitude, 1 + Float.ulpOfOne, -Float.greatestFiniteMagnitude, 2] {
          values[place] = wrong
          #expect(TargetScan.areFinite(values, count: count) && !TargetScan.areWithin(values, count: count, largest: 1))
        }
        values[place] = .leastNonzeroMagnitude
        #expect(TargetScan.areWithin(values, count: count, largest: 1))
      }
    }
  }
}
