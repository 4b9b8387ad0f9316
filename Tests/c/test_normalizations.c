/* Batch norm's relatives: as functions and as layers against PyTorch, and what they refuse. */
#include "golden.h"
#include "models.h"
#include "tolerance.h"

static const char *const cases[] = {"layer_dense/",    "layer_wide/",      "layer_plain/",      "layer_scale/",
                                    "layer_shift/",    "layer_image/",     "layer_all/",        "layer_all_sequence/",
                                    "rms_dense/",      "rms_plain/",       "rms_sequence/",     "group_image/",
                                    "group_one/",      "group_sequence/",  "group_dense/",      "group_plain/",
                                    "instance_image/", "instance_affine/", "instance_sequence/"};

static martlet_normalization_options options_of(const golden_file *file, const char *prefix) {
  const martlet_normalization_options kinds[4] = {MARTLET_LAYER_NORM_INIT, MARTLET_RMS_NORM_INIT,
                                                  MARTLET_GROUP_NORM_INIT((int64_t)golden_number(file, prefix, "groups")),
                                                  MARTLET_INSTANCE_NORM_INIT};
  martlet_normalization_options options = kinds[(int)golden_number(file, prefix, "kind")];
  options.epsilon = golden_number(file, prefix, "epsilon");
  if (golden_number(file, prefix, "over_all") != 0) options.over = MARTLET_OVER_ALL;
  options.scale = golden_find(file, prefix, "scale", "") != NULL;
  options.shift = golden_find(file, prefix, "shift", "") != NULL;
  return options;
}

static float *room(int64_t count) {
  return (float *)calloc((size_t)count, sizeof(float));
}

static void check_case(const golden_file *file, const char *prefix) {
  golden_record *x = golden_get(file, prefix, "x", ""), *dy = golden_get(file, prefix, "grad_output", "");
  golden_record *scale = golden_find(file, prefix, "scale", ""), *shift = golden_find(file, prefix, "shift", "");
  const martlet_normalization_options options = options_of(file, prefix);
  const martlet_array x_array = golden_array(x), dy_array = golden_array(dy);
  martlet_array learned[2];
  float *y = room(x->count), *dx = room(x->count);
  float *gradients[2] = {room(x->count), room(x->count)};
  martlet_array gradient_arrays[2];
  golden_record *const records[2] = {scale, shift};
  for (int i = 0; i < 2; i++) {
    if (records[i] == NULL) continue;
    learned[i] = golden_array(records[i]);
    gradient_arrays[i] = floats_of(gradients[i], records[i]->rank, records[i]->shape);
  }
  const martlet_array *const parameters[2] = {scale ? &learned[0] : NULL, shift ? &learned[1] : NULL};
  const martlet_array y_array = floats_of(y, x->rank, x->shape), dx_array = floats_of(dx, x->rank, x->shape);
  CHECK_OK(martlet_normalize(&options, &x_array, parameters[0], parameters[1], NULL, NULL, &y_array));
  CHECK_OK(martlet_normalize_gradients(&options, &x_array, parameters[0], parameters[1], NULL, NULL, &dy_array, &dx_array,
                                       scale ? &gradient_arrays[0] : NULL, shift ? &gradient_arrays[1] : NULL, NULL, NULL));
  const golden_record *want_y = golden_get(file, prefix, "y", ""), *want_dx = golden_get(file, prefix, "grad_input", "");
  const double size = golden_largest(want_y) + 1, steep = golden_largest(want_dx) + 4 * golden_largest(dy);
  CHECK_GOLDEN(want_y, y, rounding_tolerance(16, size));
  CHECK_GOLDEN(want_dx, dx, rounding_tolerance(32, steep));
  const double sums = (double)x->count * golden_largest(dy) * size / (double)x->shape[x->rank - 1];
  if (scale) CHECK_GOLDEN(golden_get(file, prefix, "grad_scale", ""), gradients[0], rounding_tolerance(16, sums));
  if (shift) CHECK_GOLDEN(golden_get(file, prefix, "grad_shift", ""), gradients[1], rounding_tolerance(16, sums));

  /* The layer gives the same bits. */
  martlet_graph *graph = NULL;
  martlet_node in = -1, out = -1;
  martlet_model *model = NULL;
  martlet_view view;
  CHECK_OK(martlet_graph_create(&graph));
  CHECK_OK(martlet_graph_input(graph, "in", x->rank - 1, x->shape + 1, &in));
  CHECK_OK(martlet_graph_normalization(graph, "norm", in, &options, &out));
  CHECK_OK(martlet_model_create(&model, graph, &in, 1, &out, 1, 0));
  martlet_graph_destroy(graph);
  const char *const names[2] = {"norm.weight", "norm.bias"};
  for (int i = 0; i < 2; i++) {
    if (records[i] != NULL) CHECK_OK(martlet_model_set_tensors(model, &names[i], &learned[i], 1, 0));
  }
  for (int training = 0; training < 2; training++) {
    CHECK_OK(martlet_model_forward(model, &x_array, 1, training));
    CHECK_OK(martlet_model_output(model, 0, &view));
    CHECK(memcmp(view.data, y, (size_t)x->count * sizeof(float)) == 0);
  }
  CHECK_OK(martlet_model_backward(model, &dy_array, 1, 0));
  CHECK_OK(martlet_model_input_gradient(model, 0, &view));
  CHECK(memcmp(view.data, dx, (size_t)x->count * sizeof(float)) == 0);
  for (int i = 0; i < 2; i++) {
    if (records[i] == NULL) continue;
    const void *found = tensor_named(model, names[i]).gradient;
    CHECK(memcmp(found, gradients[i], (size_t)records[i]->count * sizeof(float)) == 0);
  }
  martlet_model_destroy(model);
  free(y);
  free(dx);
  free(gradients[0]);
  free(gradients[1]);
}

static void test_goldens(void) {
  golden_file file = golden_read("normalization");
  for (int i = 0; i < CHECK_COUNT(cases); i++) check_case(&file, cases[i]);
  golden_free(&file);
}

enum { ROWS = 2, POSITIONS = 3, CHANNELS = 2, COUNT = ROWS * POSITIONS * CHANNELS };

/* By the formula, in double. */
static void test_filter_response(void) {
  martlet_normalization_options options = MARTLET_FILTER_RESPONSE_NORM_INIT;
  const int64_t shape[3] = {ROWS, POSITIONS, CHANNELS}, vector[1] = {CHANNELS};
  float x[COUNT], y[COUNT], dy[COUNT], dx[COUNT];
  float scale[CHANNELS] = {1.5f, -0.5f}, shift[CHANNELS] = {0.25f, -0.25f}, tau[CHANNELS] = {0.125f, -0.25f};
  float learned[CHANNELS] = {-0.25f, 0.5f}, d_scale[CHANNELS], d_shift[CHANNELS], d_tau[CHANNELS], d_learned[CHANNELS];
  fill(x, COUNT, 1);
  fill(dy, COUNT, 2);
  options.epsilon = 0.125;
  const martlet_array x_array = floats_of(x, 3, shape), y_array = floats_of(y, 3, shape), dy_array = floats_of(dy, 3, shape);
  const martlet_array dx_array = floats_of(dx, 3, shape), scale_array = floats_of(scale, 1, vector);
  const martlet_array shift_array = floats_of(shift, 1, vector), tau_array = floats_of(tau, 1, vector);
  const martlet_array learned_array = floats_of(learned, 1, vector), d_scale_array = floats_of(d_scale, 1, vector);
  const martlet_array d_shift_array = floats_of(d_shift, 1, vector), d_tau_array = floats_of(d_tau, 1, vector);
  const martlet_array d_learned_array = floats_of(d_learned, 1, vector);
  CHECK_OK(martlet_normalize(&options, &x_array, &scale_array, &shift_array, &tau_array, &learned_array, &y_array));
  CHECK_OK(martlet_normalize_gradients(&options, &x_array, &scale_array, &shift_array, &tau_array, &learned_array, &dy_array,
                                       &dx_array, &d_scale_array, &d_shift_array, &d_tau_array, &d_learned_array));
  for (int c = 0; c < CHANNELS; c++) {
    double want_scale = 0, want_shift = 0, want_tau = 0, want_learned = 0;
    for (int n = 0; n < ROWS; n++) {
      double square = 0, projection = 0;
      for (int p = 0; p < POSITIONS; p++) {
        const double value = x[(n * POSITIONS + p) * CHANNELS + c];
        square += value * value / POSITIONS;
      }
      const double inv = 1 / sqrt(square + options.epsilon + fabs(learned[c]));
      for (int p = 0; p < POSITIONS; p++) {
        const int i = (n * POSITIONS + p) * CHANNELS + c;
        const double z = scale[c] * x[i] * inv + shift[c];
        CHECK_CLOSE(z > tau[c] ? z : tau[c], y[i], rounding_tolerance(8, 4));
        if (z < tau[c]) {
          want_tau += dy[i];
        } else {
          projection += dy[i] * x[i] * inv;
          want_shift += dy[i];
        }
      }
      want_scale += projection;
      want_learned -= 0.5 * (learned[c] < 0 ? -1 : 1) * scale[c] * projection * inv * inv;
      for (int p = 0; p < POSITIONS; p++) {
        const int i = (n * POSITIONS + p) * CHANNELS + c;
        const double passed = scale[c] * x[i] * inv + shift[c] < tau[c] ? 0 : dy[i];
        CHECK_CLOSE(scale[c] * inv * (passed - x[i] * inv * projection / POSITIONS), dx[i], rounding_tolerance(16, 8));
      }
    }
    CHECK_CLOSE(want_scale, d_scale[c], rounding_tolerance(32, 8));
    CHECK_CLOSE(want_shift, d_shift[c], rounding_tolerance(32, 8));
    CHECK_CLOSE(want_tau, d_tau[c], rounding_tolerance(32, 8));
    CHECK_CLOSE(want_learned, d_learned[c], rounding_tolerance(32, 8));
  }
  /* In place; nothing learned. */
  CHECK_OK(martlet_normalize(&options, &x_array, NULL, NULL, NULL, NULL, &x_array));
  /* Nothing is wanted: nothing is written. */
  CHECK_OK(martlet_normalize_gradients(&options, &x_array, NULL, NULL, NULL, NULL, &dy_array, NULL, NULL, NULL, NULL, NULL));
}

#define BAD_ARGUMENT  STATUS(INVALID_ARGUMENT)
#define REFUSED_SHAPE STATUS(SHAPE_MISMATCH)

static void test_refused_functions(void) {
  martlet_normalization_options layer = MARTLET_LAYER_NORM_INIT, rms = MARTLET_RMS_NORM_INIT;
  martlet_normalization_options group = MARTLET_GROUP_NORM_INIT(2), instance = MARTLET_INSTANCE_NORM_INIT;
  const int64_t shape[2] = {2, 6}, vector[1] = {6}, wrong[1] = {5};
  float x[12], y[12], values[6] = {1, 1, 1, 1, 1, 1};
  fill(x, 12, 1);
  POISON(y);
  WATCH(y, sizeof y);
  const martlet_array x_array = floats_of(x, 2, shape), y_array = floats_of(y, 2, shape), ones = floats_of(values, 1, vector);
  const martlet_array five = floats_of(values, 1, wrong);
  CHECK_FAILS(BAD_ARGUMENT, "options", martlet_normalize(NULL, &x_array, NULL, NULL, NULL, NULL, &y_array));
  CHECK_FAILS(BAD_ARGUMENT, "x", martlet_normalize(&layer, NULL, NULL, NULL, NULL, NULL, &y_array));
  CHECK_FAILS(BAD_ARGUMENT, "y", martlet_normalize(&layer, &x_array, NULL, NULL, NULL, NULL, NULL));
  CHECK_FAILS(REFUSED_SHAPE, "scale", martlet_normalize(&layer, &x_array, &five, NULL, NULL, NULL, &y_array));
  CHECK_FAILS(REFUSED_SHAPE, "shift", martlet_normalize(&group, &x_array, NULL, &five, NULL, NULL, &y_array));
  CHECK_FAILS(BAD_ARGUMENT, "threshold", martlet_normalize(&layer, &x_array, NULL, NULL, &ones, NULL, &y_array));
  CHECK_FAILS(BAD_ARGUMENT, "learned_epsilon", martlet_normalize(&layer, &x_array, NULL, NULL, NULL, &ones, &y_array));
  CHECK_FAILS(BAD_ARGUMENT, "rms_norm has none", martlet_normalize(&rms, &x_array, NULL, &ones, NULL, NULL, &y_array));
  CHECK_FAILS(REFUSED_SHAPE, "2 or more pixels", martlet_normalize(&instance, &x_array, NULL, NULL, NULL, NULL, &y_array));
  CHECK_FAILS(REFUSED_SHAPE, "two or more axes", martlet_normalize(&rms, &ones, NULL, NULL, NULL, NULL, &y_array));
  group.groups = 4;
  CHECK_FAILS(REFUSED_SHAPE, "do not divide", martlet_normalize(&group, &x_array, NULL, NULL, NULL, NULL, &y_array));
  group.groups = 0;
  CHECK_FAILS(BAD_ARGUMENT, "groups", martlet_normalize(&group, &x_array, NULL, NULL, NULL, NULL, &y_array));
  group.groups = INT64_MIN;
  CHECK_FAILS(BAD_ARGUMENT, "groups", martlet_normalize(&group, &x_array, NULL, NULL, NULL, NULL, &y_array));
  layer.epsilon = 0;
  CHECK_FAILS(BAD_ARGUMENT, "epsilon", martlet_normalize(&layer, &x_array, NULL, NULL, NULL, NULL, &y_array));
  layer.epsilon = NAN;
  CHECK_FAILS(BAD_ARGUMENT, "epsilon", martlet_normalize(&layer, &x_array, NULL, NULL, NULL, NULL, &y_array));
  CHECK_FAILS(BAD_ARGUMENT, "grad_output",
              martlet_normalize_gradients(&rms, &x_array, NULL, NULL, NULL, NULL, NULL, &y_array, NULL, NULL, NULL, NULL));
  CHECK_FAILS(REFUSED_SHAPE, "grad_output",
              martlet_normalize_gradients(&rms, &x_array, NULL, NULL, NULL, NULL, &ones, &y_array, NULL, NULL, NULL, NULL));
  CHECK_FAILS(REFUSED_SHAPE, "grad_scale",
              martlet_normalize_gradients(&rms, &x_array, NULL, NULL, NULL, NULL, &x_array, &y_array, &five, NULL, NULL, NULL));
  CHECK_FAILS(BAD_ARGUMENT, "grad_shift",
              martlet_normalize_gradients(&rms, &x_array, NULL, NULL, NULL, NULL, &x_array, &y_array, NULL, &ones, NULL, NULL));
  const martlet_array shifted = floats_of(x + 1, 2, shape);
  CHECK_FAILS(BAD_ARGUMENT, "shares memory", martlet_normalize(&rms, &x_array, NULL, NULL, NULL, NULL, &shifted));
}

static void test_refused_options(void) {
  const martlet_normalization_options kinds[5] = {MARTLET_LAYER_NORM_INIT, MARTLET_RMS_NORM_INIT, MARTLET_GROUP_NORM_INIT(2),
                                                  MARTLET_INSTANCE_NORM_INIT, MARTLET_FILTER_RESPONSE_NORM_INIT};
  const int64_t image[3] = {2, 2, 4};
  martlet_graph *graph = NULL;
  martlet_node in = -1, out = -7;
  CHECK_OK(martlet_graph_create(&graph));
  CHECK_OK(martlet_graph_input(graph, "in", 3, image, &in));
  WATCH(&out, sizeof out);
  CHECK_FAILS(BAD_ARGUMENT, "options", martlet_graph_normalization(graph, NULL, in, NULL, &out));
  CHECK_FAILS(BAD_ARGUMENT, "graph", martlet_graph_normalization(NULL, NULL, in, &kinds[0], &out));
  CHECK_FAILS(BAD_ARGUMENT, "out", martlet_graph_normalization(graph, NULL, in, &kinds[0], NULL));
  for (int kind = 0; kind < 5; kind++) {
    martlet_normalization_options options = kinds[kind];
    options.struct_size = 8;
    CHECK_FAILS(BAD_ARGUMENT, "struct_size", martlet_graph_normalization(graph, NULL, in, &options, &out));
    options = kinds[kind];
    options.scale = 2;
    CHECK_FAILS(BAD_ARGUMENT, "options.scale", martlet_graph_normalization(graph, NULL, in, &options, &out));
    options = kinds[kind];
    options.over = kind == MARTLET_LAYER_NORM ? 2 : 1;
    CHECK_FAILS(BAD_ARGUMENT, "options.over", martlet_graph_normalization(graph, NULL, in, &options, &out));
    options = kinds[kind];
    options.groups = kind == MARTLET_GROUP_NORM ? -1 : 2;
    CHECK_FAILS(BAD_ARGUMENT, "groups", martlet_graph_normalization(graph, NULL, in, &options, &out));
    options = kinds[kind];
    options.threshold = kind == MARTLET_FILTER_RESPONSE_NORM ? 7 : 1;
    CHECK_FAILS(BAD_ARGUMENT, "options.threshold", martlet_graph_normalization(graph, NULL, in, &options, &out));
    options = kinds[kind];
    options.learn_epsilon = kind == MARTLET_FILTER_RESPONSE_NORM ? -1 : 1;
    CHECK_FAILS(BAD_ARGUMENT, "options.learn_epsilon", martlet_graph_normalization(graph, NULL, in, &options, &out));
  }
  martlet_normalization_options rms = MARTLET_RMS_NORM_INIT;
  rms.shift = 1;
  CHECK_FAILS(BAD_ARGUMENT, "options.shift", martlet_graph_normalization(graph, NULL, in, &rms, &out));
  rms.kind = 5;
  CHECK_FAILS(BAD_ARGUMENT, "options.kind", martlet_graph_normalization(graph, NULL, in, &rms, &out));
  rms.kind = -1;
  CHECK_FAILS(BAD_ARGUMENT, "options.kind", martlet_graph_normalization(graph, NULL, in, &rms, &out));
  martlet_graph_destroy(graph);
}

static const check_test tests[] = {TEST(test_goldens), TEST(test_filter_response), TEST(test_refused_functions),
                                   TEST(test_refused_options)};

int main(int argc, char **argv) {
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
