/* martlet.h: train and run batch-normalised neural networks on the CPU.
 *
 * This header is the whole C API and its documentation; the library exports nothing else.
 *
 * STATUS    Every function that can fail returns a martlet_status. On failure the outputs are unchanged, the objects
 *           passed are as they were, and martlet_last_error_message() says what was expected, what came, in which argument,
 *           and what to do. No function aborts, exits or prints.
 * OWNERSHIP *owned*: the caller destroys it with the matching ..._destroy (which takes NULL).
 *           *borrowed*: valid until its owner is destroyed or the next call that changes the owner.
 *           *caller's memory*: read or written during the call only, never kept.
 * THREADS   Distinct objects may be used on distinct threads freely. Calls that leave an object unchanged (const in its
 *           signature, and martlet_trainer_evaluate) may run on many threads at once. A call that changes it needs it alone, and
 *           a trainer's or optimizer's step needs the model alone too; submodels count as their model. Of two calls that exclude
 *           one another the second returns MARTLET_INVALID_STATE ("in use by another thread") and does nothing: the library never
 *           waits. A callback may use the objects of the call that it belongs to, on the thread on which it is called.
 *           Destroying an object is not guarded: first let every call that uses it return. Memory behind a martlet_view is not
 *           guarded either.
 * PROCESS   After fork() the child may go on with every object that no other thread of the parent was changing. The library may
 *           be closed with dlclose() when no call is in progress and nobody uses what it handed out; it ends its threads then.
 *           A call computes with round to nearest, denormal numbers and masked floating-point exceptions on all its threads,
 *           whatever the caller has set; the caller's control register and exception flags are given back, to callbacks as well.
 * OPTIONS   A struct of options starts with struct_size. Start from its ..._INIT macro; NULL means the defaults. Fields are
 *           only ever appended.
 * DATA      A dense batch is [rows, C], an image batch [N, H, W, C]: the channel is the last axis.
 * MEMORY    An allocation that fails makes the call return MARTLET_OUT_OF_MEMORY, with outputs and objects unchanged. What is as
 *           large as the data, the model or the file is checked one allocation at a time. Lists, names and the like, which Swift's
 *           runtime allocates and cannot do without, fall back to memory that the library has mapped before (4 MB of address
 *           space, untouched until then, and more while a file is read); a call for which that cannot be had is refused at its
 *           start. What remains: a program that runs out of memory on several threads at once, each in the middle of a call, may
 *           use up the fallback, and one in which the kernel ends processes instead of refusing memory is not told.
 * NULL      An argument may be NULL only where its description says so; elsewhere NULL is MARTLET_INVALID_ARGUMENT.
 */
#ifndef MARTLET_H
#define MARTLET_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Version, status, machine --------------------------------------------------------------------------------------- */

#define MARTLET_VERSION "0.1.0"
/* Changes whenever a program compiled against the older header could misbehave. */
#define MARTLET_ABI_VERSION 2
/* Limits of calls and files alike, which no real network comes near. Beyond them: MARTLET_SHAPE_MISMATCH for a rank,
 * MARTLET_INVALID_ARGUMENT for a count or a name, MARTLET_CORRUPT_FILE for a file. */
#define MARTLET_MAX_RANK        16    /* axes of an array; a row of a network has one less, for the batch is one */
#define MARTLET_MAX_NODES       16384 /* of a graph or model: its inputs and every place of every layer */
#define MARTLET_MAX_PLACES      4096  /* of one layer */
#define MARTLET_MAX_INPUTS      4096  /* of a model, and of one place of a layer that joins */
#define MARTLET_MAX_OUTPUTS     4096  /* of a model */
#define MARTLET_MAX_NAME_LENGTH 1024  /* of a layer or input, in bytes of UTF-8 */

typedef int32_t martlet_status;
enum {
  MARTLET_OK = 0,
  MARTLET_INVALID_ARGUMENT = 1, /* a value outside its range, a NULL, an unknown name */
  MARTLET_SHAPE_MISMATCH = 2,   /* a rank or dimension that does not fit */
  MARTLET_INVALID_STATE = 3,    /* right call, wrong moment: backward before forward */
  MARTLET_UNSUPPORTED = 4,      /* a dtype or instruction set that this build or machine does not have */
  MARTLET_IO_ERROR = 5,         /* the file system said no */
  MARTLET_CORRUPT_FILE = 6,     /* the file is not a whole, honest model */
  MARTLET_OUT_OF_MEMORY = 7,    /* out of memory; see MEMORY above */
  MARTLET_CANCELLED = 8,        /* a callback asked to stop */
  MARTLET_INTERNAL_ERROR = 9,   /* a defect of this library; please report it */
  MARTLET_NOT_FINITE = 10       /* a loss, gradient, parameter or statistic became NaN or infinite; it was not stored */
};

/* MARTLET_ABI_VERSION and MARTLET_VERSION of the loaded library. Never fail. Since ABI 1. */
int32_t martlet_abi_version(void);
const char *martlet_version(void);

/* The calling thread's last failure, in words; "" if it has had none. Never NULL. *Borrowed* until the thread's next failing
 * call. */
const char *martlet_last_error_message(void);
/* "MARTLET_OK", ...; "MARTLET_UNKNOWN_STATUS" for another number. Never NULL. */
const char *martlet_status_name(martlet_status status);

/* The instruction set in use: "avx512", "avx2" or "baseline"; the environment variable MARTLET_ISA, read once at first use,
 * forces one.
 * Returns MARTLET_UNSUPPORTED if MARTLET_ISA names one that is unknown or cannot run here (as does every function that
 * computes). */
martlet_status martlet_isa(const char **out_name);
/* The sets that run on this machine, best first: count, and the name at index (NULL outside 0..count-1). */
int32_t martlet_available_isa_count(void);
const char *martlet_available_isa(int32_t index);

/* Worker threads of the process, the caller's included. Results do not depend on it, to the bit.
 * Default: the environment variable MARTLET_NUM_THREADS; else the first number of OMP_NUM_THREADS; else the processors that the
 * process may use, but no more than its control groups (a container's quota) give it time for, rounded up. Read once, at first use.
 * A MARTLET_NUM_THREADS that is not a number in 1 ... MARTLET_MAX_THREADS makes every function that computes return
 * MARTLET_INVALID_ARGUMENT. Where the system refuses to start so many threads, fewer compute.
 * Returns MARTLET_INVALID_ARGUMENT unless 1 <= count <= MARTLET_MAX_THREADS. */
#define MARTLET_MAX_THREADS 1024
martlet_status martlet_set_num_threads(int32_t count);
int32_t martlet_num_threads(void);

/* ---- Arrays: the caller's memory, described ---------------------------------------------------------------------------- */

enum { MARTLET_FLOAT32 = 0, MARTLET_FLOAT64 = 1, MARTLET_INT32 = 2, MARTLET_INT64 = 3, MARTLET_UINT8 = 4 };

/* An array in *caller's memory*. An input may be of any dtype whose values fit (class labels: an integer dtype) and of any
 * strides, zero and negative ones included; an output is contiguous, and float32 unless its description says otherwise. A finite number that
 * float32 cannot hold is MARTLET_INVALID_ARGUMENT, named with its place; infinities and NaN are read as they are.
 * Memory: where contiguous float32 comes in, nothing is copied that need not be. */
typedef struct martlet_array {
  void *data;             /* NULL only if the array is empty */
  const int64_t *shape;   /* rank dimensions, each >= 0; NULL if rank is 0 */
  const int64_t *strides; /* steps between neighbours of each axis, in elements; NULL: contiguous, last axis fastest */
  int32_t rank;           /* 0 .. MARTLET_MAX_RANK */
  int32_t dtype;          /* MARTLET_FLOAT32 ... */
} martlet_array;

/* An array in the library's memory, *borrowed* from the object that gave it. */
typedef struct martlet_view {
  void *data;
  int64_t shape[MARTLET_MAX_RANK];
  int64_t strides[MARTLET_MAX_RANK]; /* in elements */
  int32_t rank;
  int32_t dtype;
} martlet_view;

/* ---- Tensors: arrays the library owns -------------------------------------------------------------------------------- */

/* A contiguous float32 array of any rank. */
typedef struct martlet_tensor martlet_tensor;

/* A copy of `source`, converted to float32. *out is owned. */
martlet_status martlet_tensor_create(martlet_tensor **out, const martlet_array *source);
/* Every element `value`. shape is *caller's memory*, NULL if rank is 0. */
martlet_status martlet_tensor_create_filled(martlet_tensor **out, int32_t rank, const int64_t *shape, float value);
void martlet_tensor_destroy(martlet_tensor *tensor);
/* Its memory; writable. *Borrowed* until the tensor is destroyed. */
martlet_status martlet_tensor_view(const martlet_tensor *tensor, martlet_view *out);
/* The element at `index` (rank numbers, each 0 <= i < dimension). */
martlet_status martlet_tensor_get(const martlet_tensor *tensor, const int64_t *index, float *out);
martlet_status martlet_tensor_set(martlet_tensor *tensor, const int64_t *index, float value);
/* The same elements under another shape of as many elements; a copy. */
martlet_status martlet_tensor_reshape(martlet_tensor **out, const martlet_tensor *x, int32_t rank, const int64_t *shape);

enum {
  MARTLET_ADD = 0,
  MARTLET_SUBTRACT = 1,
  MARTLET_MULTIPLY = 2,
  MARTLET_DIVIDE = 3,
  MARTLET_MAXIMUM = 4,
  MARTLET_MINIMUM = 5
};
/* out = a op b, element by element. Shapes: equal, or one of the two is [C] beside [..., C], or has a single element. */
martlet_status martlet_tensor_binary(martlet_tensor **out, int32_t operation, const martlet_tensor *a, const martlet_tensor *b);

enum {
  MARTLET_NEGATE = 0,
  MARTLET_ABSOLUTE = 1,
  MARTLET_SQUARE = 2,
  MARTLET_SQUARE_ROOT = 3,
  MARTLET_EXPONENTIAL = 4,
  MARTLET_LOGARITHM = 5
};
martlet_status martlet_tensor_unary(martlet_tensor **out, int32_t operation, const martlet_tensor *x);

enum { MARTLET_IDENTITY = 0, MARTLET_SIGMOID = 1, MARTLET_TANH = 2, MARTLET_RELU = 3 };
martlet_status martlet_tensor_activation(martlet_tensor **out, int32_t activation, const martlet_tensor *x);

/* Over the last axis: e^(x - max) / sum. */
martlet_status martlet_tensor_softmax(martlet_tensor **out, const martlet_tensor *x);

/* Matrix product of a [m, k] (or [k, m] with transpose_a) and b [k, n] (or [n, k] with transpose_b): [m, n]. */
martlet_status martlet_tensor_matmul(martlet_tensor **out, const martlet_tensor *a, const martlet_tensor *b,
                                     int32_t transpose_a, int32_t transpose_b);

/* The same on arrays in *caller's memory*, into `c` [m, n]: contiguous float32 that shares no memory with a or b. a [m, k] and b [k, n]
 * are read where they lie if they are float32 with a stride of 1 along either axis (a transposed view, or a part of a larger
 * matrix, too), else copied. k = 0 writes zeros. After an error c is unchanged. */
martlet_status martlet_matmul(const martlet_array *a, const martlet_array *b, const martlet_array *c);

enum { MARTLET_SUM = 0, MARTLET_MEAN = 1, MARTLET_REDUCE_MAXIMUM = 2, MARTLET_REDUCE_MINIMUM = 3 };
#define MARTLET_ALL_AXES INT32_MAX
/* Reduces one axis (negative: from the end), or all of them with MARTLET_ALL_AXES (a rank-0 result). Sums are gathered in
 * float64. The maximum or minimum of nothing is MARTLET_INVALID_ARGUMENT. */
martlet_status martlet_tensor_reduce(martlet_tensor **out, int32_t operation, const martlet_tensor *x, int32_t axis);

/* ---- Batch normalisation as a function ----------------------------------------------------------------------------------
 * y = scale * (x - mean) / sqrt(variance + epsilon) + shift, one of each per channel; the variance is the biased one (divided
 * by the number of values). channel_axis: -1 (last) or 1 (channels first), read in place. Source: Ioffe & Szegedy 2015. */

/* Normalises x into y (same shape; caller's memory; may be x itself). float64 and integers are measured and normalised in float64, and y is
 * rounded: numbers far from zero lose nothing.
 * mean, variance: both NULL: the batch's own are computed and used; both given ([C], float32 or float64): they are used.
 * scale, shift: [C], or NULL for 1 and 0.
 * out_mean, out_variance: NULL, or [C] float64 (or float32) that receive the statistics used.
 * Own statistics need 2 or more values a channel (MARTLET_INVALID_ARGUMENT). An empty x succeeds, writes an empty y and no
 * statistics. */
martlet_status martlet_batch_norm(const martlet_array *x, int32_t channel_axis, double epsilon, int32_t activation,
                                  const martlet_array *scale, const martlet_array *shift, const martlet_array *mean,
                                  const martlet_array *variance, const martlet_array *y, const martlet_array *out_mean,
                                  const martlet_array *out_variance);

/* Its gradients, given grad_output = dL/dy.
 * mean, variance: what the forward pass used (out_mean, out_variance); statistics_are_constant: 0 if they were the batch's own
 * and so depend on x, 1 if they were given.
 * scale, shift: those of the forward pass.
 * y: what the forward pass wrote, from which the activation's derivative is taken. May be NULL for MARTLET_IDENTITY, and for
 * MARTLET_RELU, whose derivative then follows from x, the statistics (exactly, if they are float64), scale and shift: one array
 * less to keep and to read. shift serves nothing else.
 * grad_input: the shape of x, or NULL; may be grad_output or y itself. grad_scale, grad_shift: [C], or NULL. */
martlet_status martlet_batch_norm_gradients(const martlet_array *x, int32_t channel_axis, double epsilon, int32_t activation,
                                            const martlet_array *scale, const martlet_array *shift, const martlet_array *mean,
                                            const martlet_array *variance, int32_t statistics_are_constant,
                                            const martlet_array *grad_output, const martlet_array *y,
                                            const martlet_array *grad_input, const martlet_array *grad_scale,
                                            const martlet_array *grad_shift);

/* Exact statistics of a whole data set, batch by batch: the mean of the pooled values and their variance, between-batch
 * variance included; they do not depend on how the data was cut into batches (beyond the last bits of float64). */
typedef struct martlet_statistics martlet_statistics;
martlet_status martlet_statistics_create(martlet_statistics **out, int64_t channels);
void martlet_statistics_destroy(martlet_statistics *statistics);
/* Adds a batch. channel_axis as above. float64 and integers are measured as they are, never rounded to float32 first. */
martlet_status martlet_statistics_add(martlet_statistics *statistics, const martlet_array *x, int32_t channel_axis);
/* mean, variance: [channels] float64; unbiased: divide by n - 1. out_count: values of each channel; may be NULL.
 * MARTLET_INVALID_STATE if there were too few values. */
martlet_status martlet_statistics_read(const martlet_statistics *statistics, int32_t unbiased, const martlet_array *mean,
                                       const martlet_array *variance, int64_t *out_count);

/* ---- Batch norm's relatives ---------------------------------------------------------------------------------------------
 * Normalisations of each sample by itself: no batch statistics, nothing that moves, the same in training and at inference.
 * docs/normalizations.md says which to use when. */

enum {
  /* y = scale * (x - mean) / sqrt(variance + epsilon) + shift over the channels of each position, or over each whole sample.
   * Source: Ba, Kiros & Hinton 2016. */
  MARTLET_LAYER_NORM = 0,
  /* y = scale * x / sqrt(mean of x^2 + epsilon) over the channels of each position. Source: Zhang & Sennrich 2019. */
  MARTLET_RMS_NORM = 1,
  /* As layer norm, over the positions and neighbouring channels of each group. Source: Wu & He 2018. */
  MARTLET_GROUP_NORM = 2,
  /* The same with a group for each channel; no running statistics. Source: Ulyanov, Vedaldi & Lempitsky 2016. */
  MARTLET_INSTANCE_NORM = 3,
  /* y = max(scale * x / sqrt(mean of x^2 over the positions + epsilon) + shift, threshold) of each channel: normalisation and
   * activation in one. Source: Singh & Krishnan 2020. */
  MARTLET_FILTER_RESPONSE_NORM = 4
};
enum { MARTLET_OVER_LAST = 0, MARTLET_OVER_ALL = 1 };
/* Begin with one of the macros. A field that the kind does not have keeps its 0. */
typedef struct martlet_normalization_options {
  size_t struct_size;
  int32_t kind;
  int32_t over;          /* layer norm: MARTLET_OVER_LAST (default; the channels) or MARTLET_OVER_ALL (all axes but the rows) */
  double epsilon;        /* > 0; default 1e-5; RMS norm and filter response norm 1e-6 */
  int64_t groups;        /* group norm: divides the channels, with 2 or more values in a group */
  int32_t scale;         /* learn gamma ("weight", starts at 1); default 1; instance norm 0 */
  int32_t shift;         /* learn beta ("bias", starts at 0); default 1; instance norm 0; RMS norm has none */
  int32_t threshold;     /* filter response norm: learn tau ("threshold", starts at 0), or cut off nothing; default 1 */
  int32_t learn_epsilon; /* filter response norm: learn e ("learned_epsilon", starts at 1e-4); epsilon + |e|; default 0 */
} martlet_normalization_options;
/* clang-format off */
#define MARTLET_LAYER_NORM_INIT \
  { sizeof(martlet_normalization_options), MARTLET_LAYER_NORM, MARTLET_OVER_LAST, 1e-5, 0, 1, 1, 0, 0 }
#define MARTLET_RMS_NORM_INIT \
  { sizeof(martlet_normalization_options), MARTLET_RMS_NORM, 0, 1e-6, 0, 1, 0, 0, 0 }
#define MARTLET_GROUP_NORM_INIT(group_count) \
  { sizeof(martlet_normalization_options), MARTLET_GROUP_NORM, 0, 1e-5, (group_count), 1, 1, 0, 0 }
#define MARTLET_INSTANCE_NORM_INIT \
  { sizeof(martlet_normalization_options), MARTLET_INSTANCE_NORM, 0, 1e-5, 0, 0, 0, 0, 0 }
#define MARTLET_FILTER_RESPONSE_NORM_INIT \
  { sizeof(martlet_normalization_options), MARTLET_FILTER_RESPONSE_NORM, 0, 1e-6, 0, 1, 1, 1, 0 }
/* clang-format on */

/* Normalises x ([rows, ..., C]) into y (same shape; caller's memory; may be x itself).
 * options: kind, over, groups and epsilon count; what is learned is said by the arrays: scale, shift, threshold,
 * learned_epsilon, [C] each (layer norm over all axes: the shape of a row), or NULL for 1, 0, nothing cut off, 0.
 * MARTLET_INVALID_ARGUMENT for an array that the kind does not have, MARTLET_SHAPE_MISMATCH for shapes, groups that do not
 * divide the channels, one value normalised by itself. y is unchanged then. An empty x succeeds. Since ABI 2. */
martlet_status martlet_normalize(const martlet_normalization_options *options, const martlet_array *x,
                                 const martlet_array *scale, const martlet_array *shift, const martlet_array *threshold,
                                 const martlet_array *learned_epsilon, const martlet_array *y);
/* Its gradients, given grad_output = dL/dy; the statistics are computed again. grad_input: the shape of x, or NULL; may be
 * grad_output itself. grad_scale ... grad_learned_epsilon: the shape of what they belong to, or NULL. Since ABI 2. */
martlet_status martlet_normalize_gradients(const martlet_normalization_options *options, const martlet_array *x,
                                           const martlet_array *scale, const martlet_array *shift,
                                           const martlet_array *threshold, const martlet_array *learned_epsilon,
                                           const martlet_array *grad_output, const martlet_array *grad_input,
                                           const martlet_array *grad_scale, const martlet_array *grad_shift,
                                           const martlet_array *grad_threshold, const martlet_array *grad_learned_epsilon);

/* ---- Graphs: what a network is ------------------------------------------------------------------------------------------
 * A graph is built node by node; a node is one layer applied to earlier nodes. A model is made of it and stays independent of
 * it. Names of layers and inputs are unique UTF-8 texts of 1 to MARTLET_MAX_NAME_LENGTH bytes without '/' and control
 * characters; NULL: the layer's kind and a number ("dense_1"). The tensors of a layer are named as in PyTorch's state
 * dictionaries: "<layer>.weight", "<layer>.running_mean". */

typedef struct martlet_graph martlet_graph;
/* A node's number in its graph. */
typedef int32_t martlet_node;

martlet_status martlet_graph_create(martlet_graph **out);
void martlet_graph_destroy(martlet_graph *graph);

/* A place where data comes in; shape is that of one row, without the batch axis. */
martlet_status martlet_graph_input(martlet_graph *graph, const char *name, int32_t rank, const int64_t *shape,
                                   martlet_node *out);

enum {
  MARTLET_GLOROT_UNIFORM = 0, /* +-sqrt(6 / (in + out)) */
  MARTLET_GLOROT_NORMAL = 1,  /* deviation sqrt(2 / (in + out)) */
  MARTLET_HE_UNIFORM = 2,     /* +-sqrt(6 / in) */
  MARTLET_HE_NORMAL = 3,      /* deviation sqrt(2 / in) */
  MARTLET_NORMAL = 4,         /* deviation `value` */
  MARTLET_ZEROS = 5,
  MARTLET_CONSTANT = 6 /* `value` */
};
typedef struct martlet_initializer {
  int32_t kind;
  int32_t reserved; /* 0 */
  double value;
} martlet_initializer;

typedef struct martlet_dense_options {
  size_t struct_size;
  int32_t bias;                           /* default 1 */
  int32_t reserved;                       /* 0 */
  martlet_initializer weight_initializer; /* default MARTLET_GLOROT_UNIFORM */
  martlet_initializer bias_initializer;   /* default MARTLET_ZEROS */
} martlet_dense_options;
/* clang-format off */
#define MARTLET_DENSE_OPTIONS_INIT \
  { sizeof(martlet_dense_options), 1, 0, {MARTLET_GLOROT_UNIFORM, 0, 0.0}, {MARTLET_ZEROS, 0, 0.0} }
/* clang-format on */
/* y = x * W^T + b on [rows, in]; W is "weight" [units, in], b is "bias" [units]. */
martlet_status martlet_graph_dense(martlet_graph *graph, const char *name, martlet_node input, int64_t units,
                                   const martlet_dense_options *options, martlet_node *out);

enum { MARTLET_NORMALIZE_WITH_BATCH = 0, MARTLET_NORMALIZE_WITH_MOVING = 1 };
enum {
  MARTLET_SINGLE_VALUE_ERROR = 0,  /* MARTLET_INVALID_ARGUMENT, with advice; nothing has changed */
  MARTLET_SINGLE_VALUE_MOVING = 1, /* the moving statistics normalise that batch, as constants, and do not follow it */
  MARTLET_SINGLE_VALUE_SKIP = 2    /* the same, and the batch's gradients of gamma and beta are 0; its input has a gradient */
};
/* Batch renormalisation (Ioffe 2017): y = gamma * ((x - mean) / sigma * r + d) + beta with the batch's mean and sigma,
 * r = sigma / sigma_moving within 1/r_max..r_max and d = (mean - mean_moving) / sigma_moving within +-d_max, sigma^2 = variance +
 * epsilon; for the gradient r and d are constants. The limits are 1 and 0 up to the begin of their ramp, and rise linearly to r_max
 * and d_max at its end; both are counted in batches that the moving statistics have followed. */
typedef struct martlet_batch_renormalization {
  int32_t enabled;      /* default 0 */
  int32_t reserved;     /* 0 */
  double r_max;         /* >= 1; default 3 */
  double d_max;         /* >= 0; default 5 */
  int64_t r_ramp_begin; /* 0 <= begin <= end; default 5000 */
  int64_t r_ramp_end;   /* default 40000 */
  int64_t d_ramp_begin; /* default 5000 */
  int64_t d_ramp_end;   /* default 25000 */
} martlet_batch_renormalization;
typedef struct martlet_batch_norm_options {
  size_t struct_size;
  double epsilon;                 /* > 0; default 1e-5 */
  double momentum;                /* weight of the previous moving statistic, 0..1; default 0.9. PyTorch's is 1 minus this */
  int32_t cumulative;             /* 1: the plain average of all batches instead of the moving average; default 0 */
  int32_t scale;                  /* learn gamma ("weight", starts at 1); default 1 */
  int32_t shift;                  /* learn beta ("bias", starts at 0); default 1 */
  int32_t biased_moving_variance; /* 1: the moving variance takes the biased batch variance; default 0: n/(n-1) times it */
  /* 1: a batch with a NaN or infinity enters the moving statistics like any other; default 0: it is skipped and counted in
   * "num_batches_skipped" */
  int32_t count_nonfinite_batches;
  int32_t normalize_with;     /* while training: MARTLET_NORMALIZE_WITH_BATCH (default) or _MOVING (frozen) */
  int32_t updates_moving;     /* training moves the moving statistics; default 1 */
  int32_t trains_scale_shift; /* training changes gamma and beta; default 1 */
  /* From here on 0 is the default, and struct_size may leave the fields out. */
  int32_t debiased;     /* 1: the moving statistics weigh the batches alone, not the 0 and 1 they start with */
  int32_t single_value; /* one value a channel while training: MARTLET_SINGLE_VALUE_ERROR (default), _MOVING or _SKIP */
  /* Training takes statistics over so many consecutive rows at a time, one virtual batch after the other; what is left has fewer
   * rows, or joins the one before it where it has one value a channel. 0: the whole batch */
  int64_t virtual_batch_size;
  martlet_batch_renormalization renormalization;
} martlet_batch_norm_options;
/* clang-format off */
#define MARTLET_BATCH_NORM_OPTIONS_INIT \
  { sizeof(martlet_batch_norm_options), 1e-5, 0.9, 0, 1, 1, 0, 0, 0, 1, 1, 0, MARTLET_SINGLE_VALUE_ERROR, 0, \
    {0, 0, 3.0, 5.0, 5000, 40000, 5000, 25000} }
/* clang-format on */
/* Normalises each channel (last axis) over the rest of the batch; at inference with the moving (or population) statistics
 * "running_mean" (starts at 0) and "running_var" (starts at 1). Training needs 2 or more values a channel, but for
 * options->single_value.
 *
 *   martlet_batch_norm_options options = MARTLET_BATCH_NORM_OPTIONS_INIT;
 *   options.virtual_batch_size = 32;
 *   options.renormalization.enabled = 1; */
martlet_status martlet_graph_batch_norm(martlet_graph *graph, const char *name, martlet_node input,
                                        const martlet_batch_norm_options *options, martlet_node *out);
/* The same with a node that says how often each position counts in the batch's statistics: a row of it has the shape of a row of
 * input without the channels, or with 1 in their place. With weights w of sum n: mean = sum w x / n, variance = sum w (x - mean)^2 / n,
 * the moving variance n/(n-1) times that, as if a position of weight 2 came twice and one of weight 0 (padding, which may hold anything
 * finite) not at all. What is not above 0 counts as 0. Every position is normalised. n < 2 is one value a channel (and
 * MARTLET_SINGLE_VALUE_ERROR means _MOVING then); n = 0 is an empty batch. Inference does not look at the weights; their gradient is 0. */
martlet_status martlet_graph_weighted_batch_norm(martlet_graph *graph, const char *name, martlet_node input,
                                                 martlet_node weights, const martlet_batch_norm_options *options,
                                                 martlet_node *out);
/* One of batch norm's relatives, by options->kind; options may not be NULL. Since ABI 2. */
martlet_status martlet_graph_normalization(martlet_graph *graph, const char *name, martlet_node input,
                                           const martlet_normalization_options *options, martlet_node *out);

/* One of MARTLET_SIGMOID, MARTLET_TANH, MARTLET_RELU. */
martlet_status martlet_graph_activation(martlet_graph *graph, const char *name, martlet_node input, int32_t activation,
                                        martlet_node *out);
/* Over the last axis. As the last layer of a model trained with MARTLET_LOSS_CROSS_ENTROPY it is taken together with the
 * loss. */
martlet_status martlet_graph_softmax(martlet_graph *graph, const char *name, martlet_node input, martlet_node *out);
/* While training, each element is zero with probability rate (0 <= rate < 1), else divided by 1 - rate; at inference the
 * identity. */
martlet_status martlet_graph_dropout(martlet_graph *graph, const char *name, martlet_node input, double rate,
                                     martlet_node *out);
/* [rows, a, b, ...] to [rows, a*b*...]. */
martlet_status martlet_graph_flatten(martlet_graph *graph, const char *name, martlet_node input, martlet_node *out);
/* The same values under another shape of one row; rank dimensions, one of which may be -1: what is left for it. */
martlet_status martlet_graph_reshape(martlet_graph *graph, const char *name, martlet_node input, int32_t rank,
                                     const int64_t *shape, martlet_node *out);
/* [rows, C, ...] to [rows, ..., C]: behind an input whose data comes channels first. Nothing else takes channels first. */
martlet_status martlet_graph_channels_last(martlet_graph *graph, const char *name, martlet_node input, martlet_node *out);
/* [rows, ..., C] to [rows, C, ...]: before a flatten whose order must be that of a channels-first model. */
martlet_status martlet_graph_channels_first(martlet_graph *graph, const char *name, martlet_node input, martlet_node *out);
/* The sum of 2..MARTLET_MAX_INPUTS inputs of one shape, element by element. inputs is *caller's memory*; a node may come twice. */
martlet_status martlet_graph_add(martlet_graph *graph, const char *name, const martlet_node *inputs, int32_t count,
                                 martlet_node *out);
/* The channels (last axis) of 2..MARTLET_MAX_INPUTS inputs side by side; the other axes are equal. */
martlet_status martlet_graph_concatenate(martlet_graph *graph, const char *name, const martlet_node *inputs, int32_t count,
                                         martlet_node *out);
/* The layer that made the node `layer`, applied once more, to other inputs: one set of parameters and state in two places. The
 * gradients of all places add up. MARTLET_INVALID_ARGUMENT if `layer` is an input, MARTLET_SHAPE_MISMATCH if these inputs would
 * need tensors of other shapes. */
martlet_status martlet_graph_apply(martlet_graph *graph, martlet_node layer, const martlet_node *inputs, int32_t count,
                                   martlet_node *out);
/* Brings raw features to mean 0 and deviation 1 with statistics fitted once by martlet_model_fit_input_normalization:
 * (x - mean) / sqrt(variance + epsilon); a feature that never varies becomes 0. Until it is fitted, training and
 * inference return MARTLET_INVALID_STATE. epsilon >= 0. */
martlet_status martlet_graph_input_normalization(martlet_graph *graph, const char *name, martlet_node input, double epsilon,
                                                 martlet_node *out);

/* -- images [height, width, channels] and sequences [length, channels] --
 * A window slides over the image: out = floor((length + before + after - dilation * (size - 1) - 1) / stride) + 1 on each axis.
 * Where it does not fit: MARTLET_SHAPE_MISMATCH, naming the axis. All sizes fit 32 bits. */
enum {
  MARTLET_PADDING_VALID = 0,   /* none */
  MARTLET_PADDING_SAME = 1,    /* out = ceil(length / stride); an odd one more at the bottom and the right */
  MARTLET_PADDING_EXPLICIT = 2 /* `pads` */
};
enum {
  MARTLET_CONVOLUTION_AUTOMATIC = 0, /* the fastest for the filters and one image, whatever the batch */
  MARTLET_CONVOLUTION_DIRECT = 1,    /* every product of the definition */
  /* F(2x2, 3x3), for a kernel of 3 x 3, strides and dilation 1, groups 1, else MARTLET_INVALID_ARGUMENT. Its error bound is up
   * to 3.2 times as large from 16 channels on (docs/numerics.md); NaN and infinity reach all four values of a 2 x 2 tile. */
  MARTLET_CONVOLUTION_WINOGRAD = 2
};
typedef struct martlet_convolution_options {
  size_t struct_size;
  int64_t strides[2];                     /* vertical, horizontal; >= 1; default 1, 1 */
  int64_t dilation[2];                    /* steps between the kernel's values; >= 1; default 1, 1 */
  int64_t pads[4];                        /* top, bottom, left, right, of zeros; >= 0; with MARTLET_PADDING_EXPLICIT */
  int64_t groups;                         /* divides the input's channels and filters; default 1 */
  int32_t padding;                        /* default MARTLET_PADDING_VALID */
  int32_t bias;                           /* default 1 */
  martlet_initializer weight_initializer; /* default MARTLET_GLOROT_UNIFORM */
  martlet_initializer bias_initializer;   /* default MARTLET_ZEROS */
  int32_t algorithm;                      /* of images; default MARTLET_CONVOLUTION_AUTOMATIC */
  int32_t reserved;                       /* 0 */
} martlet_convolution_options;
/* clang-format off */
#define MARTLET_CONVOLUTION_OPTIONS_INIT \
  { sizeof(martlet_convolution_options), {1, 1}, {1, 1}, {0, 0, 0, 0}, 1, MARTLET_PADDING_VALID, 1, \
    {MARTLET_GLOROT_UNIFORM, 0, 0.0}, {MARTLET_ZEROS, 0, 0.0}, MARTLET_CONVOLUTION_AUTOMATIC, 0 }
/* clang-format on */
/* y[h, w, o] = sum x[h * stride + i * dilation - pad, ..., c] * W[o, c, i, j] + b[o]; W is "weight" [filters, in / groups,
 * kernel_height, kernel_width], b is "bias" [filters]. groups = in = filters: depthwise. */
martlet_status martlet_graph_conv2d(martlet_graph *graph, const char *name, martlet_node input, int64_t filters,
                                    int64_t kernel_height, int64_t kernel_width, const martlet_convolution_options *options,
                                    martlet_node *out);
/* The same on sequences: W is [filters, in / groups, kernel_size]; of the options the horizontal ones count, the vertical ones
 * keep their defaults. */
martlet_status martlet_graph_conv1d(martlet_graph *graph, const char *name, martlet_node input, int64_t filters,
                                    int64_t kernel_size, const martlet_convolution_options *options, martlet_node *out);

typedef struct martlet_pooling_options {
  size_t struct_size;
  int64_t strides[2];         /* vertical, horizontal; default 0, 0: the window's size */
  int64_t pads[4];            /* top, bottom, left, right, less than the window; with MARTLET_PADDING_EXPLICIT */
  int32_t padding;            /* default MARTLET_PADDING_VALID */
  int32_t count_includes_pad; /* an average divides by the whole window, not by the values in the image; default 0 */
} martlet_pooling_options;
#define MARTLET_POOLING_OPTIONS_INIT \
  { sizeof(martlet_pooling_options), {0, 0}, {0, 0, 0, 0}, MARTLET_PADDING_VALID, 0 }
/* Each window's largest value, channel by channel; padding does not count, a NaN stays one. */
martlet_status martlet_graph_max_pool2d(martlet_graph *graph, const char *name, martlet_node input, int64_t height,
                                        int64_t width, const martlet_pooling_options *options, martlet_node *out);
/* Each window's mean. */
martlet_status martlet_graph_avg_pool2d(martlet_graph *graph, const char *name, martlet_node input, int64_t height,
                                        int64_t width, const martlet_pooling_options *options, martlet_node *out);
/* The same on sequences; of the options the horizontal ones count, the vertical ones keep their defaults. */
martlet_status martlet_graph_max_pool1d(martlet_graph *graph, const char *name, martlet_node input, int64_t size,
                                        const martlet_pooling_options *options, martlet_node *out);
martlet_status martlet_graph_avg_pool1d(martlet_graph *graph, const char *name, martlet_node input, int64_t size,
                                        const martlet_pooling_options *options, martlet_node *out);
/* The mean of each channel over the whole image, [rows, H, W, C] to [rows, C], or the whole sequence, [rows, L, C] to
 * [rows, C]. */
martlet_status martlet_graph_global_avg_pool2d(martlet_graph *graph, const char *name, martlet_node input, martlet_node *out);
martlet_status martlet_graph_global_avg_pool1d(martlet_graph *graph, const char *name, martlet_node input, martlet_node *out);
/* Zeros around each image: pads are top, bottom, left, right, each >= 0. */
martlet_status martlet_graph_zero_pad2d(martlet_graph *graph, const char *name, martlet_node input, const int64_t *pads,
                                        martlet_node *out);
/* Each pixel becomes a rectangle of its value; factors >= 1. */
martlet_status martlet_graph_upsample2d(martlet_graph *graph, const char *name, martlet_node input, int64_t factor_height,
                                        int64_t factor_width, martlet_node *out);

/* ---- Convolution as a function -------------------------------------------------------------------------------------------
 * What martlet_graph_conv2d's layer computes, to the bit, on arrays: x [N, height, width, in], weight [filters, in / groups,
 * kernel_height, kernel_width], bias [filters]. Contiguous float32 is read and written in place; any other input is copied
 * first. options: NULL for the defaults; bias and the initializers, which are the layer's, do not count. All results are
 * caller's memory, contiguous float32, and share none with the inputs or each other (MARTLET_INVALID_ARGUMENT); after a failure
 * they are unchanged. Shapes that do not fit: MARTLET_SHAPE_MISMATCH. */

/* The shape [N, out_height, out_width, filters] of y, of those of x and weight; four numbers each. */
martlet_status martlet_convolution_shape(int64_t *out_shape, const int64_t *x_shape, const int64_t *weight_shape,
                                         const martlet_convolution_options *options);
/* Convolves x into y. bias: NULL for 0. Without images (N = 0) nothing happens. */
martlet_status martlet_convolution(const martlet_array *x, const martlet_array *weight, const martlet_array *bias,
                                   const martlet_convolution_options *options, const martlet_array *y);
/* Its gradients, given grad_output = dL/dy. grad_input: the shape of x; grad_weight: that of weight; grad_bias: [filters]. Each
 * may be NULL, and costs nothing then. Without images those of weight and bias are 0. */
martlet_status martlet_convolution_gradients(const martlet_array *x, const martlet_array *weight,
                                             const martlet_convolution_options *options, const martlet_array *grad_output,
                                             const martlet_array *grad_input, const martlet_array *grad_weight,
                                             const martlet_array *grad_bias);

/* Prepares the residual network that stands in the graph so far, before martlet_model_create: (1) the last scale of each residual
 * branch starts at 0, so that each block starts as its shortcut: where martlet_graph_add's inputs meet, the one with the fewest
 * layers behind it is the shortcut, and every other one that is a batch norm's, read by nothing else, starts with gamma 0 (equally
 * deep: nothing changes); (2) a dense or convolutional layer that only batch norms of the batch's own statistics read loses its
 * bias, which their mean takes out again; (3) weight decay spares scale and shift: optimizers do so by default
 * (decays_scale_shift_bias). Call it on the complete graph; twice changes nothing more. Source: Goyal et al. 2017, section 5.1.
 * without_bias, zero_scales: how many layers lost their bias and how many batch norms start with gamma 0; NULL: not asked.
 * MARTLET_INVALID_ARGUMENT for a graph that is none. Since ABI 2. */
martlet_status martlet_graph_apply_residual_recipe(martlet_graph *graph, int32_t *without_bias, int32_t *zero_scales);

/* ---- Models -------------------------------------------------------------------------------------------------------------- */

typedef struct martlet_model martlet_model;

/* A model of the graph's nodes from inputs to outputs, its parameters drawn from seed. *out is owned; the graph may be
 * destroyed. */
martlet_status martlet_model_create(martlet_model **out, const martlet_graph *graph, const martlet_node *inputs,
                                    int32_t input_count, const martlet_node *outputs, int32_t output_count, uint64_t seed);
/* Another model of the same layers, whose outputs are the outputs of the named layers ("dense_1/2" is the second place of
 * "dense_1"): parameters and state are shared, both ways. It has the layers that these outputs need and no others, in lists, copies
 * and files. */
martlet_status martlet_model_create_submodel(martlet_model **out, const martlet_model *model, const char *const *layer_names,
                                             int32_t count);
/* An independent copy, parameters, state and switches included. */
martlet_status martlet_model_clone(martlet_model **out, const martlet_model *model);
void martlet_model_destroy(martlet_model *model);

/* -- well-known networks, by name --
 * Names, in the order of index (NULL outside 0..count-1): "mlp", "cnn", "lenet_bn", "resnet20", "resnet32", "resnet56" (CIFAR's
 * form), "resnet18" (ImageNet's), "vgg_bn" (VGG-16), "bn_inception", "mobilenet_v1". Never fail. */
int32_t martlet_known_model_count(void);
const char *martlet_known_model_name(int32_t index);
enum {
  MARTLET_SHORTCUT_DEFAULT = 0,        /* the papers' own: parameter-free for CIFAR's networks, a projection for resnet18 */
  MARTLET_SHORTCUT_PARAMETER_FREE = 1, /* option A: every other pixel, and zeros for the new channels */
  MARTLET_SHORTCUT_PROJECTION = 2      /* option B: a 1x1 convolution and a batch norm */
};
typedef struct martlet_known_model_options {
  size_t struct_size;
  double width;            /* multiplies every layer's channels; above 0, at most 64; default 1. Of all but mlp */
  double dropout;          /* 0 <= dropout < 1 before the last layer (vgg_bn: the last two); negative (default): the network's
                           * own, 0.5 for vgg_bn, 0 elsewhere. Of mlp, cnn, vgg_bn, bn_inception, mobilenet_v1 */
  const int64_t *hidden;   /* units of mlp's hidden layers, *caller's memory*; NULL (default): 100, 100, 100 */
  int32_t hidden_count;    /* 0..4096; 0 with NULL */
  int32_t shortcut;        /* of the residual networks; default MARTLET_SHORTCUT_DEFAULT */
  int32_t zero_last_scale; /* 1: every residual block's last batch norm starts with gamma 0; default 0 */
  int32_t residual_recipe; /* residual networks; 1: martlet_graph_apply_residual_recipe, zero_last_scale included; default 0 */
} martlet_known_model_options;
#define MARTLET_KNOWN_MODEL_OPTIONS_INIT \
  { sizeof(martlet_known_model_options), 1.0, -1.0, NULL, 0, MARTLET_SHORTCUT_DEFAULT, 0, 0 }
/* The network of that name for rows of the given shape, [height, width, channels] for all but mlp (which takes any), with
 * `classes` (>= 1) logits as output; its layer names are those of martlet_model_layer_at. An option that means nothing to the
 * network must keep its default.
 * MARTLET_INVALID_ARGUMENT for an unknown name or an option, MARTLET_SHAPE_MISMATCH for a shape that does not fit or images that
 * are too small, MARTLET_OUT_OF_MEMORY. *out is owned. Since ABI 2. */
martlet_status martlet_model_build(martlet_model **out, const char *name, int32_t rank, const int64_t *input_shape,
                                   int64_t classes, const martlet_known_model_options *options, uint64_t seed);

/* Inputs and outputs: how many, and the shape of one row of each (*borrowed* until the model is destroyed; dtype float32, data
 * NULL). */
int32_t martlet_model_input_count(const martlet_model *model);
int32_t martlet_model_output_count(const martlet_model *model);
martlet_status martlet_model_input_shape(const martlet_model *model, int32_t index, martlet_view *out);
martlet_status martlet_model_output_shape(const martlet_model *model, int32_t index, martlet_view *out);

/* Layers in the order they run. */
typedef struct martlet_layer_info {
  size_t struct_size;
  const char *name;                       /* borrowed until the model is destroyed */
  const char *kind;                       /* "dense", "batch_norm", "sigmoid", ... ; lasts for the process */
  int64_t parameter_count;                /* numbers that training may change */
  int64_t state_count;                    /* numbers kept beside them: moving statistics */
  int64_t output_shape[MARTLET_MAX_RANK]; /* of one row */
  int32_t output_rank;
  int32_t reserved;
} martlet_layer_info;
int32_t martlet_model_layer_count(const martlet_model *model);
/* info->struct_size must be set. */
martlet_status martlet_model_layer_at(const martlet_model *model, int32_t index, martlet_layer_info *info);
/* The architecture with all options as JSON (what martlet_model_save writes). buffer is *caller's memory* of capacity bytes and
 * may be NULL if capacity is 0; *out_length is the length without the closing NUL. Where it does not fit, nothing is written to
 * buffer, *out_length is set, and the status is MARTLET_OK. */
martlet_status martlet_model_architecture(const martlet_model *model, char *buffer, size_t capacity, size_t *out_length);

/* -- tensors: parameters and state -- */
enum { MARTLET_PARAMETER = 0, MARTLET_STATE = 1 };
typedef struct martlet_tensor_info {
  size_t struct_size;
  const char *name;   /* "0.weight"; borrowed until the model is destroyed */
  int32_t kind;       /* MARTLET_PARAMETER or MARTLET_STATE */
  int32_t trainable;  /* an optimizer changes it */
  martlet_view value; /* the memory itself, writable; float32, float64, or int64 for counters (rank 0) */
  void *gradient;     /* as large as value; NULL for state */
} martlet_tensor_info;
int32_t martlet_model_tensor_count(const martlet_model *model);
/* info->struct_size must be set. Inference keeps what it makes from a tensor's values (weights in the kernels' order, folded
 * batch norms) until they change. Whoever has been given the memory itself may write to it at any time: from then on what is
 * made from this tensor is made anew in every call, which costs single rows most. To read, call martlet_model_read_tensor; to
 * write, martlet_model_set_tensors; to look around, martlet_model_tensor_spec_at. */
martlet_status martlet_model_tensor_at(const martlet_model *model, int32_t index, martlet_tensor_info *info);
martlet_status martlet_model_tensor_named(const martlet_model *model, const char *name, martlet_tensor_info *info);
/* As martlet_model_tensor_at, but value.data is NULL: inference stays as fast as it was. */
martlet_status martlet_model_tensor_spec_at(const martlet_model *model, int32_t index, martlet_tensor_info *info);
/* Copies a tensor's values to out: *caller's memory*, of the tensor's shape, contiguous, float32 or float64 (for counters int64
 * too).
 * MARTLET_INVALID_ARGUMENT for an unknown name or strides, MARTLET_SHAPE_MISMATCH, MARTLET_UNSUPPORTED for another dtype; out
 * is unchanged then. May run while other threads predict. */
martlet_status martlet_model_read_tensor(const martlet_model *model, const char *name, const martlet_array *out);
/* Writes count tensors at once; all are checked before the first is written. strict: every tensor of the model must be named
 * (missing "num_batches_tracked" and "num_batches_skipped" count as 0). MARTLET_INVALID_ARGUMENT, naming tensor, channel and value,
 * for statistics that are not finite, negative variances and negative counters; from files too (martlet_model_load_weights, and
 * MARTLET_CORRUPT_FILE from martlet_model_load). */
martlet_status martlet_model_set_tensors(martlet_model *model, const char *const *names, const martlet_array *values,
                                         int32_t count, int32_t strict);
/* Where a flattened image puts its values: [H, W, C] here and in Keras, [C, H, W] in PyTorch. The columns of a dense layer behind
 * it follow, and the channels of a norm between. The shapes are the same in both orders: tensors of the other order give wrong
 * results without an error. martlet_model_set_tensors and martlet_model_read_tensor take and give the order of this library. */
enum { MARTLET_FLATTEN_UNKNOWN = 0, MARTLET_FLATTEN_CHANNELS_LAST = 1, MARTLET_FLATTEN_CHANNELS_FIRST = 2 };
/* Puts the values of the named tensor in another order, in place; a tensor that is the same in both orders stays as it is. values:
 * *caller's memory*, contiguous, of the tensor's shape. from: the order of values; to: CHANNELS_LAST before
 * martlet_model_set_tensors, CHANNELS_FIRST for PyTorch. out (may be NULL): values in the new order; the shape differs for a layer
 * norm over whole images alone ([C, H, W] or [H, W, C]).
 * MARTLET_INVALID_ARGUMENT, with the layer's name: from is UNKNOWN and it matters (values are not looked at then), or PyTorch's
 * order cannot be told; an unknown name; strides. MARTLET_SHAPE_MISMATCH. values are unchanged then. Since ABI 2. */
martlet_status martlet_model_reorder_tensor(martlet_view *out, const martlet_model *model, const char *name,
                                            const martlet_array *values, int32_t from, int32_t to);
/* Whether optimizers change the named parameter. Kept with the model. */
martlet_status martlet_model_set_trainable(martlet_model *model, const char *tensor_name, int32_t trainable);

/* -- batch norm's switches; kept with the model -- */
typedef struct martlet_batch_norm_switches {
  size_t struct_size;
  int32_t normalize_with;     /* while training: MARTLET_NORMALIZE_WITH_BATCH or MARTLET_NORMALIZE_WITH_MOVING */
  int32_t updates_moving;     /* training moves the moving statistics */
  int32_t trains_scale_shift; /* training changes gamma and beta */
  int32_t reserved;
} martlet_batch_norm_switches;
/* out->struct_size must be set. layer_name NULL in _set: every batch norm of the model. */
martlet_status martlet_model_batch_norm_switches(const martlet_model *model, const char *layer_name,
                                                 martlet_batch_norm_switches *out);
martlet_status martlet_model_set_batch_norm_switches(martlet_model *model, const char *layer_name,
                                                     const martlet_batch_norm_switches *switches);
/* Replaces every batch norm's moving statistics by the exact ones of its inputs over a whole data set, layer by layer, the
 * layers before it at inference with their exact statistics: the result does not depend on batch_size (beyond float32
 * rounding). */
martlet_status martlet_model_update_population_statistics(martlet_model *model, const martlet_array *inputs,
                                                          int32_t input_count, int64_t batch_size);
/* How the layers before a batch norm run while its population statistics are measured. */
enum {
  MARTLET_POPULATION_SEQUENTIAL = 0, /* at inference, with the statistics found for them: a pass for each batch norm */
  MARTLET_POPULATION_ONE_PASS = 1    /* as in training, by each batch's own statistics: one pass in all */
};
/* martlet_model_update_population_statistics by a MARTLET_POPULATION_... method. Batches are pooled by their size, a layer in several
 * places over all of them. By ONE_PASS the result depends on batch_size, as training does; a batch of one value per channel (a last row
 * left over) is normalised by what was found up to it, itself included, and is refused as the first: MARTLET_INVALID_ARGUMENT. batch_size 0:
 * chosen. After any error no statistic has changed. Since ABI 2. */
martlet_status martlet_model_update_population_statistics_by(martlet_model *model, const martlet_array *inputs,
                                                             int32_t input_count, int64_t batch_size, int32_t method);
/* Gives a batch: sets *out_inputs to as many arrays as the model has inputs, *caller's memory* until the next call, or leaves it NULL
 * behind the last. pass and index count from 0; every pass must give the same rows. On the calling thread; may call
 * martlet_model_predict. Non-zero stops: the function returns MARTLET_CANCELLED. */
typedef int32_t (*martlet_batch_callback)(int32_t pass, int64_t index, const martlet_array **out_inputs, void *payload);
/* The same over batches as they come. Passes: one for each batch norm by SEQUENTIAL, a single one by ONE_PASS. Empty batches do not
 * count. After any error, a stop included, no statistic has changed. Since ABI 2. */
martlet_status martlet_model_update_population_statistics_from(martlet_model *model, int32_t method,
                                                               martlet_batch_callback next, void *payload);
/* Fits every InputNormalization layer on a whole data set in one exact pass each. A layer directly behind an input measures the caller's
 * numbers themselves, and normalises them in every run: float64 and integers far from zero are not rounded to float32 first. */
martlet_status martlet_model_fit_input_normalization(martlet_model *model, const martlet_array *inputs, int32_t input_count,
                                                     int64_t batch_size);

/* -- transactions of statistics: what moves between begin and rollback is undone -- */
/* begin remembers every statistic: moving means and variances, batch counters, what input normalisation was fitted to. rollback puts
 * them back, to the bit; commit leaves them as they are. Transactions nest: each ends the last one begun. Submodels share them, a clone has
 * none. Parameters and optimizers have no part in it. commit, rollback: MARTLET_INVALID_STATE if none is open. Since ABI 2. */
martlet_status martlet_model_begin_statistics(martlet_model *model);
martlet_status martlet_model_commit_statistics(martlet_model *model);
martlet_status martlet_model_rollback_statistics(martlet_model *model);

/* -- one batch in shards, on several threads or machines -- */
/* Replaces each of count numbers by its sum over all shards: all of them call it the same number of times, in the same order, and get the
 * same bits; it returns when the sums are there. On the calling thread. Non-zero: the call that needed it returns MARTLET_CANCELLED, with
 * parameters, gradients and statistics as before it (in a fit, before its last step); the other shards' calls must fail, too, or they
 * wait. The model is in the middle of a run then: its own forward, backward, step, fit and set_all_reduce return MARTLET_INVALID_STATE
 * from here. sums are the library's memory. */
typedef int32_t (*martlet_all_reduce)(double *sums, int64_t count, void *payload);
/* Has the model train as one shard of a larger batch; NULL: alone, as at first. Training with martlet_model_forward exchanges for each batch
 * norm that follows batches 2C + 1 sums (values per channel, sum x, sum x^2), martlet_model_backward 2C where the input's gradient is wanted:
 * statistics are those of all shards, parameters' gradients this shard's part. martlet_trainer_step adds those up, too (first it exchanges the
 * rows, last loss, hits and gradients), and its result is of all shards, as is a fit's, in which all must make as many steps; micro-batches are
 * MARTLET_UNSUPPORTED then. Inference exchanges nothing. Shards may have any number of rows, none as well; the result is one large batch's up to
 * rounding. Submodels share the setting, clones and files have none; payload must live as long as they and their trainers.
 * MARTLET_UNSUPPORTED for virtual batches. Since ABI 2. */
martlet_status martlet_model_set_all_reduce(martlet_model *model, martlet_all_reduce all_reduce, void *payload);

/* -- running -- */
/* Inference over any number of rows, batch_size at a time (0: chosen). outputs: *caller's memory*, [rows, ...] float32 each.
 * Any number of threads may call this on one model at once. A row's result does not depend on the rows beside it. No rows:
 * success. */
martlet_status martlet_model_predict(const martlet_model *model, const martlet_array *inputs, int32_t input_count,
                                     int64_t batch_size, const martlet_array *outputs, int32_t output_count);
/* How inference keeps the weights of Dense layers; the model's own stay float32, files do not hold the choice. */
enum {
  MARTLET_INFERENCE_FLOAT32 = 0, /* as they are; the default */
  /* Each rounded to the nearest half-precision number, after a power of two for each output: half the memory to read, which is all the
   * time that a single row takes. |w' - w| <= 2^-11 |w| + 2^-33 max |w|, the largest over the weights of the same output, so an output before
   * bias and activation differs by at most 2^-11 * sum |w x| + 2^-33 * max |w| * sum |x|. Sums stay float32. A layer keeps float32 that has a
   * weight that is not finite, or an output whose weights are all below 2^-118; martlet_model_plan says which layers have what. */
  MARTLET_INFERENCE_FLOAT16 = 1
};
/* Call it while no other thread predicts. Submodels share the choice, clones copy it. */
martlet_status martlet_model_set_inference_weights(martlet_model *model, int32_t format);
martlet_status martlet_model_inference_weights(const martlet_model *model, int32_t *out);
/* martlet_model_predict, to the bit, of a model with one input and one output: rows of float32, one after the other, from input
 * to output (*caller's memory*, which must not overlap). The least there is to do for one row: nothing is allocated after the
 * first call.
 * MARTLET_INVALID_ARGUMENT for a model of several inputs or outputs, negative rows, or memory that overlaps or does not lie at
 * a multiple of 4 bytes. */
martlet_status martlet_model_predict_rows(const martlet_model *model, const float *input, int64_t rows, float *output);
/* One batch by hand. training: 1 keeps what backward needs, uses batch statistics, drops out and moves the moving
 * statistics. */
martlet_status martlet_model_forward(martlet_model *model, const martlet_array *inputs, int32_t input_count, int32_t training);
/* Output of the last forward. *Borrowed* until the next forward, backward, trainer step or destroy. */
martlet_status martlet_model_output(const martlet_model *model, int32_t index, martlet_view *out);
/* Gradients of the last training forward, given dL/d(output) of each output. accumulate: 0 overwrites the parameters'
 * gradients, 1 adds. MARTLET_INVALID_STATE if the last forward was not in training or was already used. */
martlet_status martlet_model_backward(martlet_model *model, const martlet_array *grad_outputs, int32_t output_count,
                                      int32_t accumulate);
/* dL/d(input) after backward. *Borrowed* as martlet_model_output. */
martlet_status martlet_model_input_gradient(const martlet_model *model, int32_t index, martlet_view *out);
/* What one batch runs, as text for people: a line for each step with the layers that became one, the shape of the output, the bytes
 * of its buffers and, in training, what stays for the backward pass; then the arena that holds them all, and what they would take
 * without sharing memory. "0 dense, moments": as it writes its output, it gathers the mean and variance that the batch norm behind it
 * needs. buffer as in martlet_model_architecture. */
martlet_status martlet_model_plan(const martlet_model *model, int64_t batch_size, int32_t training, char *buffer,
                                  size_t capacity, size_t *out_length);

/* -- folding: an inference model whose batch norms are part of the weights beside them, for good -- */
/* What became of a layer: as it was; weights changed, for it took batch norms in; a batch norm that went into another layer; a
 * batch norm that could not (detail says why); a dropout, which does nothing at inference. */
enum {
  MARTLET_LAYER_UNCHANGED = 0,
  MARTLET_LAYER_CHANGED = 1,
  MARTLET_LAYER_FOLDED = 2,
  MARTLET_LAYER_KEPT = 3,
  MARTLET_LAYER_REMOVED = 4
};
/* What folding did, and how far the outputs are from those of the unfolded model. */
typedef struct martlet_folding martlet_folding;
/* A difference between both models on the data. */
typedef struct martlet_folding_difference {
  double absolute;         /* largest |folded - unfolded| */
  double relative;         /* absolute over the largest |unfolded| */
  double bound;            /* what rounding alone can make of the differences in the values just before; may be infinite */
  int32_t is_measured;     /* 0: there was no data, or the value is not in memory in both models; the numbers are 0 then */
  int32_t is_within_bound; /* no channel's difference is above that channel's bound; 1 if not measured */
} martlet_folding_difference;
typedef struct martlet_folding_layer {
  size_t struct_size;
  const char *name;   /* borrowed until the martlet_folding is destroyed, as the next two */
  const char *kind;   /* "batch_norm" */
  const char *detail; /* for people: "folded into \"conv_1\" (conv2d)" */
  int32_t outcome;    /* MARTLET_LAYER_UNCHANGED ... */
  int32_t reserved;
  martlet_folding_difference difference; /* of its output */
} martlet_folding_layer;

/* A model with the same outputs at inference and fewer layers: every batch norm that can goes into the dense layer or convolution
 * before it (w * m, (b - mean) * m + shift; m = scale / sqrt(variance + epsilon)), else into the one behind it (w * m, b + sum
 * w * (shift - mean * m)), across flatten and reshape where they keep channels apart; a missing bias is made; dropouts vanish.
 * Norms stay where neither neighbour has weights, where somebody else reads the value or the layer before, where it is an output,
 * and before a convolution that pads. Computed in float64, each weight rounded once.
 * *out is owned and independent of model, which is unchanged. *out_folding (owned) may be NULL if it is not wanted.
 * data: as the inputs of martlet_model_predict, on which both models are compared layer by layer; NULL with data_count 0: they
 * are not compared.
 * MARTLET_SHAPE_MISMATCH for data that does not fit, MARTLET_INVALID_ARGUMENT for no rows or values that are not finite. May run
 * while other threads predict. Since ABI 2. */
martlet_status martlet_model_fold(martlet_model **out, martlet_folding **out_folding, const martlet_model *model,
                                  const martlet_array *data, int32_t data_count);
void martlet_folding_destroy(martlet_folding *folding);
/* The layers of the unfolded model in the order they run (info->struct_size must be set), and its outputs. */
int32_t martlet_folding_layer_count(const martlet_folding *folding);
martlet_status martlet_folding_layer_at(const martlet_folding *folding, int32_t index, martlet_folding_layer *info);
int32_t martlet_folding_output_count(const martlet_folding *folding);
martlet_status martlet_folding_output_at(const martlet_folding *folding, int32_t index, martlet_folding_difference *out);
/* All of it as text for people. buffer as in martlet_model_architecture. */
martlet_status martlet_folding_text(const martlet_folding *folding, char *buffer, size_t capacity, size_t *out_length);

/* -- files: safetensors, the architecture as JSON in its metadata -- */
/* Written beside path, synced, renamed: path holds the old file or the new one, never a part. Of a submodel, its own layers.
 * MARTLET_INVALID_ARGUMENT for a path with the ending of another format (.h5, .keras, .pt, .pth, .onnx, .npz, ...),
 * MARTLET_IO_ERROR. */
martlet_status martlet_model_save(const martlet_model *model, const char *path);
/* MARTLET_IO_ERROR if it cannot be read, MARTLET_UNSUPPORTED for a file of another format (named), MARTLET_CORRUPT_FILE if it is
 * truncated or is not a valid Martlet model. *out is owned. */
martlet_status martlet_model_load(martlet_model **out, const char *path);
/* The names of tensors that a file and a model have in common, and of those that one of them alone has. */
typedef struct martlet_load_report martlet_load_report;
enum {
  MARTLET_LOAD_MATCHED = 0,   /* the model's, read from the file */
  MARTLET_LOAD_MISSING = 1,   /* the model's that the file does not hold */
  MARTLET_LOAD_UNEXPECTED = 2 /* the file's that the model does not have, those of data types that are not read included */
};
/* Parameters and state by name from any safetensors file (F32, F64, F16, BF16; rounded to nearest; counters are whole numbers of
 * any integer or floating-point type) into a model that exists: all, or after an error none. strict: every tensor of the model must
 * be there and no other, but batch norm's counters may be missing and become 0; otherwise what is missing stays, and what is unknown
 * is left out. A file of which not one name fits is an error in either case. *out_report (owned) may be NULL if it is not wanted.
 * flatten_order: that of the network that the file is of, MARTLET_FLATTEN_...; tensors that are not in this library's are rearranged.
 * UNKNOWN: this library's for its own files; in another's, tensors that follow a flattened image are refused, with the layer.
 * A file of another architecture: MARTLET_INVALID_ARGUMENT for names, MARTLET_SHAPE_MISMATCH for shapes, each with its layer.
 * MARTLET_INVALID_ARGUMENT for a value that float32 cannot hold, MARTLET_UNSUPPORTED for a file of another format (named) or a
 * dtype that a tensor cannot take, MARTLET_IO_ERROR, MARTLET_CORRUPT_FILE. Since ABI 2. */
martlet_status martlet_model_load_weights(martlet_load_report **out_report, martlet_model *model, const char *path,
                                          int32_t strict, int32_t flatten_order);
void martlet_load_report_destroy(martlet_load_report *report);
/* part: MARTLET_LOAD_MATCHED ... The names are *borrowed* until the report is destroyed; 0 and NULL for a part or index that is
 * not there. Never fail. Since ABI 2. */
int32_t martlet_load_report_count(const martlet_load_report *report, int32_t part);
const char *martlet_load_report_name(const martlet_load_report *report, int32_t part, int32_t index);

/* ---- Losses and optimizers --------------------------------------------------------------------------------------------- */

/* The rules for targets hold wherever a function takes some; docs/losses.md says more. For an output [rows, 1] the second and third take
 * [rows], too. A trainer, a check and a shift recorder let the loss read the input of a softmax (cross-entropy) or sigmoid (binary
 * cross-entropy) that an output ends in. Shapes that do not fit, and cross-entropy of one class, are MARTLET_SHAPE_MISMATCH, values that
 * the loss does not take MARTLET_INVALID_ARGUMENT with row and value; nothing has changed then. */
enum {
  /* Logits [rows, classes], 2 classes or more. Targets: integer labels [rows] or [rows, 1] in 0..classes-1, or probabilities
   * [rows, classes], 0 or more, each row's sum within 0.001 of 1. */
  MARTLET_LOSS_CROSS_ENTROPY = 0,
  MARTLET_LOSS_MEAN_SQUARED_ERROR = 1,  /* output and target of one shape, the target finite; mean over all elements */
  MARTLET_LOSS_BINARY_CROSS_ENTROPY = 2 /* logits and targets in 0..1 of one shape; mean over all elements */
};
/* Mean loss over the rows (NaN of none); out_correct (may be NULL): rows predicted right, -1 for MARTLET_LOSS_MEAN_SQUARED_ERROR, which
 * does not say what is right; gradient (may be NULL): dL/d(output), its shape. */
martlet_status martlet_loss(int32_t kind, const martlet_array *output, const martlet_array *target, double *out_loss,
                            int64_t *out_correct, const martlet_array *gradient);

enum { MARTLET_SGD = 0, MARTLET_ADAM = 1, MARTLET_ADAMW = 2 };
typedef struct martlet_optimizer_options {
  size_t struct_size;
  int32_t kind;                    /* default MARTLET_SGD */
  int32_t nesterov;                /* SGD; needs momentum > 0; default 0 */
  double learning_rate;            /* >= 0; default 0.01 */
  double momentum;                 /* SGD, 0 <= momentum < 1; default 0 */
  double beta1, beta2;             /* Adam, 0 <= beta < 1; default 0.9, 0.999 */
  double epsilon;                  /* Adam, > 0; default 1e-8 */
  double weight_decay;             /* >= 0; default 0. SGD and Adam add it to the gradient, AdamW shrinks the weight */
  int32_t decays_scale_shift_bias; /* default 0: weights only */
  int32_t reserved;                /* 0 */
} martlet_optimizer_options;
#define MARTLET_OPTIMIZER_OPTIONS_INIT \
  { sizeof(martlet_optimizer_options), 0, 0, 0.01, 0.0, 0.9, 0.999, 1e-8, 0.0, 0, 0 }

/* An optimizer for loops by hand: it holds on to the model's parameters (the model may be destroyed before it). *out is
 * owned. */
typedef struct martlet_optimizer martlet_optimizer;
martlet_status martlet_optimizer_create(martlet_optimizer **out, const martlet_model *model,
                                        const martlet_optimizer_options *options);
void martlet_optimizer_destroy(martlet_optimizer *optimizer);
/* One update of every trainable parameter from its gradient. MARTLET_NOT_FINITE if a gradient holds a NaN or an infinity: then no
 * parameter and nothing of the optimizer has changed. */
martlet_status martlet_optimizer_step(martlet_optimizer *optimizer);
double martlet_optimizer_learning_rate(const martlet_optimizer *optimizer); /* NaN for NULL */
martlet_status martlet_optimizer_set_learning_rate(martlet_optimizer *optimizer, double learning_rate);

/* ---- Checking: what commonly goes wrong with batch norm -------------------------------------------------------------------- */

enum { MARTLET_SEVERITY_NOTE = 0, MARTLET_SEVERITY_WARNING = 1, MARTLET_SEVERITY_ERROR = 2 };
typedef struct martlet_check_options {
  size_t struct_size;
  int64_t batch_size;                         /* rows of the training batches; default 0: unknown */
  const martlet_optimizer_options *optimizer; /* what trains the model, or NULL: unknown */
  const martlet_array *targets;               /* one for each output, as of martlet_trainer_step, or NULL */
  int32_t target_count;                       /* 0 without targets */
  int32_t loss;                               /* of the targets; default MARTLET_LOSS_CROSS_ENTROPY */
} martlet_check_options;
#define MARTLET_CHECK_OPTIONS_INIT \
  { sizeof(martlet_check_options), 0, NULL, NULL, 0, MARTLET_LOSS_CROSS_ENTROPY }

/* What a check found: errors first, then warnings, then notes. */
typedef struct martlet_findings martlet_findings;
typedef struct martlet_finding {
  size_t struct_size;
  const char *code;        /* does not change: "dropout_before_batch_norm"; all are in docs/checking.md. borrowed until the
                              martlet_findings is destroyed, as all pointers here */
  const char *layer;       /* its name; "" where it is not one layer's */
  const char *message;     /* for people: what, and its numbers */
  const char *advice;      /* for people: what to do */
  const int64_t *channels; /* the channels it is about, worst first; NULL if channel_count is 0 */
  int64_t channel_count;
  double value;     /* the number that made it a finding, as the code says; NaN where there is none */
  int32_t severity; /* MARTLET_SEVERITY_NOTE ...; MARTLET_SEVERITY_ERROR: a training step will be refused */
  int32_t reserved;
} martlet_finding;

/* Looks a model over; it is unchanged, random state included. *out is owned. data: as the inputs of martlet_model_predict,
 * training data or what the model meets where it serves; NULL with data_count 0: only what needs no data. options may be NULL.
 * MARTLET_SHAPE_MISMATCH for data or targets that do not fit, MARTLET_INVALID_ARGUMENT for no rows, values that are not
 * finite, or targets without data. May run while other threads predict. Since ABI 2. */
martlet_status martlet_model_check(martlet_findings **out, const martlet_model *model, const martlet_array *data,
                                   int32_t data_count, const martlet_check_options *options);
void martlet_findings_destroy(martlet_findings *findings);
int32_t martlet_findings_count(const martlet_findings *findings);
/* info->struct_size must be set. MARTLET_INVALID_ARGUMENT unless 0 <= index < count. */
martlet_status martlet_findings_at(const martlet_findings *findings, int32_t index, martlet_finding *info);
/* All of them as text for people. buffer as in martlet_model_architecture. */
martlet_status martlet_findings_text(const martlet_findings *findings, char *buffer, size_t capacity, size_t *out_length);

/* -- internal covariate shift: where layers' inputs lie over training, and how updates before them turn their gradients -- */
typedef struct martlet_shift_options {
  size_t struct_size;
  const double *percentiles; /* each in 0..100, no two alike; default NULL with a count of 0: 15, 50 and 85 */
  int64_t percentile_count;
  int64_t channel; /* of the inputs' last axis; default -1: all values */
  int32_t loss;    /* what the model is trained for; default MARTLET_LOSS_CROSS_ENTROPY */
  int32_t reserved;
} martlet_shift_options;
#define MARTLET_SHIFT_OPTIONS_INIT \
  { sizeof(martlet_shift_options), NULL, 0, -1, MARTLET_LOSS_CROSS_ENTROPY, 0 }

/* Records a model's layers; holds on to the model (which may be destroyed before it). Everything is computed on copies:
 * training goes on as without it, to the bit. */
typedef struct martlet_shift_recorder martlet_shift_recorder;
typedef struct martlet_shift_record {
  size_t struct_size;
  int64_t step;
  const char *layer; /* borrowed until the recorder is destroyed, as percentiles */
  double mean;       /* of the layer's inputs on a batch in training */
  double deviation;  /* divided by n */
  const double *percentiles;
  int64_t percentile_count;
  double gradient_change; /* |G - G'|: G the gradient by the layer's parameters before the update, G' the same with the layers
                             before it updated (Santurkar et al. 2018); NaN where it was not measured */
  double gradient_cosine; /* between G and G'; NaN as above, and where one is 0 */
} martlet_shift_record;

/* layer_names: each of one input and in one place, else MARTLET_INVALID_ARGUMENT. options may be NULL. *out is owned. Since
 * ABI 2. */
martlet_status martlet_shift_recorder_create(martlet_shift_recorder **out, martlet_model *model, const char *const *layer_names,
                                             int32_t layer_count, const martlet_shift_options *options);
void martlet_shift_recorder_destroy(martlet_shift_recorder *recorder);
/* Records how the inputs are distributed on this batch now; step is the caller's count. */
martlet_status martlet_shift_recorder_record(martlet_shift_recorder *recorder, int64_t step, const martlet_array *inputs,
                                             int32_t input_count);
/* Around an update from a batch: what is to be recorded is found before it (distributions on probe; NULL with a count of 0: on
 * the batch), the gradients' changes after it, with the same batch. Recorded by the second, which is MARTLET_INVALID_STATE
 * without the first; a first without a second is forgotten. */
martlet_status martlet_shift_recorder_before_update(martlet_shift_recorder *recorder, int64_t step, const martlet_array *inputs,
                                                    int32_t input_count, const martlet_array *targets, int32_t target_count,
                                                    const martlet_array *probe, int32_t probe_count);
martlet_status martlet_shift_recorder_after_update(martlet_shift_recorder *recorder, const martlet_array *inputs,
                                                   int32_t input_count, const martlet_array *targets, int32_t target_count);
int64_t martlet_shift_recorder_count(const martlet_shift_recorder *recorder);
/* info->struct_size must be set. MARTLET_INVALID_ARGUMENT unless 0 <= index < count. */
martlet_status martlet_shift_recorder_at(const martlet_shift_recorder *recorder, int64_t index, martlet_shift_record *info);
/* All records as comma-separated values with a heading; NaN is empty. buffer as in martlet_model_architecture. */
martlet_status martlet_shift_recorder_csv(const martlet_shift_recorder *recorder, char *buffer, size_t capacity,
                                          size_t *out_length);

/* ---- Training ------------------------------------------------------------------------------------------------------------ */

/* A model in training: loss, optimizer state, random state. It holds on to the model (which may be destroyed before it). */
typedef struct martlet_trainer martlet_trainer;
/* optimizer NULL: the defaults. seed: dropout, order of the rows and augmentation. */
martlet_status martlet_trainer_create(martlet_trainer **out, martlet_model *model, int32_t loss,
                                      const martlet_optimizer_options *optimizer, uint64_t seed);
void martlet_trainer_destroy(martlet_trainer *trainer);
double martlet_trainer_learning_rate(const martlet_trainer *trainer); /* NaN for NULL */
martlet_status martlet_trainer_set_learning_rate(martlet_trainer *trainer, double learning_rate);

typedef struct martlet_result {
  double loss;     /* mean over the rows; NaN of none */
  int64_t correct; /* rows predicted right; -1 for MARTLET_LOSS_MEAN_SQUARED_ERROR, which does not say what is right */
  int64_t rows;
} martlet_result;

/* Epochs that martlet_trainer_fit has begun, in all its calls; 0 for NULL. Since ABI 2. */
int64_t martlet_trainer_epoch(const martlet_trainer *trainer);
/* Steps that fits left out under MARTLET_NONFINITE_SKIP; 0 for NULL. Since ABI 2. */
int64_t martlet_trainer_skipped_steps(const martlet_trainer *trainer);

/* One step on one batch: forward, loss, backward, update. out (may be NULL): before the update. Allocates nothing after the
 * first call of a batch size. targets: one for each output; what is copied of them for the step is
 * checked, and used. MARTLET_NOT_FINITE if the loss or a gradient is not finite: then
 * parameters, optimizer, statistics, their counters and the random state are as before, and the message names the row and says
 * whether its input or target is not finite. */
martlet_status martlet_trainer_step(martlet_trainer *trainer, const martlet_array *inputs, int32_t input_count,
                                    const martlet_array *targets, int32_t target_count, martlet_result *out);
/* Gradient accumulation: martlet_trainer_step and martlet_trainer_fit run size consecutive rows of a batch at a time (a single row left
 * over joins those before it), each micro-batch normalised by its own statistics, and update once by the mean gradient over all rows.
 * size 0: the whole batch, as at first. MARTLET_INVALID_ARGUMENT below 0. The size is 0 for NULL. Since ABI 2. */
martlet_status martlet_trainer_set_micro_batch_size(martlet_trainer *trainer, int64_t size);
int64_t martlet_trainer_micro_batch_size(const martlet_trainer *trainer);
/* Whose statistics normalise a micro-batch: its own, or those of all micro-batches together, where the step is that of one large batch,
 * to the bit, and takes its memory. */
enum { MARTLET_MICRO_BATCH_OWN = 0, MARTLET_MICRO_BATCH_WHOLE = 1 };
/* One step on a batch that comes in parts, with one update by the mean gradient over the rows of all. inputs, targets: count times as many
 * arrays as the model has inputs and outputs, those of the first part first; parts without rows do not count. After an error nothing
 * has changed. Since ABI 2. */
martlet_status martlet_trainer_step_micro_batches(martlet_trainer *trainer, int32_t count, const martlet_array *inputs,
                                                  const martlet_array *targets, int32_t statistics, martlet_result *out);
/* Loss and hits at inference; changes nothing. The loss of no rows is NaN. */
martlet_status martlet_trainer_evaluate(martlet_trainer *trainer, const martlet_array *inputs, int32_t input_count,
                                        const martlet_array *targets, int32_t target_count, int64_t batch_size,
                                        martlet_result *out);

/* ---- images: uint8 or float32 [N, height, width, channels], one input; read where they lie, never copied as a whole ---- */

/* y = (v - mean) / standard_deviation for each channel; v is a uint8 pixel divided by 255, or a float32 value as it is.
 * Without a normalization uint8 pixels are the numbers 0 .. 255. */
typedef struct martlet_image_normalization {
  size_t struct_size;
  int64_t count;                    /* of means and of deviations: the channels, or 1 for all of them */
  const double *mean;               /* finite */
  const double *standard_deviation; /* > 0 */
} martlet_image_normalization;
#define MARTLET_IMAGE_NORMALIZATION_INIT \
  { sizeof(martlet_image_normalization), 0, NULL, NULL }

/* The normalization of the images that a model reads; NULL: none, as at first. Every call applies it to the model's input: predictions,
 * forward passes, steps, fits, evaluations, checks and statistics. martlet_trainer_fit with a normalization sets it, so that predictions
 * see what training saw. Submodels share it; clones, folded models and files have it (the architecture's "image_normalization").
 * MARTLET_SHAPE_MISMATCH unless the model has one input of images [height, width, channels]. Since ABI 2. */
martlet_status martlet_model_set_image_normalization(martlet_model *model, const martlet_image_normalization *normalization);

/* Random changes of training images, in this order; each is off by default. Padding and holes are 0 after normalization, which
 * is the channel's mean. What happens to image i in epoch e depends on (seed, e, i) alone, not on threads, batch size or order. */
typedef struct martlet_augmentation_options {
  size_t struct_size;
  int64_t crop_padding; /* pixels around the image, of which a crop of its size is taken; < height and < width */
  int64_t cutout;       /* side of a square around a random pixel that becomes 0; at most the smaller side; 0: none */
  int32_t flip;         /* left to right with probability 1/2; after the crop, before the cutout */
} martlet_augmentation_options;
#define MARTLET_AUGMENTATION_OPTIONS_INIT \
  { sizeof(martlet_augmentation_options), 0, 0, 0 }

/* martlet_trainer_evaluate of images under a normalization, for a model that has none of its own (NULL: the model's, if it has one).
 * MARTLET_INVALID_ARGUMENT for another one than the model's. */
martlet_status martlet_trainer_evaluate_normalized(martlet_trainer *trainer, const martlet_array *inputs, int32_t input_count,
                                                   const martlet_array *targets, int32_t target_count, int64_t batch_size,
                                                   const martlet_image_normalization *normalization, martlet_result *out);

enum { MARTLET_EVENT_STEP = 0, MARTLET_EVENT_EPOCH = 1 };
typedef struct martlet_training_event {
  int32_t kind;            /* MARTLET_EVENT_STEP after each step, MARTLET_EVENT_EPOCH after each epoch and its validation */
  int32_t has_validation;  /* validation holds figures (epoch events only) */
  int64_t epoch, epochs;   /* this one within the fit, from 0; how many */
  int64_t step, steps;     /* steps done in this fit; in all its epochs */
  martlet_result training; /* of this step, or the whole epoch; of a skipped step its loss, and 0 rows */
  martlet_result validation;
} martlet_training_event;
/* On the calling thread. Non-zero stops after this step: the fit returns MARTLET_CANCELLED and the model stays usable. The
 * callback may call martlet_trainer_evaluate and martlet_trainer_set_learning_rate on this trainer and martlet_model_predict on
 * its model. It may write to the arrays of the fit, which each step reads again: targets that the loss does not take end the fit with
 * MARTLET_INVALID_ARGUMENT after the last whole step. */
typedef int32_t (*martlet_training_callback)(const martlet_training_event *event, void *payload);

/* What a fit does with a step whose loss or gradient is not finite. The step itself changes nothing in either case. */
enum {
  MARTLET_NONFINITE_ERROR = 0, /* the fit returns MARTLET_NOT_FINITE, with epoch, step and row in the message */
  MARTLET_NONFINITE_SKIP = 1   /* it goes on with the next batch; martlet_trainer_skipped_steps counts the step */
};

typedef struct martlet_fit_options {
  size_t struct_size;
  int64_t epochs;                                   /* >= 0; default 1 */
  int64_t batch_size;                               /* >= 1; default 32 */
  int32_t shuffle;                                  /* a new order each epoch; default 1 */
  int32_t drop_last;                                /* leave out a last batch that is not full; default 0 */
  const uint64_t *seed;                             /* of the order and the augmentation; default NULL: the trainer's, whose
                                                     * count of epochs goes on. Else the sequence of that seed, from its epoch 0 */
  const martlet_array *validation_inputs;           /* as many as the model's inputs, of 1 row or more, or NULL */
  const martlet_array *validation_targets;          /* as many as its outputs, or NULL */
  martlet_training_callback callback;               /* may be NULL */
  void *payload;                                    /* handed to the callback */
  const martlet_augmentation_options *augmentation; /* of the training images, or NULL */
  const martlet_image_normalization *normalization; /* of all images; the model keeps it. NULL: the model's, if it has one */
  int32_t on_nonfinite;                             /* default MARTLET_NONFINITE_ERROR */
  int32_t reserved;                                 /* 0 */
} martlet_fit_options;
#define MARTLET_FIT_OPTIONS_INIT \
  { sizeof(martlet_fit_options), 1, 32, 1, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, MARTLET_NONFINITE_ERROR, 0 }
/* Whole epochs: shuffling, batching and steps inside the library. out (may be NULL): the last epoch's training figures.
 * A last batch of one row under batch norm is refused before anything changes (drop_last, or another batch size, mends it).
 * With an augmentation or a normalization a thread of the fit's own prepares the next batch while a step runs: leave the
 * images alone until the fit returns. Order and augmentation of an epoch depend on the trainer's seed and count of epochs alone, so
 * three fits of 3 epochs are one of 9, to the bit; an epoch counts when it begins, also if the fit is stopped in it.
 * MARTLET_NOT_FINITE also for an epoch whose every step was skipped, and where the last update left a parameter that is not finite.
 * MARTLET_UNSUPPORTED for other dtypes or several inputs, MARTLET_SHAPE_MISMATCH if a row
 * is no image. */
martlet_status martlet_trainer_fit(martlet_trainer *trainer, const martlet_array *inputs, int32_t input_count,
                                   const martlet_array *targets, int32_t target_count, const martlet_fit_options *options,
                                   martlet_result *out);

#ifdef __cplusplus
}
#endif

#endif /* MARTLET_H */
