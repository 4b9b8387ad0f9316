/* failing_allocations.c: every allocation of a call fails once, each in a process of its own.
 *
 *   failing_allocations [least bytes [word]]       default: allocations of 1024 bytes and more, all cases
 *
 * A case prepares objects, then makes one call while the k-th allocation fails, for every k that there is (and once more with all
 * allocations from the k-th on). The process must live, the call must return MARTLET_OUT_OF_MEMORY or succeed, a failed one must have
 * changed neither the model nor its outputs, and the same call must succeed when memory is back. */
#include "failing_allocator.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "models.h"

enum { ROWS = 20, SIDE = 8, DEPTH = 3, CLASSES = 5, CHANNELS = 160, PIXELS = ROWS * SIDE * SIDE * DEPTH };

static float images[PIXELS], outputs[ROWS * CLASSES], gradients[PIXELS];
static uint8_t bytes[PIXELS];
static int32_t labels[ROWS];
static double numbers[2 * CHANNELS];
static char path[256], other_path[256], text[1 << 20];
static const int64_t image_shape[4] = {ROWS, SIDE, SIDE, DEPTH}, row_shape[3] = {SIDE, SIDE, DEPTH};
static const int64_t label_shape[1] = {ROWS}, output_shape[2] = {ROWS, CLASSES};
static martlet_array x, u, y, out;

/* What a case works on. */
static struct {
  martlet_graph *graph;
  martlet_node input, output;
  martlet_model *model, *made;
  martlet_trainer *trainer;
  martlet_optimizer *optimizer;
  martlet_statistics *statistics;
  martlet_shift_recorder *recorder;
  martlet_findings *findings;
  martlet_folding *folding;
  martlet_tensor *a, *b, *c;
} it;

#define TRY(call)                              \
  do {                                         \
    const martlet_status status_ = (call);     \
    if (status_ != MARTLET_OK) return status_; \
  } while (0)

/* ---- models ---- */

/* Convolutions, batch norm, a residual sum, pooling, dropout: enough layers that their lists take more than 1 KB. */
static martlet_status build_graph(void) {
  martlet_convolution_options options = MARTLET_CONVOLUTION_OPTIONS_INIT;
  martlet_pooling_options pooling = MARTLET_POOLING_OPTIONS_INIT;
  martlet_node node = -1, branch = -1, pair[2];
  options.padding = MARTLET_PADDING_SAME;
  TRY(martlet_graph_create(&it.graph));
  TRY(martlet_graph_input(it.graph, "picture", 3, row_shape, &it.input));
  TRY(martlet_graph_conv2d(it.graph, NULL, it.input, 8, 3, 3, &options, &node));
  for (int i = 0; i < 4; i++) {
    TRY(martlet_graph_batch_norm(it.graph, NULL, node, NULL, &branch));
    TRY(martlet_graph_activation(it.graph, NULL, branch, MARTLET_RELU, &branch));
    TRY(martlet_graph_conv2d(it.graph, NULL, branch, 8, 3, 3, &options, &branch));
    pair[0] = node;
    pair[1] = branch;
    TRY(martlet_graph_add(it.graph, NULL, pair, 2, &node));
  }
  TRY(martlet_graph_max_pool2d(it.graph, NULL, node, 2, 2, &pooling, &node));
  TRY(martlet_graph_flatten(it.graph, NULL, node, &node));
  TRY(martlet_graph_dense(it.graph, "wide", node, CHANNELS, NULL, &node));
  TRY(martlet_graph_batch_norm(it.graph, "wide_norm", node, NULL, &node));
  TRY(martlet_graph_activation(it.graph, "wide_relu", node, MARTLET_RELU, &node));
  TRY(martlet_graph_dropout(it.graph, NULL, node, 0.25, &node));
  return martlet_graph_dense(it.graph, "last", node, CLASSES, NULL, &it.output);
}

static martlet_status create_model(void) {
  return martlet_model_create(&it.model, it.graph, &it.input, 1, &it.output, 1, 1);
}

static martlet_status prepare_nothing(void) {
  return MARTLET_OK;
}
static martlet_status prepare_model(void) {
  TRY(build_graph());
  return create_model();
}
static martlet_status prepare_trainer(void) {
  martlet_optimizer_options options = MARTLET_OPTIMIZER_OPTIONS_INIT;
  options.kind = MARTLET_ADAM;
  TRY(prepare_model());
  return martlet_trainer_create(&it.trainer, it.model, MARTLET_LOSS_CROSS_ENTROPY, &options, 1);
}
static martlet_status prepare_file(void) {
  TRY(prepare_model());
  return martlet_model_save(it.model, path);
}
static const char *const recorded[] = {"wide", "wide_norm", "last"};
static martlet_status prepare_recorder(void) {
  TRY(prepare_trainer());
  return martlet_shift_recorder_create(&it.recorder, it.model, recorded, 3, NULL);
}
static martlet_status prepare_update(void) {
  TRY(prepare_recorder());
  TRY(martlet_shift_recorder_before_update(it.recorder, 0, &x, 1, &y, 1, NULL, 0));
  return martlet_trainer_step(it.trainer, &x, 1, &y, 1, NULL);
}
static martlet_status prepare_statistics(void) {
  return martlet_statistics_create(&it.statistics, CHANNELS);
}
static martlet_status prepare_findings(void) {
  TRY(prepare_model());
  return martlet_model_check(&it.findings, it.model, &x, 1, NULL);
}
static martlet_status prepare_folding(void) {
  TRY(prepare_model());
  return martlet_model_fold(&it.made, &it.folding, it.model, &x, 1);
}
static martlet_status prepare_tensors(void) {
  const int64_t shape[2] = {64, 64};
  TRY(martlet_tensor_create_filled(&it.a, 2, shape, 1.5f));
  return martlet_tensor_create_filled(&it.b, 2, shape, -0.5f);
}
static martlet_status prepare_forward(void) {
  TRY(prepare_model());
  TRY(martlet_optimizer_create(&it.optimizer, it.model, NULL));
  return martlet_model_forward(it.model, &x, 1, 1);
}

/* ---- calls ---- */

static martlet_status call_build(void) {
  return build_graph();
}
static martlet_status call_create(void) {
  return create_model();
}
static martlet_status call_known(void) {
  const int64_t shape[3] = {32, 32, 3};
  return martlet_model_build(&it.made, "resnet20", 3, shape, 10, NULL, 1);
}
static martlet_status call_clone(void) {
  return martlet_model_clone(&it.made, it.model);
}
static martlet_status call_submodel(void) {
  const char *const name = "wide_norm";
  return martlet_model_create_submodel(&it.made, it.model, &name, 1);
}
static martlet_status call_plan(void) {
  size_t length;
  return martlet_model_plan(it.model, ROWS, 1, text, sizeof text, &length);
}
static martlet_status call_architecture(void) {
  size_t length;
  return martlet_model_architecture(it.model, text, sizeof text, &length);
}
static martlet_status call_trainer(void) {
  martlet_optimizer_options options = MARTLET_OPTIMIZER_OPTIONS_INIT;
  options.kind = MARTLET_ADAMW;
  return martlet_trainer_create(&it.trainer, it.model, MARTLET_LOSS_CROSS_ENTROPY, &options, 1);
}
static martlet_status call_step(void) {
  return martlet_trainer_step(it.trainer, &x, 1, &y, 1, NULL);
}
static martlet_status call_step_float64(void) {
  static double wide[PIXELS];
  for (int i = 0; i < PIXELS; i++) wide[i] = images[i];
  const martlet_array array = array_of(wide, MARTLET_FLOAT64, 4, image_shape);
  return martlet_trainer_step(it.trainer, &array, 1, &y, 1, NULL);
}
static int32_t twofold(double *sums, int64_t count, void *payload) {
  (void)payload;
  for (int64_t i = 0; i < count; i++) sums[i] *= 2;
  return 0;
}
static martlet_status call_shard_step(void) {
  TRY(martlet_model_set_all_reduce(it.model, twofold, NULL));
  const martlet_status status = martlet_trainer_step(it.trainer, &x, 1, &y, 1, NULL);
  (void)martlet_model_set_all_reduce(it.model, NULL, NULL);
  return status;
}
static martlet_status call_micro_batches(void) {
  return martlet_trainer_step_micro_batches(it.trainer, 1, &x, &y, MARTLET_MICRO_BATCH_OWN, NULL);
}
static martlet_status call_evaluate(void) {
  martlet_result result;
  return martlet_trainer_evaluate(it.trainer, &x, 1, &y, 1, 16, &result);
}
static martlet_status call_fit(void) {
  martlet_fit_options options = MARTLET_FIT_OPTIONS_INIT;
  options.batch_size = 16;
  options.validation_inputs = &x;
  options.validation_targets = &y;
  return martlet_trainer_fit(it.trainer, &x, 1, &y, 1, &options, NULL);
}
static martlet_status call_fit_images(void) {
  const double mean = 0.5, deviation = 0.25;
  martlet_fit_options options = MARTLET_FIT_OPTIONS_INIT;
  martlet_augmentation_options augmentation = MARTLET_AUGMENTATION_OPTIONS_INIT;
  martlet_image_normalization normalization = MARTLET_IMAGE_NORMALIZATION_INIT;
  augmentation.crop_padding = 2;
  augmentation.flip = 1;
  normalization.count = 1;
  normalization.mean = &mean;
  normalization.standard_deviation = &deviation;
  options.batch_size = 20;
  options.augmentation = &augmentation;
  options.normalization = &normalization;
  return martlet_trainer_fit(it.trainer, &u, 1, &y, 1, &options, NULL);
}
static martlet_status call_predict(void) {
  return martlet_model_predict(it.model, &x, 1, 16, &out, 1);
}
static martlet_status call_predict_bytes(void) {
  return martlet_model_predict(it.model, &u, 1, 16, &out, 1);
}
static martlet_status call_predict_rows(void) {
  return martlet_model_predict_rows(it.model, images, 1, outputs);
}
static martlet_status call_forward(void) {
  return martlet_model_forward(it.model, &x, 1, 1);
}
static martlet_status call_backward(void) {
  return martlet_model_backward(it.model, &out, 1, 0);
}
static martlet_status call_save(void) {
  return martlet_model_save(it.model, other_path);
}
static martlet_status call_load(void) {
  return martlet_model_load(&it.made, path);
}
static martlet_status call_load_weights(void) {
  return martlet_model_load_weights(NULL, it.model, path, 1, MARTLET_FLATTEN_UNKNOWN);
}
static martlet_status call_set_tensors(void) {
  static float values[CHANNELS];
  static const int64_t shape[1] = {CHANNELS};
  const char *const name = "wide_norm.weight";
  const martlet_array value = floats_of(values, 1, shape);
  fill(values, CHANNELS, 5);
  return martlet_model_set_tensors(it.model, &name, &value, 1, 0);
}
static martlet_status call_population(void) {
  return martlet_model_update_population_statistics_by(it.model, &x, 1, 16, MARTLET_POPULATION_SEQUENTIAL);
}
static martlet_status call_population_one_pass(void) {
  return martlet_model_update_population_statistics_by(it.model, &x, 1, 16, MARTLET_POPULATION_ONE_PASS);
}
static martlet_status call_transaction(void) {
  TRY(martlet_model_begin_statistics(it.model));
  return martlet_model_rollback_statistics(it.model);
}
static martlet_status call_statistics_create(void) {
  return martlet_statistics_create(&it.statistics, CHANNELS);
}
static martlet_status call_statistics_add(void) {
  static const int64_t shape[2] = {PIXELS / CHANNELS, CHANNELS};
  const martlet_array values = floats_of(images, 2, shape);
  return martlet_statistics_add(it.statistics, &values, -1);
}
static martlet_status call_statistics_add_bytes(void) {
  static const int64_t shape[2] = {PIXELS / CHANNELS, CHANNELS};
  const martlet_array values = array_of(bytes, MARTLET_UINT8, 2, shape);
  return martlet_statistics_add(it.statistics, &values, -1);
}
static martlet_status call_statistics_read(void) {
  static const int64_t shape[1] = {CHANNELS};
  const martlet_array mean = array_of(numbers, MARTLET_FLOAT64, 1, shape);
  const martlet_array variance = array_of(numbers + CHANNELS, MARTLET_FLOAT64, 1, shape);
  TRY(call_statistics_add());
  return martlet_statistics_read(it.statistics, 0, &mean, &variance, NULL);
}
static martlet_status call_recorder(void) {
  static double percentiles[200];
  martlet_shift_options options = MARTLET_SHIFT_OPTIONS_INIT;
  for (int i = 0; i < 200; i++) percentiles[i] = i * 0.5;
  options.percentiles = percentiles;
  options.percentile_count = 200;
  TRY(martlet_shift_recorder_create(&it.recorder, it.model, recorded, 3, &options));
  return martlet_shift_recorder_record(it.recorder, 0, &x, 1);
}
static martlet_status call_record(void) {
  return martlet_shift_recorder_record(it.recorder, 0, &x, 1);
}
static martlet_status call_before_update(void) {
  return martlet_shift_recorder_before_update(it.recorder, 0, &x, 1, &y, 1, NULL, 0);
}
static martlet_status call_after_update(void) {
  return martlet_shift_recorder_after_update(it.recorder, &x, 1, &y, 1);
}
static martlet_status call_csv(void) {
  size_t length;
  for (int i = 0; i < 10; i++) TRY(martlet_shift_recorder_record(it.recorder, i, &x, 1));
  return martlet_shift_recorder_csv(it.recorder, text, sizeof text, &length);
}
static martlet_status call_check(void) {
  return martlet_model_check(&it.findings, it.model, NULL, 0, NULL);
}
static martlet_status call_check_on_data(void) {
  martlet_check_options options = MARTLET_CHECK_OPTIONS_INIT;
  options.targets = &y;
  options.target_count = 1;
  return martlet_model_check(&it.findings, it.model, &x, 1, &options);
}
static martlet_status call_findings_text(void) {
  size_t length;
  return martlet_findings_text(it.findings, text, sizeof text, &length);
}
static martlet_status call_fold(void) {
  return martlet_model_fold(&it.made, &it.folding, it.model, NULL, 0);
}
static martlet_status call_fold_on_data(void) {
  return martlet_model_fold(&it.made, &it.folding, it.model, &x, 1);
}
static martlet_status call_folding_text(void) {
  size_t length;
  return martlet_folding_text(it.folding, text, sizeof text, &length);
}
static martlet_status call_float16(void) {
  TRY(martlet_model_set_inference_weights(it.model, MARTLET_INFERENCE_FLOAT16));
  return martlet_model_predict(it.model, &x, 1, 0, &out, 1);
}
static martlet_status call_matmul(void) {
  static float a[128 * 96], b[96 * 80], c[128 * 80];
  static const int64_t a_shape[2] = {128, 96}, b_shape[2] = {96, 80}, c_shape[2] = {128, 80}, strides[2] = {2, 1};
  martlet_array a_array = floats_of(a, 2, a_shape);
  const martlet_array b_array = floats_of(b, 2, b_shape), c_array = floats_of(c, 2, c_shape);
  static const int64_t half[2] = {64, 96}, half_c[2] = {64, 80};
  TRY(martlet_matmul(&a_array, &b_array, &c_array));
  a_array.shape = half;
  a_array.strides = strides; /* overlapping rows: read where they lie or copied */
  const martlet_array c_half = floats_of(c, 2, half_c);
  return martlet_matmul(&a_array, &b_array, &c_half);
}
static martlet_status call_batch_norm(void) {
  static const int64_t shape[2] = {PIXELS / CHANNELS, CHANNELS}, channels[1] = {CHANNELS};
  const martlet_array values = floats_of(images, 2, shape), to = floats_of(gradients, 2, shape);
  const martlet_array mean = array_of(numbers, MARTLET_FLOAT64, 1, channels);
  const martlet_array variance = array_of(numbers + CHANNELS, MARTLET_FLOAT64, 1, channels);
  TRY(martlet_batch_norm(&values, -1, 1e-5, MARTLET_IDENTITY, NULL, NULL, NULL, NULL, &to, &mean, &variance));
  return martlet_batch_norm_gradients(&values, -1, 1e-5, MARTLET_IDENTITY, NULL, NULL, &mean, &variance, 0, &values, NULL, &to,
                                      NULL, NULL);
}
static martlet_status call_normalize(void) {
  static const int64_t shape[2] = {PIXELS / CHANNELS, CHANNELS};
  const martlet_array values = floats_of(images, 2, shape), to = floats_of(gradients, 2, shape);
  const martlet_normalization_options options = MARTLET_GROUP_NORM_INIT(10);
  TRY(martlet_normalize(&options, &values, NULL, NULL, NULL, NULL, &to));
  return martlet_normalize_gradients(&options, &values, NULL, NULL, NULL, NULL, &values, &to, NULL, NULL, NULL, NULL);
}
static martlet_status call_convolution(void) {
  static float weight[8 * 3 * 9], result[ROWS * 6 * 6 * 8], grad_weight[8 * 3 * 9];
  static const int64_t weight_shape[4] = {8, 3, 3, 3}, result_shape[4] = {ROWS, 6, 6, 8};
  const martlet_array w = floats_of(weight, 4, weight_shape), to = floats_of(result, 4, result_shape);
  const martlet_array grad_w = floats_of(grad_weight, 4, weight_shape), grad_x = floats_of(gradients, 4, image_shape);
  fill(weight, 8 * 3 * 9, 3);
  TRY(martlet_convolution(&x, &w, NULL, NULL, &to));
  return martlet_convolution_gradients(&x, &w, NULL, &to, &grad_x, &grad_w, NULL);
}
static martlet_status call_loss(void) {
  static float gradient[ROWS * CLASSES];
  double loss;
  const martlet_array grad = floats_of(gradient, 2, output_shape);
  return martlet_loss(MARTLET_LOSS_CROSS_ENTROPY, &out, &y, &loss, NULL, &grad);
}
static martlet_status call_tensors(void) {
  martlet_tensor *sum = NULL;
  TRY(martlet_tensor_matmul(&it.c, it.a, it.b, 0, 1));
  TRY(martlet_tensor_binary(&sum, MARTLET_ADD, it.a, it.b));
  martlet_tensor_destroy(sum);
  sum = NULL;
  TRY(martlet_tensor_softmax(&sum, it.a));
  martlet_tensor_destroy(sum);
  sum = NULL;
  TRY(martlet_tensor_reduce(&sum, MARTLET_SUM, it.a, 0));
  martlet_tensor_destroy(sum);
  return MARTLET_OK;
}

/* `moves`: a failure after its first part may leave the model changed (a fit whose first steps are done). */
typedef struct attack {
  const char *name;
  martlet_status (*prepare)(void), (*call)(void);
  int moves;
} attack;

static const attack attacks[] = {
    {"graph", prepare_nothing, call_build, 0},
    {"model", build_graph, call_create, 0},
    {"known model", prepare_nothing, call_known, 0},
    {"clone", prepare_model, call_clone, 0},
    {"submodel", prepare_model, call_submodel, 0},
    {"plan", prepare_model, call_plan, 0},
    {"architecture", prepare_model, call_architecture, 0},
    {"trainer", prepare_model, call_trainer, 0},
    {"step", prepare_trainer, call_step, 0},
    {"step of float64", prepare_trainer, call_step_float64, 0},
    {"step of a shard", prepare_trainer, call_shard_step, 0},
    {"micro-batches", prepare_trainer, call_micro_batches, 0},
    {"evaluate", prepare_trainer, call_evaluate, 0},
    {"fit", prepare_trainer, call_fit, 1},
    {"fit of images", prepare_trainer, call_fit_images, 1},
    {"predict", prepare_model, call_predict, 0},
    {"predict bytes", prepare_model, call_predict_bytes, 0},
    {"predict a row", prepare_model, call_predict_rows, 0},
    {"forward", prepare_model, call_forward, 0},
    {"backward", prepare_forward, call_backward, 0},
    {"save", prepare_file, call_save, 0},
    {"load", prepare_file, call_load, 0},
    {"load weights", prepare_file, call_load_weights, 0},
    {"set tensors", prepare_model, call_set_tensors, 0},
    {"population statistics", prepare_model, call_population, 0},
    {"population statistics, one pass", prepare_model, call_population_one_pass, 0},
    {"statistics transaction", prepare_model, call_transaction, 0},
    {"statistics create", prepare_nothing, call_statistics_create, 0},
    {"statistics add", prepare_statistics, call_statistics_add, 0},
    {"statistics add bytes", prepare_statistics, call_statistics_add_bytes, 0},
    {"statistics read", prepare_statistics, call_statistics_read, 0},
    {"shift recorder", prepare_model, call_recorder, 0},
    {"shift recorder record", prepare_recorder, call_record, 0},
    {"shift recorder before update", prepare_recorder, call_before_update, 0},
    {"shift recorder after update", prepare_update, call_after_update, 0},
    {"shift recorder csv", prepare_recorder, call_csv, 0},
    {"check", prepare_model, call_check, 0},
    {"check on data", prepare_model, call_check_on_data, 0},
    {"findings text", prepare_findings, call_findings_text, 0},
    {"fold", prepare_model, call_fold, 0},
    {"fold on data", prepare_model, call_fold_on_data, 0},
    {"folding text", prepare_folding, call_folding_text, 0},
    {"float16", prepare_model, call_float16, 0},
    {"matmul", prepare_nothing, call_matmul, 0},
    {"batch norm", prepare_nothing, call_batch_norm, 0},
    {"normalize", prepare_nothing, call_normalize, 0},
    {"convolution", prepare_nothing, call_convolution, 0},
    {"loss", prepare_nothing, call_loss, 0},
    {"tensors", prepare_tensors, call_tensors, 0},
};

/* ---- one process each ---- */

enum { FINE = 0, WRONG_STATUS = 40, CHANGED = 41, NOT_AGAIN = 42, OUTPUT_SET = 43, NOT_PREPARED = 44 };

/* Shared with the child: how many allocations its call made, and its status. */
static struct {
  int64_t count, failures;
  martlet_status status;
  char message[256];
} * told;

static size_t least = 1024;

static void forget_results(void) {
  it.made = NULL;
  it.findings = NULL;
  it.folding = NULL;
  it.c = NULL;
}

static int in_child(const attack *a, int64_t fails_at, int fails_on) {
  if (a->prepare() != MARTLET_OK) return NOT_PREPARED;
  if (a->call != call_folding_text && a->call != call_findings_text) forget_results();
  const uint64_t before = it.model == NULL ? 0 : model_fingerprint(it.model);
  martlet_model *const made = it.made;
  failing_allocator_arm(least, fails_at, fails_on);
  const martlet_status status = a->call();
  told->count = failing_allocator_disarm();
  told->failures = failing_allocator.failures;
  told->status = status;
  strncpy(told->message, martlet_last_error_message(), sizeof told->message - 1);
  if (status != MARTLET_OK && status != MARTLET_OUT_OF_MEMORY) return WRONG_STATUS;
  if (status != MARTLET_OK) {
    if (it.made != made) return OUTPUT_SET;
    if (before != 0 && !a->moves && model_fingerprint(it.model) != before) return CHANGED;
    const martlet_status again = a->call();
    if (again != MARTLET_OK) {
      told->status = again;
      strncpy(told->message, martlet_last_error_message(), sizeof told->message - 1);
      return NOT_AGAIN;
    }
  }
  return FINE;
}

static int run_child(const attack *a, int64_t fails_at, int fails_on) {
  fflush(stdout);
  memset(told, 0, sizeof *told);
  const pid_t child = fork();
  if (child == 0) {
    const struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    if (freopen("/dev/null", "w", stderr) == NULL) _exit(NOT_PREPARED); /* Swift's stack traces are slow */
    alarm(120);
    _exit(in_child(a, fails_at, fails_on));
  }
  int status = -1;
  if (child < 0 || waitpid(child, &status, 0) != child) return -1;
  return status;
}

static const char *text_of(int status) {
  static char words[400];
  if (WIFSIGNALED(status)) {
    snprintf(words, sizeof words, "killed by signal %d", WTERMSIG(status));
    return words;
  }
  static const char *const names[] = {"wrong status", "the model has changed", "failed when memory was back",
                                      "an output was set by a failed call", "could not be prepared"};
  const int code = WEXITSTATUS(status);
  snprintf(words, sizeof words, "%s (%s: %s)", code >= 40 && code < 45 ? names[code - 40] : "ended the process",
           martlet_status_name(told->status), told->message);
  return words;
}

int main(int argc, char **argv) {
  int64_t runs = 0, failed = 0;
  if (argc > 1) least = (size_t)strtoul(argv[1], NULL, 10);
  told = mmap(NULL, sizeof *told, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (told == MAP_FAILED) return 2;
  const char *folder = getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp";
  snprintf(path, sizeof path, "%s/martlet-attack-%d.safetensors", folder, (int)getpid());
  snprintf(other_path, sizeof other_path, "%s/martlet-attack-%d-saved.safetensors", folder, (int)getpid());
  fill(images, PIXELS, 1);
  for (int i = 0; i < PIXELS; i++) bytes[i] = (uint8_t)(i * 31);
  for (int i = 0; i < ROWS; i++) labels[i] = i % CLASSES;
  x = floats_of(images, 4, image_shape);
  u = array_of(bytes, MARTLET_UINT8, 4, image_shape);
  y = array_of(labels, MARTLET_INT32, 1, label_shape);
  out = floats_of(outputs, 2, output_shape);

  for (int i = 0; i < CHECK_COUNT(attacks); i++) {
    const attack *a = &attacks[i];
    if (argc > 2 && strstr(a->name, argv[2]) == NULL) continue;
    int status = run_child(a, 0, 0);
    const int64_t count = told->count;
    int64_t wrong = 0, survived = 0;
    if (status != 0) {
      printf("%s: without failures: %s\n", a->name, text_of(status));
      failed++;
      continue;
    }
    for (int64_t k = 1; k <= count; k++) {
      for (int on = 0; on < 2; on++) {
        status = run_child(a, k, on);
        runs++;
        if (status == 0 && told->status == MARTLET_OK) survived++;
        if (status == 0) continue;
        if (wrong++ < 3) {
          printf("%s: allocation %lld of %lld%s: %s\n", a->name, (long long)k, (long long)count, on ? " and on" : "",
                 text_of(status));
        }
      }
    }
    if (wrong > 3) printf("%s: %lld wrong in all\n", a->name, (long long)wrong);
    if (argc > 2 || getenv("VERBOSE") != NULL) {
      printf("%s: %lld allocations, %lld of the calls succeeded\n", a->name, (long long)count, (long long)survived);
    }
    failed += wrong;
  }
  unlink(path);
  unlink(other_path);
  printf("failing allocations of %zu bytes and more: %lld passed, %lld failed\n", least, (long long)(runs - failed),
         (long long)failed);
  return failed != 0;
}
