/* Results do not depend on the floating-point environment of the caller, and every call gives it back: control bits and exception
 * flags. With traps on, nothing traps. */
#include "models.h"

#if defined(__x86_64__)
#include <xmmintrin.h>

enum { FLUSH_TO_ZERO = 0x8000, DENORMALS_ARE_ZERO = 0x0040, ROUND_DOWN = 0x2000, ROUND_UP = 0x4000, ROUND_TO_ZERO = 0x6000 };
enum { STANDARD = 0x1f80, INVALID_MASK = 0x0080, DIVIDE_MASK = 0x0200, OVERFLOW_MASK = 0x0400 };

/* What the calls of a run are checked against, and what they have written. */
static unsigned environment;
static uint64_t hash;

static void hash_bytes(const void *memory, size_t size) {
  const unsigned char *bytes = (const unsigned char *)memory;
  for (size_t i = 0; i < size; i++) hash = (hash ^ bytes[i]) * 1099511628211u;
}

/* Every call is made in the environment under test, succeeds, and leaves the register as it found it. The rest of the test computes in
 * the usual one. */
static void check_call(const char *text, int line, martlet_status status) {
  const unsigned after = _mm_getcsr();
  _mm_setcsr(STANDARD);
  check_ok(__FILE__, line, text, status);
  if (check_count(after == environment)) {
    fprintf(stderr, "    %s:%d: %s: the register was %#x and is %#x\n", __FILE__, line, text, environment, after);
  }
}
#define CALL(call)                       \
  do {                                   \
    _mm_setcsr(environment);             \
    check_call(#call, __LINE__, (call)); \
  } while (0)

static void hash_tensor(martlet_tensor *tensor) {
  martlet_view view;
  CALL(martlet_tensor_view(tensor, &view));
  int64_t count = 1;
  for (int32_t axis = 0; axis < view.rank; axis++) count *= view.shape[axis];
  hash_bytes(view.data, (size_t)count * sizeof(float));
}

static void tensors(int64_t size) {
  float values[512], others[512];
  const int64_t shape[1] = {size};
  for (int64_t i = 0; i < size; i++) {
    values[i] = (float)(i + 1) / 3.0f;
    others[i] = 7.0f / (float)(size - i);
  }
  values[0] = 1e-40f; /* denormal */
  const martlet_array x = floats_of(values, 1, shape), y = floats_of(others, 1, shape);
  martlet_tensor *a = NULL, *b = NULL, *c = NULL;
  CALL(martlet_tensor_create(&a, &x));
  CALL(martlet_tensor_create(&b, &y));
  for (int32_t operation = MARTLET_ADD; operation <= MARTLET_MINIMUM; operation++) {
    CALL(martlet_tensor_binary(&c, operation, a, b));
    hash_tensor(c);
    martlet_tensor_destroy(c);
  }
  for (int32_t operation = MARTLET_NEGATE; operation <= MARTLET_LOGARITHM; operation++) {
    CALL(martlet_tensor_unary(&c, operation, a));
    hash_tensor(c);
    martlet_tensor_destroy(c);
  }
  for (int32_t activation = MARTLET_IDENTITY; activation <= MARTLET_RELU; activation++) {
    CALL(martlet_tensor_activation(&c, activation, a));
    hash_tensor(c);
    martlet_tensor_destroy(c);
  }
  CALL(martlet_tensor_softmax(&c, a));
  hash_tensor(c);
  martlet_tensor_destroy(c);
  for (int32_t operation = MARTLET_SUM; operation <= MARTLET_REDUCE_MINIMUM; operation++) {
    CALL(martlet_tensor_reduce(&c, operation, a, MARTLET_ALL_AXES));
    hash_tensor(c);
    martlet_tensor_destroy(c);
  }
  martlet_tensor_destroy(a);
  martlet_tensor_destroy(b);
}

/* Products and batch norm, small and large enough to be shared out over threads. */
static void arrays(int64_t rows, int64_t columns) {
  const size_t count = (size_t)(rows * columns);
  float *memory = (float *)malloc((3 * count + (size_t)(rows * rows)) * sizeof(float));
  double mean[512], variance[512];
  const int64_t wide[2] = {rows, columns}, tall[2] = {columns, rows}, square[2] = {rows, rows}, channels[1] = {columns};
  fill(memory, (int64_t)(2 * count), 3);
  for (size_t i = 0; i < count; i += 7) memory[i] *= 1e-38f;
  const martlet_array x = floats_of(memory, 2, wide), transposed = floats_of(memory + count, 2, tall);
  const martlet_array y = floats_of(memory + 2 * count, 2, wide), product = floats_of(memory + 3 * count, 2, square);
  const martlet_array means = array_of(mean, MARTLET_FLOAT64, 1, channels);
  const martlet_array variances = array_of(variance, MARTLET_FLOAT64, 1, channels);
  CALL(martlet_matmul(&x, &transposed, &product));
  hash_bytes(product.data, (size_t)(rows * rows) * sizeof(float));
  CALL(martlet_batch_norm(&x, -1, 1e-5, MARTLET_SIGMOID, NULL, NULL, NULL, NULL, &y, &means, &variances));
  hash_bytes(y.data, count * sizeof(float));
  hash_bytes(mean, (size_t)columns * sizeof(double));
  hash_bytes(variance, (size_t)columns * sizeof(double));
  CALL(martlet_batch_norm_gradients(&x, -1, 1e-5, MARTLET_SIGMOID, NULL, NULL, &means, &variances, 0, &x, &y, &y, NULL, NULL));
  hash_bytes(y.data, count * sizeof(float));
  martlet_statistics *statistics = NULL;
  CALL(martlet_statistics_create(&statistics, columns));
  CALL(martlet_statistics_add(statistics, &x, -1));
  CALL(martlet_statistics_read(statistics, 1, &means, &variances, NULL));
  hash_bytes(variance, (size_t)columns * sizeof(double));
  martlet_statistics_destroy(statistics);
  free(memory);
}

static int32_t look(const martlet_training_event *event, void *payload) {
  (void)event;
  *(unsigned *)payload |= _mm_getcsr() ^ environment;
  _mm_setcsr(STANDARD | FLUSH_TO_ZERO | ROUND_UP); /* what a callback leaves behind touches nothing */
  return 0;
}

/* A network in training and at inference. */
static void training(void) {
  net_batch batch;
  martlet_result result;
  martlet_optimizer_options optimizer = MARTLET_OPTIMIZER_OPTIONS_INIT;
  martlet_fit_options options = MARTLET_FIT_OPTIONS_INIT;
  unsigned differences = 0;
  optimizer.kind = MARTLET_ADAM;
  make_batch(&batch, 2);
  martlet_node input = -1, output = -1;
  martlet_graph *graph = make_graph(&input, &output, -1);
  martlet_model *model = NULL;
  martlet_trainer *trainer = NULL;
  CALL(martlet_model_create(&model, graph, &input, 1, &output, 1, 5));
  CALL(martlet_trainer_create(&trainer, model, MARTLET_LOSS_CROSS_ENTROPY, &optimizer, 1));
  for (int i = 0; i < 4; i++) {
    CALL(martlet_trainer_step(trainer, &batch.x_array, 1, &batch.label_array, 1, &result));
    hash_bytes(&result.loss, sizeof result.loss);
  }
  options.epochs = 3;
  options.batch_size = 3;
  options.callback = look;
  options.payload = &differences;
  CALL(martlet_trainer_fit(trainer, &batch.x_array, 1, &batch.label_array, 1, &options, &result));
  hash_bytes(&result.loss, sizeof result.loss);
  CALL(martlet_model_update_population_statistics(model, &batch.x_array, 1, 0));
  CALL(martlet_trainer_evaluate(trainer, &batch.x_array, 1, &batch.label_array, 1, 0, &result));
  hash_bytes(&result.loss, sizeof result.loss);
  CALL(martlet_model_predict(model, &batch.x_array, 1, 0, &batch.out_array, 1));
  hash_bytes(batch.out, sizeof batch.out);
  CALL(martlet_model_predict_rows(model, batch.x, 1, batch.out));
  hash_bytes(batch.out, sizeof batch.out);
  CALL(martlet_model_forward(model, &batch.x_array, 1, 1));
  CALL(martlet_model_backward(model, &batch.grad_array, 1, 0));
  /* Inside the callback the environment was the caller's, flags aside. */
  CHECK_INT(0, differences & ~0x3fu);
  const uint64_t fingerprint = model_fingerprint(model);
  hash_bytes(&fingerprint, sizeof fingerprint);
  martlet_trainer_destroy(trainer);
  martlet_model_destroy(model);
  martlet_graph_destroy(graph);
}

static uint64_t run(unsigned control) {
  hash = 14695981039346656037u;
  environment = control;
  const int64_t sizes[] = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 100, 500};
  for (int i = 0; i < CHECK_COUNT(sizes); i++) tensors(sizes[i]);
  arrays(5, 3);
  arrays(17, 33);
  arrays(300, 257);
  training();
  return hash;
}

static void test_every_environment(void) {
  const unsigned controls[] = {STANDARD | FLUSH_TO_ZERO,
                               STANDARD | DENORMALS_ARE_ZERO,
                               STANDARD | FLUSH_TO_ZERO | DENORMALS_ARE_ZERO,
                               STANDARD | ROUND_UP,
                               STANDARD | ROUND_DOWN,
                               STANDARD | ROUND_TO_ZERO | FLUSH_TO_ZERO,
                               STANDARD & ~(unsigned)(INVALID_MASK | DIVIDE_MASK | OVERFLOW_MASK),
                               0, /* every exception traps, inexact results too */
                               STANDARD | 0x3f /* every flag raised */};
  const int32_t before = martlet_num_threads();
  CHECK_OK(martlet_set_num_threads(1));
  const uint64_t expected = run(STANDARD);
  for (int32_t threads = 1; threads <= 3; threads++) {
    CHECK_OK(martlet_set_num_threads(threads));
    CHECK(run(STANDARD) == expected);
    for (int i = 0; i < CHECK_COUNT(controls); i++) CHECK(run(controls[i]) == expected);
  }
  CHECK_OK(martlet_set_num_threads(before));
}

/* Threads that begin while traps are on, and a failing call. */
static void test_traps_from_the_start(void) {
  const int32_t before = martlet_num_threads();
  CHECK_OK(martlet_set_num_threads(1));
  environment = STANDARD & ~(unsigned)(INVALID_MASK | DIVIDE_MASK | OVERFLOW_MASK);
  CALL(martlet_set_num_threads(3));
  arrays(300, 257);
  const int64_t shape[1] = {-1};
  martlet_tensor *tensor = NULL;
  _mm_setcsr(environment);
  const martlet_status status = martlet_tensor_create_filled(&tensor, 1, shape, 1);
  const unsigned after = _mm_getcsr();
  _mm_setcsr(STANDARD);
  CHECK(status != MARTLET_OK);
  CHECK(after == environment);
  CHECK_OK(martlet_set_num_threads(before));
}

static const check_test tests[] = {TEST(test_every_environment), TEST(test_traps_from_the_start)};
#else
static void test_nothing(void) {
  CHECK(1);
}
static const check_test tests[] = {TEST(test_nothing)};
#endif

int main(int argc, char **argv) {
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
