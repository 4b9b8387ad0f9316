import CMartletShims
import MartletKernels
import MartletKernelsBaseline
import MartletKernelsAVX2
import MartletKernelsAVX512
public func allTables() -> [KernelTable] { [makeBaselineTable(), makeAVX2Table(), makeAVX512Table()] }
