// Kernel benchmarks: GFLOP/s of the matrix product on the shapes that training meets, beside the machine's own peak; GB/s of
// batch norm's passes.
//
//     swift run -c release MartletBenchmarks [threads] [filter] [instruction set] [asks | waits]
//
// With "asks" batch norm asks for what it will read, with "waits" it does so only where every machine gains; else as this one likes it.
import BenchmarkPeak
import CMartletShims
import MartletRuntime

/// A product's shape; the strides say which operand is transposed.
struct Shape {
  var name: String
  var rows: Int
  var columns: Int
  var depth: Int
  var transposedA = false
  var transposedB = false
}

let shapes = [
  Shape(name: "square 512", rows: 512, columns: 512, depth: 512),
  Shape(name: "square 1024", rows: 1024, columns: 1024, depth: 1024),
  Shape(name: "square 2048", rows: 2048, columns: 2048, depth: 2048),
  Shape(name: "1024 A·Bᵀ", rows: 1024, columns: 1024, depth: 1024, transposedB: true),
  Shape(name: "1024 Aᵀ·B", rows: 1024, columns: 1024, depth: 1024, transposedA: true),
  Shape(name: "forward 60×784→100", rows: 60, columns: 100, depth: 784, transposedB: true),
  Shape(name: "forward 60×100→100", rows: 60, columns: 100, depth: 100, transposedB: true),
  Shape(name: "forward 60×100→10", rows: 60, columns: 10, depth: 100, transposedB: true),
  Shape(name: "dW 100×784, 60 rows", rows: 100, columns: 784, depth: 60, transposedA: true),
  Shape(name: "dW 100×100, 60 rows", rows: 100, columns: 100, depth: 60, transposedA: true),
  Shape(name: "dW 10×100, 60 rows", rows: 10, columns: 100, depth: 60, transposedA: true),
  Shape(name: "dx 60×100→784", rows: 60, columns: 784, depth: 100),
  Shape(name: "dx 60×100→100", rows: 60, columns: 100, depth: 100),
  Shape(name: "dx 60×10→100", rows: 60, columns: 100, depth: 10),
  Shape(name: "forward 256×1024→1024", rows: 256, columns: 1024, depth: 1024, transposedB: true),
  Shape(name: "dx 256×1024→1024", rows: 256, columns: 1024, depth: 1024),
  Shape(name: "dW 1024×1024, 256 rows", rows: 1024, columns: 1024, depth: 256, transposedA: true),
  Shape(name: "dW 1024×784, 256 rows", rows: 1024, columns: 784, depth: 256, transposedA: true),
  Shape(name: "forward 1×784→100", rows: 1, columns: 100, depth: 784, transposedB: true),
  Shape(name: "forward 1×1024→1024", rows: 1, columns: 1024, depth: 1024, transposedB: true),
  Shape(name: "dx 1×1024→1024", rows: 1, columns: 1024, depth: 1024),
  Shape(name: "conv 4096×288→64", rows: 4096, columns: 64, depth: 288, transposedB: true),
]

/// Fastest of several runs of at least a millisecond, in seconds a call: the others were disturbed.
func fastest(_ work: () -> Void) -> Double {
  let clock = ContinuousClock()
  func seconds(_ calls: Int) -> Double {
    let time = clock.measure { for _ in 0..<calls { work() } }
    return (Double(time.components.seconds) + Double(time.components.attoseconds) * 1e-18) / Double(calls)
  }
  var calls = 1
  while seconds(calls) * Double(calls) < 1e-3 { calls *= 2 }
  return (0..<20).map { _ in seconds(calls) }.min() ?? 0
}

func filled(_ count: Int) -> UnsafeMutablePointer<Float> {
  let random = CounterRandom(seed: 1, stream: 0)
  // On large pages from 4 MB on, as the library's own blocks and NumPy's.
  let bytes = count * 4
  let memory = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: bytes >= 4 << 20 ? 2 << 20 : 64)
  if bytes >= 4 << 20 { martlet_shims_prefer_large_pages(memory, bytes) }
  let p = memory.bindMemory(to: Float.self, capacity: count)
  for i in 0..<count { p[i] = Float(random.uniform(UInt64(i)) - 0.5) }
  return p
}

func padded(_ text: String, _ width: Int) -> String { text + String(repeating: " ", count: max(0, width - text.count)) }
func decimal(_ x: Double) -> String { "\(Int((x * 10).rounded()) / 10).\(Int((x * 10).rounded()) % 10)" }

func benchmark(_ shape: Shape, _ compute: Compute) -> Double {
  let (m, n, k) = (shape.rows, shape.columns, shape.depth)
  let (a, b, c) = (filled(m * k), filled(k * n), filled(m * n))
  let workspace = UnsafeMutableRawPointer.allocate(
    byteCount: compute.multiplyWorkspaceByteCount(rows: m, columns: n, depth: k), alignment: 64)
  defer {
    for p in [a, b, c] { p.deallocate() }
    workspace.deallocate()
  }
  let viewA = shape.transposedA ? MatrixView(a, rowStride: 1, columnStride: m) : MatrixView(a, rowStride: k, columnStride: 1)
  let viewB = shape.transposedB ? MatrixView(b, rowStride: 1, columnStride: k) : MatrixView(b, rowStride: n, columnStride: 1)
  let run = {
    compute.multiply(rows: m, columns: n, depth: k, viewA, viewB, into: c, rowStride: n, workspace: workspace)
  }
  run()
  // The answer first: one element in the middle of the product, in Float64.
  let (i, j) = (m / 2, n / 2)
  var exact = 0.0
  for l in 0..<k {
    exact += Double(a[i * viewA.rowStride + l * viewA.columnStride]) * Double(b[l * viewB.rowStride + j * viewB.columnStride])
  }
  if abs(exact - Double(c[i * n + j])) > 1e-6 * Double(k) { print("WRONG: \(shape.name): \(c[i * n + j]), not \(exact)") }
  return 2 * Double(m) * Double(n) * Double(k) / fastest(run)
}

let threads = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 1
let filter = CommandLine.arguments.dropFirst(2).first ?? ""
let onlySet = CommandLine.arguments.dropFirst(3).first
switch CommandLine.arguments.dropFirst(4).first {
case "asks": martlet_shims_set_asks_for_reads(1)
case "waits": martlet_shims_set_asks_for_reads(0)
default: break
}
for set in KernelSet.available where onlySet == nil || onlySet == set.rawValue {
  let compute = Compute(kernels: set.makeTable(), pool: ThreadPool(threadCount: threads))
  let lanes = Int32(compute.kernels.lanes)
  let rounds = 1_000_000
  let peak = peak_operations(lanes, rounds) / fastest { _ = peak_operations(lanes, rounds) }
  print("\(set.rawValue), \(threads) thread(s); one core's multiply-add peak: \(decimal(peak * 1e-9)) GFLOP/s")
  for shape in shapes where filter.isEmpty || shape.name.contains(filter) {
    let rate = benchmark(shape, compute)
    print("  \(padded(shape.name, 24)) \(padded(decimal(rate * 1e-9), 8)) \(decimal(100 * rate / peak)) %")
  }
  benchmarkConvolution(compute, filter: filter, peak: peak)
  benchmarkBatchNorm(compute, filter: filter)
}
