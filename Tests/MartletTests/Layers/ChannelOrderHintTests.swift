import Testing

@testable import Martlet

/// Images whose axes are in another order get advice in the error.
struct ChannelOrderHintTests {
  @Test func rowsOfLayers() throws {
    expectError(.shapeMismatch, "the window spans 3", "looks like [channels, height, width]", "[28, 28, 1]") {
      _ = try Model.sequential([Conv2D(4, kernelSize: 3)], inputShape: [1, 28, 28])
    }
    #expect(ChannelOrderHint.forRow([3, 3, 64]).isEmpty)
    #expect(ChannelOrderHint.forRow([28, 28, 1]).isEmpty)
    #expect(ChannelOrderHint.forRow([28]).isEmpty)
  }

  @Test func batches() throws {
    let model = try Model.sequential([Flatten(), Dense(2)], inputShape: [8, 6, 3])
    let x = try Tensor(shape: [5, 3, 8, 6])
    expectError(.shapeMismatch, "[5, 3, 8, 6]", "channels-first data", "move axis 1 to the end") {
      _ = try model.predict(x)
    }
    #expect(ChannelOrderHint.forBatch([5, 8, 6, 3], row: [3, 8, 6]).contains("move the last axis to axis 1"))
    #expect(ChannelOrderHint.forBatch([8, 6, 3], row: [8, 6, 3]).contains("[1, 8, 6, 3]"))
    #expect(ChannelOrderHint.forBatch([5, 4], row: [3]).isEmpty)
    #expect(ChannelOrderHint.forBatch([5, 6, 8, 3], row: [8, 6, 3]).isEmpty)
    #expect(ChannelOrderHint.forBatch([], row: []).isEmpty)
  }
}
