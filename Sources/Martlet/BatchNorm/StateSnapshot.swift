// What stood in variables before something that may yet be taken back.

/// Copies of some variables' values.
struct StateSnapshot {
  private let copies: [(variable: Variable, values: Storage)]

  init(of variables: [Variable]) throws {
    copies = try variables.map { variable in
      let copy = try Storage(byteCount: variable.storage.byteCount, isZeroed: false)
      copy.base.copyMemory(from: variable.storage.base, byteCount: variable.storage.byteCount)
      return (variable, copy)
    }
  }

  /// Takes the values as they are now in place of those taken before. Allocates nothing.
  func retake() {
    for (variable, values) in copies { values.base.copyMemory(from: variable.storage.base, byteCount: values.byteCount) }
  }

  /// Puts every value back.
  func restore() {
    for (variable, values) in copies {
      variable.storage.base.copyMemory(from: values.base, byteCount: values.byteCount)
      variable.didWrite()
    }
  }
}
