// A plan's smaller batches run in the workspaces of its largest: sizes must cover every smaller number of rows.
import MartletTestSupport
import Testing

@testable import MartletRuntime

@Suite struct WorkspaceTests {
  @Test func matrixWorkspaceCoversFewerRows() {
    var random = TestRandom(seed: 41)
    for (name, compute) in EveryCompute.ofOneThread {
      for _ in 0..<200 {
        let (columns, depth) = (Int.random(in: 1...1500, using: &random), Int.random(in: 1...1500, using: &random))
        let capacity = Int.random(in: 1...600, using: &random)
        let room = compute.multiplyWorkspaceByteCount(rows: capacity, columns: columns, depth: depth)
        for rows in Set([1, 2, 5, 6, 95, 96, 191, 192, capacity / 2, capacity - 1, capacity]) where 1...capacity ~= rows {
          let needed = MatrixBlocking(rows: rows, columns: columns, depth: depth, compute.kernels.matrix).neededByteCount
          #expect(needed <= room, "\(rows) of \(capacity) rows, \(columns) columns, depth \(depth), \(name)")
        }
        // The weights' gradient has the batch as its depth.
        let gradientRoom = compute.multiplyWorkspaceByteCount(rows: columns, columns: depth, depth: capacity)
        for batch in Set([1, capacity / 2, capacity]) where batch >= 1 {
          #expect(compute.multiplyWorkspaceByteCount(rows: columns, columns: depth, depth: batch) <= gradientRoom)
        }
      }
    }
  }

  @Test func otherWorkspacesGrowWithTheRows() {
    for (_, compute) in EveryCompute.ofOneThread {
      for channels in [1, 3, 8, 10, 33, 64, 100, 1000, 1024] {
        var last = (channel: 0, reduction: 0, loss: 0)
        for rows in [1, 2, 3, 7, 8, 31, 60, 64, 255, 256, 1000, 4096, 20_000, 262_144] {
          let now = (
            channel: compute.channelWorkspaceByteCount(ChannelShape(outer: rows, channels: channels)),
            reduction: compute.reductionWorkspaceByteCount(outer: 1, axis: rows, inner: channels),
            loss: compute.lossWorkspaceByteCount(rows: rows, columns: channels)
          )
          #expect(now.channel >= last.channel && now.reduction >= last.reduction && now.loss >= last.loss)
          last = now
        }
      }
    }
  }
}
