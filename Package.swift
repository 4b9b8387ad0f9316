// swift-tools-version: 6.2
// Targets in layer order, bottom first; every arrow points to a target above it in this file.
import PackageDescription

/// Lets the linker leave out what nobody calls: each function in a section of its own, and public ones not marked as retained. The
/// generic kernels, of which only their specialisations run, are an eighth of the library.
let strippable: SwiftSetting = .unsafeFlags(["-Xfrontend", "-function-sections", "-Xfrontend", "-internalize-at-link"])

/// Kernel code is optimised in debug builds too, and runs unchecked: every argument was checked by the layers above.
/// Without `-fno-math-errno` a square root is a branch to libm a lane and never a vector instruction.
let kernelFlags: SwiftSetting = .unsafeFlags(["-Ounchecked", "-Xcc", "-fno-math-errno"])

/// Compiler flags of one instruction set: code generation for it, and nothing wider.
///
/// As whole modules: an incremental (debug) build looks at a dependency's declarations only, and would keep the old kernels
/// after a change of an inlinable body.
func instructionSet(_ flags: [String]) -> [SwiftSetting] {
  [
    kernelFlags, strippable,
    .unsafeFlags(["-disable-batch-mode", "-wmo", "-num-threads", "1"] + flags.flatMap { ["-Xcc", $0] }),
  ]
}

#if arch(x86_64)
  let avx2 = instructionSet(["-mavx2", "-mfma", "-mf16c"])
  let avx512 = instructionSet([
    "-mavx512f", "-mavx512vl", "-mavx512dq", "-mavx512bw", "-mavx2", "-mfma", "-mprefer-vector-width=512",
  ])
#else
  let avx2 = instructionSet([])
  let avx512 = instructionSet([])
#endif

/// The dynamic library shows `martlet_*` and nothing else, so that it can live beside another copy of Swift's runtime.
let exportMap = Context.packageDirectory + "/include/martlet.map"

/// Functions that the library's own code, and Swift's runtime in it, call through CMartletMemory, which has memory put aside for the time
/// when the system has none.
let wrappedAllocators = [
  "malloc", "calloc", "realloc", "posix_memalign", "free", "malloc_usable_size", "_Znwm", "_ZdlPv", "_ZdlPvm",
]

/// Nothing of the C targets is exported; valgrind reads DWARF 4 of all its versions, and DWARF 5 not of all.
let cFlags: [CSetting] = [.unsafeFlags(["-fvisibility=hidden", "-gdwarf-4"])]

let package = Package(
  name: "martlet",
  platforms: [.macOS(.v15)],
  products: [
    .library(name: "Martlet", targets: ["Martlet"]),
    .library(name: "martlet", type: .dynamic, targets: ["MartletC"]),
  ],
  targets: [
    .target(name: "CMartletShims", cSettings: cFlags),
    .target(name: "CMartletMemory", dependencies: ["CMartletShims"], cSettings: cFlags),
    .target(name: "CMartletProcess", cSettings: cFlags),
    .target(name: "MartletKernels", swiftSettings: [kernelFlags, strippable]),
    .target(
      name: "MartletKernelsBaseline", dependencies: ["CMartletShims", "MartletKernels"], swiftSettings: instructionSet([])),
    .target(name: "MartletKernelsAVX2", dependencies: ["CMartletShims", "MartletKernels"], swiftSettings: avx2),
    .target(name: "MartletKernelsAVX512", dependencies: ["CMartletShims", "MartletKernels"], swiftSettings: avx512),
    .target(
      name: "MartletRuntime",
      dependencies: [
        "CMartletProcess", "CMartletShims", "MartletKernels", "MartletKernelsBaseline", "MartletKernelsAVX2",
        "MartletKernelsAVX512",
      ],
      swiftSettings: [strippable]),
    .target(
      name: "Martlet", dependencies: ["CMartletProcess", "CMartletShims", "MartletRuntime"], swiftSettings: [strippable]),
    .systemLibrary(name: "CMartlet", path: "include"),
    .target(
      name: "MartletC",
      dependencies: ["CMartlet", "CMartletMemory", "CMartletShims", "Martlet", "MartletRuntime"],
      swiftSettings: [strippable],
      linkerSettings: [
        .unsafeFlags(["-static-stdlib"]),
        // The default linker of the toolchain (gold) keeps protected Swift symbols in the dynamic table, version script or not.
        .unsafeFlags(["-use-ld=lld"], .when(platforms: [.linux])),
        .unsafeFlags(
          ["-Xlinker", "--version-script=\(exportMap)", "-Xlinker", "--gc-sections", "-Xlinker", "-z", "-Xlinker", "now"],
          .when(platforms: [.linux])),
        .unsafeFlags(wrappedAllocators.flatMap { ["-Xlinker", "--wrap=\($0)"] }, .when(platforms: [.linux])),
      ]),
    .executableTarget(name: "MartletExample", dependencies: ["Martlet"], path: "examples/swift"),
    .executableTarget(name: "MartletImagesExample", dependencies: ["Martlet"], path: "examples/swift-images"),
    .target(name: "BenchmarkPeak", path: "Benchmarks/Peak"),
    // MartletKernels is named although MartletRuntime brings it: without, a change of the tables' layout rebuilds neither of these.
    .executableTarget(
      name: "MartletBenchmarks", dependencies: ["CMartletShims", "MartletKernels", "MartletRuntime", "BenchmarkPeak"],
      path: "Benchmarks/Kernels"
    ),
    .target(name: "CAllocationCounter", path: "Tests/CAllocationCounter"),
    .executableTarget(
      name: "AllocationCheck", dependencies: ["CAllocationCounter", "Martlet"], path: "Tests/AllocationCheck"),
    // Optimised in debug builds too: naive references and random numbers are most of the tests' time.
    .target(
      name: "MartletTestSupport", dependencies: ["Martlet", "MartletRuntime"], path: "Tests/MartletTestSupport",
      swiftSettings: [.unsafeFlags(["-O"])]),
    .target(name: "ReferenceKernels", path: "Tests/ReferenceKernels", swiftSettings: [.unsafeFlags(["-O"])]),
    .testTarget(
      name: "KernelTests", dependencies: ["MartletKernels", "MartletRuntime", "ReferenceKernels", "MartletTestSupport"]),
    .testTarget(name: "MartletTests", dependencies: ["Martlet", "ReferenceKernels", "MartletTestSupport"]),
  ],
  swiftLanguageModes: [.v6]
)
