"""The C API as one table: what ``include/martlet.h`` declares, in ctypes' words.

Constants, then structs, then functions, each in the header's order and under the header's names (constants without their
``MARTLET_``). ``tests/test_abi.py`` compares all of it with the header and with a C compiler's layout.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_char_p, c_double, c_float, c_int32, c_int64, c_size_t, c_uint64, c_void_p
from typing import Any

from ._errors import raise_for_status

# ---- Constants ---------------------------------------------------------------------------------------------------------

ABI_VERSION = 2
MAX_RANK = 16
MAX_NODES = 16384
MAX_PLACES = 4096
MAX_INPUTS = 4096
MAX_OUTPUTS = 4096
MAX_NAME_LENGTH = 1024
MAX_THREADS = 1024

OK = 0
INVALID_ARGUMENT = 1
SHAPE_MISMATCH = 2
INVALID_STATE = 3
UNSUPPORTED = 4
IO_ERROR = 5
CORRUPT_FILE = 6
OUT_OF_MEMORY = 7
CANCELLED = 8
INTERNAL_ERROR = 9
NOT_FINITE = 10

FLOAT32, FLOAT64, INT32, INT64, UINT8 = range(5)

ADD, SUBTRACT, MULTIPLY, DIVIDE, MAXIMUM, MINIMUM = range(6)
NEGATE, ABSOLUTE, SQUARE, SQUARE_ROOT, EXPONENTIAL, LOGARITHM = range(6)
IDENTITY, SIGMOID, TANH, RELU = range(4)
SUM, MEAN, REDUCE_MAXIMUM, REDUCE_MINIMUM = range(4)
ALL_AXES = 2**31 - 1

GLOROT_UNIFORM, GLOROT_NORMAL, HE_UNIFORM, HE_NORMAL, NORMAL, ZEROS, CONSTANT = range(7)
NORMALIZE_WITH_BATCH, NORMALIZE_WITH_MOVING = range(2)
SINGLE_VALUE_ERROR, SINGLE_VALUE_MOVING, SINGLE_VALUE_SKIP = range(3)
LAYER_NORM, RMS_NORM, GROUP_NORM, INSTANCE_NORM, FILTER_RESPONSE_NORM = range(5)
OVER_LAST, OVER_ALL = range(2)
PADDING_VALID, PADDING_SAME, PADDING_EXPLICIT = range(3)
FLATTEN_UNKNOWN, FLATTEN_CHANNELS_LAST, FLATTEN_CHANNELS_FIRST = range(3)
CONVOLUTION_AUTOMATIC, CONVOLUTION_DIRECT, CONVOLUTION_WINOGRAD = range(3)
SHORTCUT_DEFAULT, SHORTCUT_PARAMETER_FREE, SHORTCUT_PROJECTION = range(3)
PARAMETER, STATE = range(2)
POPULATION_SEQUENTIAL, POPULATION_ONE_PASS = range(2)
INFERENCE_FLOAT32, INFERENCE_FLOAT16 = range(2)
LOAD_MATCHED, LOAD_MISSING, LOAD_UNEXPECTED = range(3)
LAYER_UNCHANGED, LAYER_CHANGED, LAYER_FOLDED, LAYER_KEPT, LAYER_REMOVED = range(5)

LOSS_CROSS_ENTROPY, LOSS_MEAN_SQUARED_ERROR, LOSS_BINARY_CROSS_ENTROPY = range(3)
SGD, ADAM, ADAMW = range(3)
MICRO_BATCH_OWN, MICRO_BATCH_WHOLE = range(2)
EVENT_STEP, EVENT_EPOCH = range(2)
NONFINITE_ERROR, NONFINITE_SKIP = range(2)
SEVERITY_NOTE, SEVERITY_WARNING, SEVERITY_ERROR = range(3)

# ---- Structs -----------------------------------------------------------------------------------------------------------


class martlet_array(ctypes.Structure):
    _fields_ = [
        ("data", c_void_p),
        ("shape", POINTER(c_int64)),
        ("strides", POINTER(c_int64)),
        ("rank", c_int32),
        ("dtype", c_int32),
    ]


class martlet_view(ctypes.Structure):
    _fields_ = [
        ("data", c_void_p),
        ("shape", c_int64 * MAX_RANK),
        ("strides", c_int64 * MAX_RANK),
        ("rank", c_int32),
        ("dtype", c_int32),
    ]


class martlet_initializer(ctypes.Structure):
    _fields_ = [("kind", c_int32), ("reserved", c_int32), ("value", c_double)]


class martlet_dense_options(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("bias", c_int32),
        ("reserved", c_int32),
        ("weight_initializer", martlet_initializer),
        ("bias_initializer", martlet_initializer),
    ]


class martlet_batch_renormalization(ctypes.Structure):
    _fields_ = [
        ("enabled", c_int32),
        ("reserved", c_int32),
        ("r_max", c_double),
        ("d_max", c_double),
        ("r_ramp_begin", c_int64),
        ("r_ramp_end", c_int64),
        ("d_ramp_begin", c_int64),
        ("d_ramp_end", c_int64),
    ]


class martlet_batch_norm_options(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("epsilon", c_double),
        ("momentum", c_double),
        ("cumulative", c_int32),
        ("scale", c_int32),
        ("shift", c_int32),
        ("biased_moving_variance", c_int32),
        ("count_nonfinite_batches", c_int32),
        ("normalize_with", c_int32),
        ("updates_moving", c_int32),
        ("trains_scale_shift", c_int32),
        ("debiased", c_int32),
        ("single_value", c_int32),
        ("virtual_batch_size", c_int64),
        ("renormalization", martlet_batch_renormalization),
    ]


class martlet_normalization_options(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("kind", c_int32),
        ("over", c_int32),
        ("epsilon", c_double),
        ("groups", c_int64),
        ("scale", c_int32),
        ("shift", c_int32),
        ("threshold", c_int32),
        ("learn_epsilon", c_int32),
    ]


class martlet_convolution_options(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("strides", c_int64 * 2),
        ("dilation", c_int64 * 2),
        ("pads", c_int64 * 4),
        ("groups", c_int64),
        ("padding", c_int32),
        ("bias", c_int32),
        ("weight_initializer", martlet_initializer),
        ("bias_initializer", martlet_initializer),
        ("algorithm", c_int32),
        ("reserved", c_int32),
    ]


class martlet_pooling_options(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("strides", c_int64 * 2),
        ("pads", c_int64 * 4),
        ("padding", c_int32),
        ("count_includes_pad", c_int32),
    ]


class martlet_known_model_options(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("width", c_double),
        ("dropout", c_double),
        ("hidden", POINTER(c_int64)),
        ("hidden_count", c_int32),
        ("shortcut", c_int32),
        ("zero_last_scale", c_int32),
        ("residual_recipe", c_int32),
    ]


class martlet_layer_info(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("name", c_char_p),
        ("kind", c_char_p),
        ("parameter_count", c_int64),
        ("state_count", c_int64),
        ("output_shape", c_int64 * MAX_RANK),
        ("output_rank", c_int32),
        ("reserved", c_int32),
    ]


class martlet_tensor_info(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("name", c_char_p),
        ("kind", c_int32),
        ("trainable", c_int32),
        ("value", martlet_view),
        ("gradient", c_void_p),
    ]


class martlet_batch_norm_switches(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("normalize_with", c_int32),
        ("updates_moving", c_int32),
        ("trains_scale_shift", c_int32),
        ("reserved", c_int32),
    ]


class martlet_folding_difference(ctypes.Structure):
    _fields_ = [
        ("absolute", c_double),
        ("relative", c_double),
        ("bound", c_double),
        ("is_measured", c_int32),
        ("is_within_bound", c_int32),
    ]


class martlet_folding_layer(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("name", c_char_p),
        ("kind", c_char_p),
        ("detail", c_char_p),
        ("outcome", c_int32),
        ("reserved", c_int32),
        ("difference", martlet_folding_difference),
    ]


class martlet_optimizer_options(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("kind", c_int32),
        ("nesterov", c_int32),
        ("learning_rate", c_double),
        ("momentum", c_double),
        ("beta1", c_double),
        ("beta2", c_double),
        ("epsilon", c_double),
        ("weight_decay", c_double),
        ("decays_scale_shift_bias", c_int32),
        ("reserved", c_int32),
    ]


class martlet_check_options(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("batch_size", c_int64),
        ("optimizer", POINTER(martlet_optimizer_options)),
        ("targets", POINTER(martlet_array)),
        ("target_count", c_int32),
        ("loss", c_int32),
    ]


class martlet_finding(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("code", c_char_p),
        ("layer", c_char_p),
        ("message", c_char_p),
        ("advice", c_char_p),
        ("channels", POINTER(c_int64)),
        ("channel_count", c_int64),
        ("value", c_double),
        ("severity", c_int32),
        ("reserved", c_int32),
    ]


class martlet_shift_options(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("percentiles", POINTER(c_double)),
        ("percentile_count", c_int64),
        ("channel", c_int64),
        ("loss", c_int32),
        ("reserved", c_int32),
    ]


class martlet_shift_record(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("step", c_int64),
        ("layer", c_char_p),
        ("mean", c_double),
        ("deviation", c_double),
        ("percentiles", POINTER(c_double)),
        ("percentile_count", c_int64),
        ("gradient_change", c_double),
        ("gradient_cosine", c_double),
    ]


class martlet_result(ctypes.Structure):
    _fields_ = [("loss", c_double), ("correct", c_int64), ("rows", c_int64)]


class martlet_training_event(ctypes.Structure):
    _fields_ = [
        ("kind", c_int32),
        ("has_validation", c_int32),
        ("epoch", c_int64),
        ("epochs", c_int64),
        ("step", c_int64),
        ("steps", c_int64),
        ("training", martlet_result),
        ("validation", martlet_result),
    ]


#: Sums over all shards of a batch: the numbers, how many, payload.
martlet_all_reduce = ctypes.CFUNCTYPE(c_int32, POINTER(c_double), c_int64, c_void_p)

#: Batches as they come: pass, index, where the batch goes, payload.
martlet_batch_callback = ctypes.CFUNCTYPE(c_int32, c_int32, c_int64, POINTER(POINTER(martlet_array)), c_void_p)

martlet_training_callback = ctypes.CFUNCTYPE(c_int32, POINTER(martlet_training_event), c_void_p)


class martlet_image_normalization(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("count", c_int64),
        ("mean", POINTER(c_double)),
        ("standard_deviation", POINTER(c_double)),
    ]


class martlet_augmentation_options(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("crop_padding", c_int64),
        ("cutout", c_int64),
        ("flip", c_int32),
    ]


class martlet_fit_options(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("epochs", c_int64),
        ("batch_size", c_int64),
        ("shuffle", c_int32),
        ("drop_last", c_int32),
        ("seed", POINTER(c_uint64)),
        ("validation_inputs", POINTER(martlet_array)),
        ("validation_targets", POINTER(martlet_array)),
        ("callback", martlet_training_callback),
        ("payload", c_void_p),
        ("augmentation", POINTER(martlet_augmentation_options)),
        ("normalization", POINTER(martlet_image_normalization)),
        ("on_nonfinite", c_int32),
        ("reserved", c_int32),
    ]


#: Structs whose layout both sides must agree on.
STRUCTS: tuple[type[ctypes.Structure], ...] = (
    martlet_array,
    martlet_view,
    martlet_initializer,
    martlet_dense_options,
    martlet_batch_renormalization,
    martlet_batch_norm_options,
    martlet_normalization_options,
    martlet_convolution_options,
    martlet_pooling_options,
    martlet_known_model_options,
    martlet_layer_info,
    martlet_tensor_info,
    martlet_batch_norm_switches,
    martlet_folding_difference,
    martlet_folding_layer,
    martlet_optimizer_options,
    martlet_check_options,
    martlet_finding,
    martlet_shift_options,
    martlet_shift_record,
    martlet_result,
    martlet_training_event,
    martlet_image_normalization,
    martlet_augmentation_options,
    martlet_fit_options,
)


# Handles: incomplete structs, so that ctypes refuses one kind where another is expected.
class martlet_tensor(ctypes.Structure):
    pass


class martlet_statistics(ctypes.Structure):
    pass


class martlet_graph(ctypes.Structure):
    pass


class martlet_model(ctypes.Structure):
    pass


class martlet_load_report(ctypes.Structure):
    pass


class martlet_folding(ctypes.Structure):
    pass


class martlet_findings(ctypes.Structure):
    pass


class martlet_shift_recorder(ctypes.Structure):
    pass


class martlet_optimizer(ctypes.Structure):
    pass


class martlet_trainer(ctypes.Structure):
    pass


HANDLES: tuple[type[ctypes.Structure], ...] = (
    martlet_tensor,
    martlet_statistics,
    martlet_graph,
    martlet_model,
    martlet_folding,
    martlet_load_report,
    martlet_findings,
    martlet_shift_recorder,
    martlet_optimizer,
    martlet_trainer,
)

# ---- Functions ---------------------------------------------------------------------------------------------------------

Signature = tuple[Any, tuple[Any, ...], Any]


def _status(*arguments: Any) -> Signature:
    """A function that can fail: its error is raised."""
    return c_int32, arguments, raise_for_status


def _plain(result: Any, *arguments: Any) -> Signature:
    """A function that cannot fail."""
    return result, arguments, None


class array_pointer(c_void_p):
    """A pointer to ``martlet_array``: one of ctypes', or the struct as bytes (``_array.reference``)."""


_array = array_pointer
_view = POINTER(martlet_view)
_shape = POINTER(c_int64)
_floats = POINTER(c_float)
_names = POINTER(c_char_p)
_length = POINTER(c_size_t)
_node = POINTER(c_int32)
_normalization = POINTER(martlet_normalization_options)
_result = POINTER(martlet_result)
_tensor = POINTER(martlet_tensor)
_statistics = POINTER(martlet_statistics)
_graph = POINTER(martlet_graph)
_model = POINTER(martlet_model)
_folding = POINTER(martlet_folding)
_load_report = POINTER(martlet_load_report)
_findings = POINTER(martlet_findings)
_recorder = POINTER(martlet_shift_recorder)
_optimizer = POINTER(martlet_optimizer)
_trainer = POINTER(martlet_trainer)

#: Name -> (restype, argtypes, errcheck).
FUNCTIONS: dict[str, Signature] = {
    # Version, status, machine
    "martlet_abi_version": _plain(c_int32),
    "martlet_version": _plain(c_char_p),
    "martlet_last_error_message": _plain(c_char_p),
    "martlet_status_name": _plain(c_char_p, c_int32),
    "martlet_isa": _status(POINTER(c_char_p)),
    "martlet_available_isa_count": _plain(c_int32),
    "martlet_available_isa": _plain(c_char_p, c_int32),
    "martlet_set_num_threads": _status(c_int32),
    "martlet_num_threads": _plain(c_int32),
    # Tensors
    "martlet_tensor_create": _status(POINTER(_tensor), _array),
    "martlet_tensor_create_filled": _status(POINTER(_tensor), c_int32, _shape, c_float),
    "martlet_tensor_destroy": _plain(None, _tensor),
    "martlet_tensor_view": _status(_tensor, _view),
    "martlet_tensor_get": _status(_tensor, _shape, POINTER(c_float)),
    "martlet_tensor_set": _status(_tensor, _shape, c_float),
    "martlet_tensor_reshape": _status(POINTER(_tensor), _tensor, c_int32, _shape),
    "martlet_tensor_binary": _status(POINTER(_tensor), c_int32, _tensor, _tensor),
    "martlet_tensor_unary": _status(POINTER(_tensor), c_int32, _tensor),
    "martlet_tensor_activation": _status(POINTER(_tensor), c_int32, _tensor),
    "martlet_tensor_softmax": _status(POINTER(_tensor), _tensor),
    "martlet_tensor_matmul": _status(POINTER(_tensor), _tensor, _tensor, c_int32, c_int32),
    "martlet_matmul": _status(_array, _array, _array),
    "martlet_tensor_reduce": _status(POINTER(_tensor), c_int32, _tensor, c_int32),
    # Batch normalisation as a function
    "martlet_batch_norm": _status(_array, c_int32, c_double, c_int32, _array, _array, _array, _array, _array, _array, _array),
    "martlet_batch_norm_gradients": _status(
        _array, c_int32, c_double, c_int32, _array, _array, _array, _array, c_int32, _array, _array, _array, _array, _array
    ),
    "martlet_normalize": _status(_normalization, _array, _array, _array, _array, _array, _array),
    "martlet_normalize_gradients": _status(
        _normalization, _array, _array, _array, _array, _array, _array, _array, _array, _array, _array, _array
    ),
    "martlet_statistics_create": _status(POINTER(_statistics), c_int64),
    "martlet_statistics_destroy": _plain(None, _statistics),
    "martlet_statistics_add": _status(_statistics, _array, c_int32),
    "martlet_statistics_read": _status(_statistics, c_int32, _array, _array, POINTER(c_int64)),
    # Graphs
    "martlet_graph_create": _status(POINTER(_graph)),
    "martlet_graph_destroy": _plain(None, _graph),
    "martlet_graph_input": _status(_graph, c_char_p, c_int32, _shape, _node),
    "martlet_graph_dense": _status(_graph, c_char_p, c_int32, c_int64, POINTER(martlet_dense_options), _node),
    "martlet_graph_batch_norm": _status(_graph, c_char_p, c_int32, POINTER(martlet_batch_norm_options), _node),
    "martlet_graph_weighted_batch_norm": _status(
        _graph, c_char_p, c_int32, c_int32, POINTER(martlet_batch_norm_options), _node
    ),
    "martlet_graph_normalization": _status(_graph, c_char_p, c_int32, _normalization, _node),
    "martlet_graph_activation": _status(_graph, c_char_p, c_int32, c_int32, _node),
    "martlet_graph_softmax": _status(_graph, c_char_p, c_int32, _node),
    "martlet_graph_dropout": _status(_graph, c_char_p, c_int32, c_double, _node),
    "martlet_graph_flatten": _status(_graph, c_char_p, c_int32, _node),
    "martlet_graph_reshape": _status(_graph, c_char_p, c_int32, c_int32, _shape, _node),
    "martlet_graph_channels_last": _status(_graph, c_char_p, c_int32, _node),
    "martlet_graph_channels_first": _status(_graph, c_char_p, c_int32, _node),
    "martlet_graph_add": _status(_graph, c_char_p, _node, c_int32, _node),
    "martlet_graph_concatenate": _status(_graph, c_char_p, _node, c_int32, _node),
    "martlet_graph_apply_residual_recipe": _status(_graph, POINTER(c_int32), POINTER(c_int32)),
    "martlet_graph_apply": _status(_graph, c_int32, _node, c_int32, _node),
    "martlet_graph_input_normalization": _status(_graph, c_char_p, c_int32, c_double, _node),
    "martlet_graph_conv2d": _status(
        _graph, c_char_p, c_int32, c_int64, c_int64, c_int64, POINTER(martlet_convolution_options), _node
    ),
    "martlet_graph_conv1d": _status(_graph, c_char_p, c_int32, c_int64, c_int64, POINTER(martlet_convolution_options), _node),
    "martlet_graph_max_pool2d": _status(_graph, c_char_p, c_int32, c_int64, c_int64, POINTER(martlet_pooling_options), _node),
    "martlet_graph_avg_pool2d": _status(_graph, c_char_p, c_int32, c_int64, c_int64, POINTER(martlet_pooling_options), _node),
    "martlet_graph_max_pool1d": _status(_graph, c_char_p, c_int32, c_int64, POINTER(martlet_pooling_options), _node),
    "martlet_graph_avg_pool1d": _status(_graph, c_char_p, c_int32, c_int64, POINTER(martlet_pooling_options), _node),
    "martlet_graph_global_avg_pool2d": _status(_graph, c_char_p, c_int32, _node),
    "martlet_graph_global_avg_pool1d": _status(_graph, c_char_p, c_int32, _node),
    "martlet_graph_zero_pad2d": _status(_graph, c_char_p, c_int32, _shape, _node),
    "martlet_graph_upsample2d": _status(_graph, c_char_p, c_int32, c_int64, c_int64, _node),
    # Convolution as a function
    "martlet_convolution_shape": _status(_shape, _shape, _shape, POINTER(martlet_convolution_options)),
    "martlet_convolution": _status(_array, _array, _array, POINTER(martlet_convolution_options), _array),
    "martlet_convolution_gradients": _status(
        _array, _array, POINTER(martlet_convolution_options), _array, _array, _array, _array
    ),
    # Models
    "martlet_model_create": _status(POINTER(_model), _graph, _node, c_int32, _node, c_int32, c_uint64),
    "martlet_model_create_submodel": _status(POINTER(_model), _model, _names, c_int32),
    "martlet_model_clone": _status(POINTER(_model), _model),
    "martlet_model_destroy": _plain(None, _model),
    "martlet_known_model_count": _plain(c_int32),
    "martlet_known_model_name": _plain(c_char_p, c_int32),
    "martlet_model_build": _status(
        POINTER(_model), c_char_p, c_int32, _shape, c_int64, POINTER(martlet_known_model_options), c_uint64
    ),
    "martlet_model_input_count": _plain(c_int32, _model),
    "martlet_model_output_count": _plain(c_int32, _model),
    "martlet_model_input_shape": _status(_model, c_int32, _view),
    "martlet_model_output_shape": _status(_model, c_int32, _view),
    "martlet_model_layer_count": _plain(c_int32, _model),
    "martlet_model_layer_at": _status(_model, c_int32, POINTER(martlet_layer_info)),
    "martlet_model_architecture": _status(_model, c_char_p, c_size_t, _length),
    "martlet_model_tensor_count": _plain(c_int32, _model),
    "martlet_model_tensor_at": _status(_model, c_int32, POINTER(martlet_tensor_info)),
    "martlet_model_tensor_named": _status(_model, c_char_p, POINTER(martlet_tensor_info)),
    "martlet_model_tensor_spec_at": _status(_model, c_int32, POINTER(martlet_tensor_info)),
    "martlet_model_read_tensor": _status(_model, c_char_p, _array),
    "martlet_model_reorder_tensor": _status(POINTER(martlet_view), _model, c_char_p, _array, c_int32, c_int32),
    "martlet_model_set_tensors": _status(_model, _names, _array, c_int32, c_int32),
    "martlet_model_set_trainable": _status(_model, c_char_p, c_int32),
    "martlet_model_batch_norm_switches": _status(_model, c_char_p, POINTER(martlet_batch_norm_switches)),
    "martlet_model_set_batch_norm_switches": _status(_model, c_char_p, POINTER(martlet_batch_norm_switches)),
    "martlet_model_update_population_statistics": _status(_model, _array, c_int32, c_int64),
    "martlet_model_update_population_statistics_by": _status(_model, _array, c_int32, c_int64, c_int32),
    "martlet_model_update_population_statistics_from": _status(_model, c_int32, martlet_batch_callback, c_void_p),
    "martlet_model_fit_input_normalization": _status(_model, _array, c_int32, c_int64),
    "martlet_model_begin_statistics": _status(_model),
    "martlet_model_commit_statistics": _status(_model),
    "martlet_model_rollback_statistics": _status(_model),
    "martlet_model_set_all_reduce": _status(_model, martlet_all_reduce, c_void_p),
    "martlet_model_predict": _status(_model, _array, c_int32, c_int64, _array, c_int32),
    "martlet_model_set_inference_weights": _status(_model, c_int32),
    "martlet_model_inference_weights": _status(_model, POINTER(c_int32)),
    "martlet_model_predict_rows": _status(_model, _floats, c_int64, _floats),
    "martlet_model_forward": _status(_model, _array, c_int32, c_int32),
    "martlet_model_output": _status(_model, c_int32, _view),
    "martlet_model_backward": _status(_model, _array, c_int32, c_int32),
    "martlet_model_input_gradient": _status(_model, c_int32, _view),
    "martlet_model_plan": _status(_model, c_int64, c_int32, c_char_p, c_size_t, _length),
    "martlet_model_fold": _status(POINTER(_model), POINTER(_folding), _model, _array, c_int32),
    "martlet_folding_destroy": _plain(None, _folding),
    "martlet_folding_layer_count": _plain(c_int32, _folding),
    "martlet_folding_layer_at": _status(_folding, c_int32, POINTER(martlet_folding_layer)),
    "martlet_folding_output_count": _plain(c_int32, _folding),
    "martlet_folding_output_at": _status(_folding, c_int32, POINTER(martlet_folding_difference)),
    "martlet_folding_text": _status(_folding, c_char_p, c_size_t, _length),
    "martlet_model_save": _status(_model, c_char_p),
    "martlet_model_load": _status(POINTER(_model), c_char_p),
    "martlet_model_load_weights": _status(POINTER(_load_report), _model, c_char_p, c_int32, c_int32),
    "martlet_load_report_destroy": _plain(None, _load_report),
    "martlet_load_report_count": _plain(c_int32, _load_report, c_int32),
    "martlet_load_report_name": _plain(c_char_p, _load_report, c_int32, c_int32),
    # Losses and optimizers
    "martlet_loss": _status(c_int32, _array, _array, POINTER(c_double), POINTER(c_int64), _array),
    "martlet_optimizer_create": _status(POINTER(_optimizer), _model, POINTER(martlet_optimizer_options)),
    "martlet_optimizer_destroy": _plain(None, _optimizer),
    "martlet_optimizer_step": _status(_optimizer),
    "martlet_optimizer_learning_rate": _plain(c_double, _optimizer),
    "martlet_optimizer_set_learning_rate": _status(_optimizer, c_double),
    # Checking
    "martlet_model_check": _status(POINTER(_findings), _model, _array, c_int32, POINTER(martlet_check_options)),
    "martlet_findings_destroy": _plain(None, _findings),
    "martlet_findings_count": _plain(c_int32, _findings),
    "martlet_findings_at": _status(_findings, c_int32, POINTER(martlet_finding)),
    "martlet_findings_text": _status(_findings, c_char_p, c_size_t, _length),
    "martlet_shift_recorder_create": _status(POINTER(_recorder), _model, _names, c_int32, POINTER(martlet_shift_options)),
    "martlet_shift_recorder_destroy": _plain(None, _recorder),
    "martlet_shift_recorder_record": _status(_recorder, c_int64, _array, c_int32),
    "martlet_shift_recorder_before_update": _status(_recorder, c_int64, _array, c_int32, _array, c_int32, _array, c_int32),
    "martlet_shift_recorder_after_update": _status(_recorder, _array, c_int32, _array, c_int32),
    "martlet_shift_recorder_count": _plain(c_int64, _recorder),
    "martlet_shift_recorder_at": _status(_recorder, c_int64, POINTER(martlet_shift_record)),
    "martlet_shift_recorder_csv": _status(_recorder, c_char_p, c_size_t, _length),
    # Training
    "martlet_trainer_create": _status(POINTER(_trainer), _model, c_int32, POINTER(martlet_optimizer_options), c_uint64),
    "martlet_trainer_destroy": _plain(None, _trainer),
    "martlet_trainer_learning_rate": _plain(c_double, _trainer),
    "martlet_trainer_set_learning_rate": _status(_trainer, c_double),
    "martlet_trainer_epoch": _plain(c_int64, _trainer),
    "martlet_trainer_skipped_steps": _plain(c_int64, _trainer),
    "martlet_trainer_step": _status(_trainer, _array, c_int32, _array, c_int32, _result),
    "martlet_trainer_set_micro_batch_size": _status(_trainer, c_int64),
    "martlet_trainer_micro_batch_size": _plain(c_int64, _trainer),
    "martlet_trainer_step_micro_batches": _status(_trainer, c_int32, _array, _array, c_int32, _result),
    "martlet_trainer_evaluate": _status(_trainer, _array, c_int32, _array, c_int32, c_int64, _result),
    "martlet_model_set_image_normalization": _status(_model, POINTER(martlet_image_normalization)),
    "martlet_trainer_evaluate_normalized": _status(
        _trainer, _array, c_int32, _array, c_int32, c_int64, POINTER(martlet_image_normalization), _result
    ),
    "martlet_trainer_fit": _status(_trainer, _array, c_int32, _array, c_int32, POINTER(martlet_fit_options), _result),
}


def sized(struct: type[Any], **fields: Any) -> Any:
    """A struct with its ``struct_size`` set, and the given fields; the rest is zero."""
    return struct(struct_size=ctypes.sizeof(struct), **fields)
