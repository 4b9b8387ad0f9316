// Header section: models, well-known networks by name.
import CMartlet
import Martlet

private let knownNames = CStrings(KnownNetwork.allCases.map(\.rawValue))

@_cdecl("martlet_known_model_count") @implementation
public func martlet_known_model_count() -> Int32 { Int32(KnownNetwork.allCases.count) }

@_cdecl("martlet_known_model_name") @implementation
public func martlet_known_model_name(_ index: Int32) -> UnsafePointer<CChar>! { knownNames[Int(index)] }

@_cdecl("martlet_model_build") @implementation
public func martlet_model_build(
  _ out: UnsafeMutablePointer<OpaquePointer?>!, _ name: UnsafePointer<CChar>!, _ rank: Int32,
  _ input_shape: UnsafePointer<Int64>!, _ classes: Int64, _ options: UnsafePointer<martlet_known_model_options>!, _ seed: UInt64
) -> martlet_status {
  makeModel(out) {
    let name = try text(name, "name")
    guard let network = KnownNetwork(rawValue: name) else {
      let known = KnownNetwork.allCases.map(\.rawValue).joined(separator: ", ")
      throw MartletError(.invalidArgument, "name must be one of \(known); \"\(name)\" came.")
    }
    let row = try shape(rank, input_shape, "input_shape", limit: Limits.rowRank)
    return try Model.build(network, inputShape: row, classes: Int(classes), options: NetworkOptions(options), seed: seed)
  }
}

extension martlet_known_model_options: SizedOptions {}

extension NetworkOptions {
  init(_ pointer: UnsafePointer<martlet_known_model_options>?) throws {
    self.init()
    guard let given = try options(pointer, "options") else { return }
    width = given.width
    // A NaN is no wish for the default.
    if !(given.dropout < 0) { dropout = given.dropout }
    hidden = try NetworkOptions.hidden(given)
    if Int(given.shortcut) != MARTLET_SHORTCUT_DEFAULT {
      guard let choice = Shortcut(rawValue: given.shortcut) else {
        throw MartletError(
          .invalidArgument,
          "options.shortcut must be MARTLET_SHORTCUT_DEFAULT (0), MARTLET_SHORTCUT_PARAMETER_FREE (1) or "
            + "MARTLET_SHORTCUT_PROJECTION (2); \(given.shortcut) came.")
      }
      shortcut = choice
    }
    zeroLastScale = try flag(given.zero_last_scale, "options.zero_last_scale")
    residualRecipe = try flag(given.residual_recipe, "options.residual_recipe")
  }

  private static func hidden(_ given: martlet_known_model_options) throws -> [Int]? {
    let count = given.hidden_count
    guard count >= 0, count <= Limits.hiddenLayerCount else {
      throw MartletError(
        .invalidArgument, "options.hidden_count: expected 0...\(Limits.hiddenLayerCount); got \(count).")
    }
    guard let units = given.hidden else {
      guard count == 0 else {
        throw MartletError(.invalidArgument, "options.hidden: NULL came with a hidden_count of \(count); NULL needs 0.")
      }
      return nil
    }
    return (0..<Int(count)).map { Int(units[$0]) }
  }
}
