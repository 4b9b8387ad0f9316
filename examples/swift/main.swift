// The article's network on handwritten or clothing images: 100-100-100 sigmoids, batch norm before each.
// Usage: MartletExample [folder with train-images-idx3-ubyte and its three companions]. Without data: ten noisy patterns.
import Martlet

#if canImport(Darwin)
  import Darwin
#else
  import Glibc
#endif

/// The bytes of an IDX file, plain or packed, behind its header, and how many items they are; nil if there is no such file.
func readIDX(_ path: String, headerLength: Int) -> (bytes: [UInt8], count: Int)? {
  guard let file = popen("gzip -dcf '\(path)' 2>/dev/null || gzip -dc '\(path).gz' 2>/dev/null", "r") else { return nil }
  defer { pclose(file) }
  var bytes: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 1 << 16)
  while case let count = fread(&buffer, 1, buffer.count, file), count > 0 { bytes += buffer[..<count] }
  guard bytes.count >= headerLength else { return nil }
  return (Array(bytes[headerLength...]), bytes[4..<8].reduce(0) { $0 << 8 | Int($1) })
}

func images(_ folder: String, _ name: String) throws -> (x: Tensor, labels: [Int32])? {
  guard let pixels = readIDX("\(folder)/\(name)-images-idx3-ubyte", headerLength: 16),
    let labels = readIDX("\(folder)/\(name)-labels-idx1-ubyte", headerLength: 8), pixels.count == labels.count
  else { return nil }
  return (try Tensor(pixels.bytes.map { Float($0) / 255 }, shape: [pixels.count, 784]), labels.bytes.map { Int32($0) })
}

func patterns(_ count: Int, seed: UInt64) throws -> (x: Tensor, labels: [Int32]) {
  var state = seed
  func random() -> Float {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return Float(state >> 40) / 0x1p24
  }
  let labels = (0..<count).map { _ in Int32(random() * 10) }
  func pixel(_ place: Int, _ label: Int32) -> Float { Float((place * 31 + Int(label) * 17) % 10) / 10 + random() - 0.5 }
  let values = labels.flatMap { label in (0..<784).map { pixel($0, label) } }
  return (try Tensor(values, shape: [count, 784]), labels)
}

let folder = CommandLine.arguments.count > 1 ? CommandLine.arguments[1] : "/usr/share/datasets/fashion-mnist"
let (train, test) = (try images(folder, "train"), try images(folder, "t10k"))
print(train == nil ? "No IDX files in \(folder): training on ten noisy patterns." : "Training on the images in \(folder).")
let (x, labels) = try train ?? patterns(3000, seed: 1)
let (testX, testLabels) = try test ?? patterns(500, seed: 2)

let hidden: [any Layer] = (0..<3).flatMap { _ in [Dense(100, bias: false), BatchNorm(), Sigmoid()] as [any Layer] }
let net = try Model.sequential(hidden + [Dense(10)], inputShape: [784], seed: 1)
let trainer = try Trainer(net, loss: .crossEntropy, optimizer: .sgd(learningRate: 0.5))
try trainer.fit(x, labels: labels, FitOptions(epochs: 3, batchSize: 60, dropsLast: true)) { event in
  if event.kind == .epoch {
    print("epoch \(event.epoch + 1): loss \(event.training.loss), accuracy \(event.training.accuracy)")
  }
  return true
}
print("test accuracy \(try trainer.evaluate(testX, labels: testLabels).accuracy)")

// Saved, and back into the same network: here after an epoch with a learning rate that is too high.
let path = "/tmp/martlet-example-\(getpid()).safetensors"
try net.save(to: path)
let wild = try Trainer(net, loss: .crossEntropy, optimizer: .sgd(learningRate: 100))
try wild.fit(testX, labels: testLabels, FitOptions(epochs: 1, batchSize: 60))
print("after a wild epoch \(try trainer.evaluate(testX, labels: testLabels).accuracy)")
try net.loadWeights(from: path)
unlink(path)
print("restored \(try trainer.evaluate(testX, labels: testLabels).accuracy)")

// What could be better, if anything: on these images, and with batches of this size.
print(Finding.text(try net.check(on: testX, labels: testLabels, CheckOptions(batchSize: 60))))

// Internal covariate shift: the table's last columns are the change of the gradient.
print("with batch norm:\n\(try shiftTable(testX, testLabels, normalized: true, steps: 3))")

// Serving: weights rounded to half precision are half the memory to read for each row.
try net.setInferenceWeights(.float16)
print("with weights in 16 bits \(try trainer.evaluate(testX, labels: testLabels).accuracy)")

// The same images for a network of convolutions.
let images28 = try convolutionalNetwork(seed: 1)
let imageTrainer = try Trainer(images28, loss: .crossEntropy, optimizer: .adam(learningRate: 0.003))
try imageTrainer.fit(x, labels: labels, FitOptions(epochs: 1, batchSize: 60, dropsLast: true))
print("convolutional network: test accuracy \(try imageTrainer.evaluate(testX, labels: testLabels).accuracy)")

try compareNormalizations(x, labels, testX, testLabels)
try learnEdgeFilters(testX)
try findPrincipalDirection(testX)

// One batch in two shards, each on a thread of its own.
try trainInShards()
