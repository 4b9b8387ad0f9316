extension Reference {
  /// Each of the matrices [height, width] in x, one after the other, transposed.
  public static func transposed<Value>(_ x: [Value], height: Int, width: Int) -> [Value] {
    (0..<x.count / (height * width)).flatMap { matrix in
      (0..<width).flatMap { j in (0..<height).map { i in x[(matrix * height + i) * width + j] } }
    }
  }
}
