// Which kernels run here, and which one the process uses.
import CMartletShims
import MartletKernels
import MartletKernelsAVX2
import MartletKernelsAVX512
import MartletKernelsBaseline

/// The instruction sets this build has kernels for, best first.
public enum KernelSet: String, CaseIterable, Sendable {
  case avx512, avx2, baseline

  /// Nil if it runs on this machine; else why not ("this CPU has no AVX-512 (F, VL, DQ, BW)").
  public var obstacle: String? {
    switch self {
    case .baseline:
      return nil
    case .avx2:
      return obstacle("AVX2 with FMA", feature: UInt32(MARTLET_SHIMS_AVX2_FMA))
    case .avx512:
      return obstacle("AVX-512 (F, VL, DQ, BW)", feature: UInt32(MARTLET_SHIMS_AVX512))
    }
  }

  private func obstacle(_ name: String, feature: UInt32) -> String? {
    #if arch(x86_64)
      if martlet_shims_cpu_features() & feature != 0 { return nil }
      return "this CPU has no \(name), or its operating system does not save those registers"
    #else
      return "\(name) is for x86-64, and this build is not"
    #endif
  }

  /// Its kernels. Only for a set whose `obstacle` is nil.
  public func makeTable() -> KernelTable {
    switch self {
    case .avx512: return makeAVX512Table()
    case .avx2: return makeAVX2Table()
    case .baseline: return makeBaselineTable()
    }
  }

  /// The sets that run on this machine, best first; never empty.
  public static var available: [KernelSet] { allCases.filter { $0.obstacle == nil } }

  /// The set `MARTLET_ISA` names, else the best that runs. Throws a message where the name is unknown or cannot run here.
  ///
  /// - Parameter name: the variable's value; nil and "" both mean that nobody chose.
  public static func chosen(environment name: String?) throws(KernelSetError) -> KernelSet {
    guard let name, !name.isEmpty else { return available.first ?? .baseline }
    let known = allCases.map(\.rawValue).joined(separator: ", ")
    let here = available.map(\.rawValue).joined(separator: ", ")
    guard let set = KernelSet(rawValue: name) else {
      throw KernelSetError(
        message: "MARTLET_ISA is \"\(name)\", which names no instruction set. Known: \(known); this machine runs: \(here). "
          + "Use one of these, or unset MARTLET_ISA for the best.")
    }
    if let obstacle = set.obstacle {
      throw KernelSetError(
        message: "MARTLET_ISA is \"\(name)\", but \(obstacle). Known: \(known); this machine runs: \(here). "
          + "Use one of these, or unset MARTLET_ISA for the best.")
    }
    return set
  }
}

/// Why no instruction set could be chosen.
public struct KernelSetError: Error {
  public let message: String
}
