// How large the parts of a network and of a file may be: the only place that says so.

/// The largest shapes, graphs and files that the library takes, wherever they come from: C, Python, Swift or a file.
///
/// No real network comes near these numbers. They bound what a small file can cost, and they are what the structs of the C interface have
/// room for. Whatever holds a shape, a graph or a name checks against them when it is made, so that nothing behind it needs to.
public enum Limits {
  // MARK: Shapes

  /// Axes of an array.
  public static let rank = 16
  /// Axes of one row of a network: an array has one more, the batch.
  public static let rowRank = rank - 1
  /// Elements of an array, in which every element at 8 bytes stays addressable, with room for sums of a few sizes.
  public static let elementCount = Int.max >> 8

  // MARK: Networks

  /// Nodes of a graph or model: its inputs, and every place of every layer.
  public static let nodeCount = 16_384
  /// Places at which one layer may stand.
  public static let placeCount = 4_096
  /// Inputs of a model.
  public static let inputCount = 4_096
  /// Outputs of a model.
  public static let outputCount = 4_096
  /// Inputs of one place of a layer that joins several.
  public static let layerInputCount = 4_096
  /// Bytes of UTF-8 of the name of a layer or of an input.
  public static let nameByteCount = 1_024

  // MARK: Files

  /// Bytes of a file's header: its tensors' names and shapes, and its metadata, the architecture included.
  public static let headerByteCount = 16 << 20
  /// Tensors of a file.
  public static let tensorCount = 100_000
  /// Bytes of UTF-8 of a tensor's name. A layer's longest name leaves room for the tensor's own.
  public static let tensorNameByteCount = 4_096

  // MARK: Arguments

  /// Hidden layers of a network that is built by its name.
  public static let hiddenLayerCount = 4_096
  /// Percentiles that are recorded of a layer.
  public static let percentileCount = 1_000
  /// Channels of images that are normalized while they are read.
  public static let imageChannelCount = 1 << 20
}
