// Header section: convolution as a function.
import CMartlet
import Martlet

extension ConvolutionFunction {
  /// The layer's options, without those of what the layer makes itself: bias and initial values.
  init(_ pointer: UnsafePointer<martlet_convolution_options>?) throws {
    self.init()
    guard let given = try options(pointer, "options") else { return }
    strides = Extent2D(given.strides)
    padding = try Padding(given.padding, given.pads)
    dilation = Extent2D(given.dilation)
    groups = Int(given.groups)
    algorithm = try ConvolutionAlgorithm(given)
  }
}

@_cdecl("martlet_convolution_shape") @implementation
public func martlet_convolution_shape(
  _ out_shape: UnsafeMutablePointer<Int64>!, _ x_shape: UnsafePointer<Int64>!, _ weight_shape: UnsafePointer<Int64>!,
  _ options: UnsafePointer<martlet_convolution_options>!
) -> martlet_status {
  boundary {
    let out = try require(out_shape, "out_shape")
    let found = try ConvolutionFunction(options).outputShape(
      x: shape(4, x_shape, "x_shape"), weight: shape(4, weight_shape, "weight_shape"))
    try store(found, in: out, capacity: 4)
  }
}

@_cdecl("martlet_convolution") @implementation
public func martlet_convolution(
  _ x: UnsafePointer<martlet_array>!, _ weight: UnsafePointer<martlet_array>!, _ bias: UnsafePointer<martlet_array>!,
  _ options: UnsafePointer<martlet_convolution_options>!, _ y: UnsafePointer<martlet_array>!
) -> martlet_status {
  boundary {
    try ConvolutionFunction(options).convolve(
      ArrayView(x, "x"), weight: ArrayView(weight, "weight"), bias: ArrayView.optional(bias, "bias"), into: ArrayView(y, "y"))
  }
}

@_cdecl("martlet_convolution_gradients") @implementation
public func martlet_convolution_gradients(
  _ x: UnsafePointer<martlet_array>!, _ weight: UnsafePointer<martlet_array>!,
  _ options: UnsafePointer<martlet_convolution_options>!, _ grad_output: UnsafePointer<martlet_array>!,
  _ grad_input: UnsafePointer<martlet_array>!, _ grad_weight: UnsafePointer<martlet_array>!,
  _ grad_bias: UnsafePointer<martlet_array>!
) -> martlet_status {
  boundary {
    try ConvolutionFunction(options).gradients(
      ArrayView(x, "x"), weight: ArrayView(weight, "weight"), gradOutput: ArrayView(grad_output, "grad_output"),
      into: ConvolutionFunction.Gradients(
        input: ArrayView.optional(grad_input, "grad_input"), weight: ArrayView.optional(grad_weight, "grad_weight"),
        bias: ArrayView.optional(grad_bias, "grad_bias")))
  }
}
