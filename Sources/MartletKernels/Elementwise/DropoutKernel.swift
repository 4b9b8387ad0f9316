// Dropout: each element is kept or dropped by a random number that belongs to its index.

/// What drops an element and what happens to the others.
public struct DropoutRule: Sendable {
  /// The key of the random numbers.
  public var key: UInt64
  /// An element is dropped where its 31 random bits are below this: its share of 2³¹ is the rate.
  public var threshold: Int32
  /// 1 / (1 − rate)
  public var scale: Float

  /// - Parameter rate: 0 ≤ rate < 1, taken as a multiple of 2⁻³¹.
  @inlinable
  public init(rate: Float, key: UInt64) {
    self.key = key
    threshold = Int32((Double(rate) * 0x1p31).rounded())
    scale = Float(1 / (1 - Double(rate)))
  }
}

/// `y (+)= keep(i) ? scale·x : 0` for elements first + i; `first` is a multiple of 32.
///
/// The random numbers are Philox4x32-10 (Salmon et al. 2011): a block of four 32-bit words a counter. Thirty-two elements share
/// eight blocks: element i takes word (i mod 2) + 2·(i/16 mod 2) of the block with counter (8·(i/32) + (i mod 16)/2, 0, 0).
/// In this order the words of neighbouring blocks, computed side by side in 64-bit lanes, are joined into neighbouring
/// elements without a shuffle, whatever the width of a vector. The upper 31 bits of the word decide.
/// Cost: about three instructions an element and vector lane.
@inlinable
func dropoutKernel<I: InstructionSet>(
  _ set: I.Type, _ x: UnsafePointer<Float>, first: Int, count: Int, _ rule: DropoutRule, into y: UnsafeMutablePointer<Float>,
  accumulate: Bool
) {
  let width = I.Words.scalarCount
  var lanes = I.Words(repeating: 0)
  for lane in 0..<width { lanes[lane] = UInt64(lane) }
  let scale = I.Vector(repeating: rule.scale)
  let threshold = I.Integer(repeating: rule.threshold)
  var group = 0
  while group < count {
    // Eight blocks, a register's worth at a time.
    var part = 0
    while part < 8 {
      let block = UInt64(truncatingIfNeeded: (first + group) / 4 + part)
      let words = philoxWords(set, counter: lanes &+ I.Words(repeating: block), key: rule.key)
      let near = group + 2 * part
      dropoutVector(set, words.0, x, near, count, threshold, scale, y, accumulate)
      dropoutVector(set, words.1, x, near + 16, count, threshold, scale, y, accumulate)
      part += width
    }
    group += 32
  }
}

/// One vector of `dropoutKernel`: elements from i on, as many as there are.
@inlinable @inline(always)
func dropoutVector<I: InstructionSet>(
  _ set: I.Type, _ words: I.Words, _ x: UnsafePointer<Float>, _ i: Int, _ count: Int, _ threshold: I.Integer,
  _ scale: I.Vector, _ y: UnsafeMutablePointer<Float>, _ accumulate: Bool
) {
  let rest = count - i
  if rest <= 0 { return }
  // The difference of two numbers of 31 bits has the sign of the comparison; spread over the lane, it is the mask.
  let bits = unsafeBitCast(words &>> I.Words(repeating: 1), to: I.Integer.self) & I.Integer(repeating: Int32.max)
  let dropped = (bits &- threshold) &>> I.Integer(repeating: 31)
  var value = I.vector(bits: I.bits(I.load(upTo: rest, x + i) * scale) & ~dropped)
  if accumulate { value += I.load(upTo: rest, y + i) }
  I.store(upTo: rest, value, y + i)
}

/// The blocks with 64-bit counters `counter` (the other two words are 0): words 0 and 1 of each in a lane of the first result,
/// words 2 and 3 in the second.
@inlinable @inline(always)
func philoxWords<I: InstructionSet>(_ set: I.Type, counter: I.Words, key: UInt64) -> (I.Words, I.Words) {
  let low = I.Words(repeating: 0xffff_ffff)
  let half = I.Words(repeating: 32)
  // Each word sits in the low half of a 64-bit lane; what products leave in the high half is cut off at the end.
  var c0 = counter & low
  var c1 = counter &>> half
  var c2 = I.Words(repeating: 0)
  var c3 = I.Words(repeating: 0)
  var k0 = key & 0xffff_ffff
  var k1 = key &>> 32
  for _ in 0..<10 {
    let p = I.product(c0, 0xD251_1F53)
    let q = I.product(c2, 0xCD9E_8D57)
    c0 = (q &>> half) ^ c1 ^ I.Words(repeating: k0)
    c2 = (p &>> half) ^ c3 ^ I.Words(repeating: k1)
    c1 = q
    c3 = p
    k0 = (k0 &+ 0x9E37_79B9) & 0xffff_ffff
    k1 = (k1 &+ 0xBB67_AE85) & 0xffff_ffff
  }
  return ((c1 &<< half) | (c0 & low), (c3 &<< half) | (c2 & low))
}
