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

  /// Puts every value back.
  func restore() {
    for (variable, values) in copies {
      variable.storage.base.copyMemory(from: values.base, byteCount: values.byteCount)
      variable.didWrite()
    }
  }
}
