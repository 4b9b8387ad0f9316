// The one error type of the library.

/// What went wrong, as a kind that programs can act on and a message that people can.
///
/// The message says what was expected, what came, in which argument, and what to do. Whatever threw it left its arguments as
/// they were.
public struct MartletError: Error, Equatable, CustomStringConvertible {
  /// The kinds, with the numbers of the C API's statuses.
  public enum Kind: Int32, Sendable, CaseIterable {
    /// A value outside its range, or an unknown name.
    case invalidArgument = 1
    /// A rank or dimension that does not fit.
    case shapeMismatch = 2
    /// The right call at the wrong moment: backward before forward.
    case invalidState = 3
    /// A data type or instruction set that this build or machine does not have.
    case unsupported = 4
    /// The file system said no.
    case inputOutput = 5
    /// The file is not a whole, honest model.
    case corruptFile = 6
    /// The memory asked for is not to be had.
    case outOfMemory = 7
    /// A callback asked to stop.
    case cancelled = 8
    /// A defect of this library.
    case internalError = 9
    /// A loss, gradient, parameter or statistic became NaN or infinite; what would have stored it was not done.
    case notFinite = 10
  }

  public let kind: Kind
  public let message: String

  public init(_ kind: Kind, _ message: String) {
    self.kind = kind
    self.message = message
  }

  public var description: String { message }

  static func invalidArgument(_ message: String) -> MartletError { MartletError(.invalidArgument, message) }
  static func shapeMismatch(_ message: String) -> MartletError { MartletError(.shapeMismatch, message) }
  static func invalidState(_ message: String) -> MartletError { MartletError(.invalidState, message) }
  static func notFinite(_ message: String) -> MartletError { MartletError(.notFinite, message) }
  static func corruptFile(_ message: String) -> MartletError { MartletError(.corruptFile, message) }
  static func inputOutput(_ message: String) -> MartletError { MartletError(.inputOutput, message) }
}
