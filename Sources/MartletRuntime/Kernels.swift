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
  public var obstacle: String? { fatalError("stub") }

  /// Its kernels. Only for a set whose `obstacle` is nil.
  public func makeTable() -> KernelTable { fatalError("stub") }

  /// The set `MARTLET_ISA` names, else the best that runs. Throws a message where the name is unknown or cannot run here.
  public static func chosen(environment name: String?) throws(KernelSetError) -> KernelSet { fatalError("stub") }
}

public struct KernelSetError: Error {
  public let message: String
}
