/* Running a model: inference, one batch by hand, gradients. */
#include "models.h"

static martlet_status predict_input(const martlet_array *argument, void *context) {
  net_batch batch;
  make_batch(&batch, 1);
  return martlet_model_predict((martlet_model *)context, argument, 1, 0, &batch.out_array, 1);
}

static martlet_status predict_output(const martlet_array *argument, void *context) {
  net_batch batch;
  make_batch(&batch, 1);
  return martlet_model_predict((martlet_model *)context, &batch.x_array, 1, 0, argument, 1);
}

static void test_predict_arguments(void) {
  martlet_model *model = make_model(0);
  net_batch batch;
  make_batch(&batch, 1);
  watch_model(model);
  POISON(batch.out);
  check_array_argument(predict_input, model, &batch.x_array, "inputs", ARRAY_INPUT);
  check_array_argument(predict_output, model, &batch.out_array, "outputs", ARRAY_OUTPUT);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "model", martlet_model_predict(NULL, &batch.x_array, 1, 0, &batch.out_array, 1));
  const int32_t counts[] = {0, -1, 2, INT32_MIN, INT32_MAX};
  for (int i = 0; i < CHECK_COUNT(counts); i++) {
    CHECK_FAILS(BAD_SHAPE, "input", martlet_model_predict(model, &batch.x_array, counts[i], 0, &batch.out_array, 1));
    CHECK_FAILS(BAD_SHAPE, "output", martlet_model_predict(model, &batch.x_array, 1, 0, &batch.out_array, counts[i]));
  }
  const int64_t sizes[] = {-1, INT64_MIN};
  for (int i = 0; i < CHECK_COUNT(sizes); i++) {
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "batch_size",
                martlet_model_predict(model, &batch.x_array, 1, sizes[i], &batch.out_array, 1));
  }
  CHECK_FAILS(STATUS(SHAPE_MISMATCH), "inputs", martlet_model_predict(model, &batch.out_array, 1, 0, &batch.out_array, 1));
  CHECK_FAILS(STATUS(SHAPE_MISMATCH), "outputs", martlet_model_predict(model, &batch.x_array, 1, 0, &batch.x_array, 1));
  const int64_t fewer[2] = {NET_ROWS - 1, NET_CLASSES}, flat[1] = {NET_ROWS * NET_CLASSES};
  const martlet_array short_output = floats_of(batch.out, 2, fewer), flat_output = floats_of(batch.out, 1, flat);
  CHECK_FAILS(STATUS(SHAPE_MISMATCH), "outputs", martlet_model_predict(model, &batch.x_array, 1, 0, &short_output, 1));
  CHECK_FAILS(STATUS(SHAPE_MISMATCH), "outputs", martlet_model_predict(model, &batch.x_array, 1, 0, &flat_output, 1));
  const martlet_array over_inputs = floats_of(batch.x + 2, 2, net_output_shape);
  WATCH(batch.x, sizeof batch.x);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "outputs", martlet_model_predict(model, &batch.x_array, 1, 0, &over_inputs, 1));
  martlet_model_destroy(model);
}

static void test_predict(void) {
  martlet_model *model = make_model(7);
  net_batch whole, part;
  make_batch(&whole, 2);
  make_batch(&part, 2);
  const uint64_t before = model_fingerprint(model);
  CHECK_OK(martlet_model_predict(model, &whole.x_array, 1, 0, &whole.out_array, 1));
  const int64_t sizes[] = {1, 2, 5, 6, 7, 1000, INT64_MAX};
  for (int i = 0; i < CHECK_COUNT(sizes); i++) {
    memset(part.out, 0, sizeof part.out);
    CHECK_OK(martlet_model_predict(model, &whole.x_array, 1, sizes[i], &part.out_array, 1));
    CHECK(memcmp(whole.out, part.out, sizeof part.out) == 0); /* a row does not depend on the rows beside it, to the bit */
  }
  double wide[NET_ROWS * NET_INPUTS];
  for (int i = 0; i < NET_ROWS * NET_INPUTS; i++) wide[i] = whole.x[i];
  const martlet_array doubles = array_of(wide, MARTLET_FLOAT64, 2, net_batch_shape);
  memset(part.out, 0, sizeof part.out);
  CHECK_OK(martlet_model_predict(model, &doubles, 1, 0, &part.out_array, 1));
  CHECK(memcmp(whole.out, part.out, sizeof part.out) == 0);
  CHECK(model_fingerprint(model) == before);

  const int64_t no_inputs[2] = {0, NET_INPUTS}, no_outputs[2] = {0, NET_CLASSES};
  const martlet_array nothing_in = floats_of(NULL, 2, no_inputs), nothing_out = floats_of(NULL, 2, no_outputs);
  CHECK_OK(martlet_model_predict(model, &nothing_in, 1, 0, &nothing_out, 1));
  martlet_model_destroy(model);
}

static void test_predict_rows(void) {
  martlet_model *model = make_model(7);
  net_batch whole, part;
  make_batch(&whole, 2);
  make_batch(&part, 2);
  CHECK_OK(martlet_model_predict(model, &whole.x_array, 1, 0, &whole.out_array, 1));
  CHECK_OK(martlet_model_predict_rows(model, whole.x, NET_ROWS, part.out));
  CHECK(memcmp(whole.out, part.out, sizeof part.out) == 0);
  memset(part.out, 0, sizeof part.out);
  for (int row = 0; row < NET_ROWS; row++) {
    CHECK_OK(martlet_model_predict_rows(model, whole.x + row * NET_INPUTS, 1, part.out + row * NET_CLASSES));
  }
  CHECK(memcmp(whole.out, part.out, sizeof part.out) == 0);
  CHECK_OK(martlet_model_predict_rows(model, NULL, 0, NULL));

  WATCH(part.out, sizeof part.out);
  WATCH(whole.x, sizeof whole.x);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "model", martlet_model_predict_rows(NULL, whole.x, 1, part.out));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "input", martlet_model_predict_rows(model, NULL, 1, part.out));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "output", martlet_model_predict_rows(model, whole.x, 1, NULL));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "output", martlet_model_predict_rows(model, whole.x, 1, whole.x + 1));
  const int64_t rows[] = {-1, INT64_MIN, INT64_MAX, INT64_MAX / 16};
  for (int i = 0; i < CHECK_COUNT(rows); i++) {
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "rows", martlet_model_predict_rows(model, whole.x, rows[i], part.out));
  }
  const char *const ends[2] = {"dense1", "dense2"};
  martlet_model *two = NULL;
  CHECK_OK(martlet_model_create_submodel(&two, model, ends, 2));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "2 outputs", martlet_model_predict_rows(two, whole.x, 1, part.out));
  martlet_model_destroy(two);
  martlet_model_destroy(model);
}

/* Weights rounded to half precision: near, a row alone as in a batch, and off again. */
static void test_inference_weights(void) {
  martlet_model *model = make_model(7);
  net_batch exact, rounded;
  make_batch(&exact, 2);
  make_batch(&rounded, 2);
  int32_t format = -1;
  CHECK_OK(martlet_model_inference_weights(model, &format));
  CHECK_INT(MARTLET_INFERENCE_FLOAT32, format);
  CHECK_OK(martlet_model_predict_rows(model, exact.x, NET_ROWS, exact.out));
  CHECK_OK(martlet_model_set_inference_weights(model, MARTLET_INFERENCE_FLOAT16));
  CHECK_OK(martlet_model_inference_weights(model, &format));
  CHECK_INT(MARTLET_INFERENCE_FLOAT16, format);
  CHECK_OK(martlet_model_predict_rows(model, rounded.x, NET_ROWS, rounded.out));
  CHECK(memcmp(exact.out, rounded.out, sizeof exact.out) != 0);
  for (int i = 0; i < NET_ROWS * NET_CLASSES; i++) CHECK_CLOSE(exact.out[i], rounded.out[i], 2e-2);
  for (int row = 0; row < NET_ROWS; row++) {
    float alone[NET_CLASSES];
    CHECK_OK(martlet_model_predict_rows(model, rounded.x + row * NET_INPUTS, 1, alone));
    CHECK(memcmp(alone, rounded.out + row * NET_CLASSES, sizeof alone) == 0);
  }
  const int32_t unknown[] = {-1, 2, INT32_MAX};
  for (int i = 0; i < CHECK_COUNT(unknown); i++) {
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "format", martlet_model_set_inference_weights(model, unknown[i]));
  }
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "model", martlet_model_set_inference_weights(NULL, MARTLET_INFERENCE_FLOAT32));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out", martlet_model_inference_weights(model, NULL));
  CHECK_OK(martlet_model_inference_weights(model, &format));
  CHECK_INT(MARTLET_INFERENCE_FLOAT16, format);
  CHECK_OK(martlet_model_set_inference_weights(model, MARTLET_INFERENCE_FLOAT32));
  CHECK_OK(martlet_model_predict_rows(model, rounded.x, NET_ROWS, rounded.out));
  CHECK(memcmp(exact.out, rounded.out, sizeof exact.out) == 0);
  martlet_model_destroy(model);
}

/* Inference keeps what it made from the parameters until they change: however they change, it must know. */
static void test_changes_are_seen(void) {
  static const char *const names[] = {"dense1.weight", "dense1.bias",        "norm1.weight",     "norm1.bias",
                                      "dense2.weight", "norm1.running_mean", "norm1.running_var"};
  for (int through_view = 0; through_view < 2; through_view++) {
    martlet_model *model = make_model(7);
    net_batch first, second;
    make_batch(&first, 3);
    make_batch(&second, 3);
    for (int n = 0; n < CHECK_COUNT(names); n++) {
      float values[NET_HIDDEN * NET_INPUTS];
      martlet_tensor_info spec;
      for (int32_t i = 0; i < martlet_model_tensor_count(model); i++) {
        spec.struct_size = sizeof spec;
        CHECK_OK(martlet_model_tensor_spec_at(model, i, &spec));
        if (strcmp(spec.name, names[n]) == 0) break;
      }
      const int64_t count = element_count(spec.value.rank, spec.value.shape);
      float *const memory = through_view ? (float *)tensor_named(model, names[n]).value.data : values;
      const martlet_array array = floats_of(values, spec.value.rank, spec.value.shape);
      for (int round = 0; round < 2; round++) {
        CHECK_OK(martlet_model_predict_rows(model, first.x, NET_ROWS, first.out));
        for (int64_t i = 0; i < count; i++) memory[i] = 0.5f + 0.125f * (float)(i % 3) + (float)round;
        if (!through_view) CHECK_OK(martlet_model_set_tensors(model, &names[n], &array, 1, 0));
        CHECK_OK(martlet_model_predict_rows(model, first.x, NET_ROWS, second.out));
        CHECK(memcmp(first.out, second.out, sizeof first.out) != 0);
        martlet_model *fresh = NULL;
        CHECK_OK(martlet_model_clone(&fresh, model));
        CHECK_OK(martlet_model_predict_rows(fresh, first.x, NET_ROWS, first.out));
        CHECK(memcmp(first.out, second.out, sizeof first.out) == 0);
        martlet_model_destroy(fresh);
      }
    }
    martlet_model_destroy(model);
  }
}

static martlet_status forward(const martlet_array *argument, void *context) {
  return martlet_model_forward((martlet_model *)context, argument, 1, 1);
}

static void test_forward(void) {
  martlet_model *model = make_model(7);
  net_batch batch;
  make_batch(&batch, 2);
  martlet_view view;
  POISON(view);
  CHECK_FAILS(STATUS(INVALID_STATE), NULL, martlet_model_output(model, 0, &view)); /* nothing has run */
  watch_model(model);
  check_array_argument(forward, model, &batch.x_array, "inputs", ARRAY_INPUT);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "model", martlet_model_forward(NULL, &batch.x_array, 1, 1));
  const int32_t counts[] = {0, -1, 2, INT32_MIN, INT32_MAX};
  for (int i = 0; i < CHECK_COUNT(counts); i++) {
    CHECK_FAILS(BAD_SHAPE, "input", martlet_model_forward(model, &batch.x_array, counts[i], 1));
  }
  CHECK_FAILS(STATUS(SHAPE_MISMATCH), "inputs", martlet_model_forward(model, &batch.out_array, 1, 1));
  const int64_t one_row[2] = {1, NET_INPUTS};
  const martlet_array row = floats_of(batch.x, 2, one_row);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "norm1", martlet_model_forward(model, &row, 1, 1)); /* one value a channel */
  UNWATCH_ALL();

  /* Inference by hand is what predict says; it moves nothing. */
  const uint64_t before = model_fingerprint(model);
  CHECK_OK(martlet_model_predict(model, &batch.x_array, 1, 0, &batch.out_array, 1));
  CHECK_OK(martlet_model_forward(model, &batch.x_array, 1, 0));
  CHECK_OK(martlet_model_output(model, 0, &view));
  CHECK_INT(2, view.rank);
  CHECK_INT(NET_ROWS, view.shape[0]);
  CHECK_INT(NET_CLASSES, view.shape[1]);
  for (int i = 0; i < NET_ROWS * NET_CLASSES; i++) CHECK_CLOSE(batch.out[i], ((float *)view.data)[i], 1e-6);
  CHECK_OK(martlet_model_forward(model, &row, 1, 0));
  CHECK(model_fingerprint(model) == before);
  CHECK_OK(martlet_model_forward(model, &batch.x_array, 1, 1)); /* training moves the statistics */
  CHECK(model_fingerprint(model) != before);
  CHECK_INT(1, *(int64_t *)tensor_named(model, "norm1.num_batches_tracked").value.data);

  POISON(view);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "model", martlet_model_output(NULL, 0, &view));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out", martlet_model_output(model, 0, NULL));
  const int32_t outside[] = {-1, 1, INT32_MIN, INT32_MAX};
  for (int i = 0; i < CHECK_COUNT(outside); i++) {
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "index", martlet_model_output(model, outside[i], &view));
  }
  martlet_model_destroy(model);
}

static martlet_status backward(const martlet_array *argument, void *context) {
  return martlet_model_backward((martlet_model *)context, argument, 1, 0);
}

static void test_backward_states(void) {
  martlet_model *model = make_model(7);
  net_batch batch;
  make_batch(&batch, 2);
  martlet_view view;
  POISON(view);
  CHECK_FAILS(STATUS(INVALID_STATE), NULL, martlet_model_backward(model, &batch.grad_array, 1, 0)); /* before any forward */
  CHECK_FAILS(STATUS(INVALID_STATE), NULL, martlet_model_input_gradient(model, 0, &view));
  CHECK_OK(martlet_model_forward(model, &batch.x_array, 1, 0));
  CHECK_FAILS(STATUS(INVALID_STATE), NULL, martlet_model_backward(model, &batch.grad_array, 1, 0)); /* after inference */
  CHECK_OK(martlet_model_forward(model, &batch.x_array, 1, 1));
  CHECK_FAILS(STATUS(INVALID_STATE), NULL, martlet_model_input_gradient(model, 0, &view)); /* before backward */

  check_array_argument(backward, model, &batch.grad_array, "grad_outputs", ARRAY_INPUT);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "model", martlet_model_backward(NULL, &batch.grad_array, 1, 0));
  const int32_t counts[] = {0, -1, 2, INT32_MIN, INT32_MAX};
  for (int i = 0; i < CHECK_COUNT(counts); i++) {
    CHECK_FAILS(BAD_SHAPE, NULL, martlet_model_backward(model, &batch.grad_array, counts[i], 0));
  }
  CHECK_FAILS(STATUS(SHAPE_MISMATCH), "grad_outputs", martlet_model_backward(model, &batch.x_array, 1, 0));
  CHECK_OK(martlet_model_backward(model, &batch.grad_array, 1, 0)); /* the refused calls used nothing up */
  CHECK_FAILS(STATUS(INVALID_STATE), NULL, martlet_model_backward(model, &batch.grad_array, 1, 0)); /* already used */
  UNWATCH_ALL();
  CHECK_OK(martlet_model_input_gradient(model, 0, &view));
  CHECK_INT(2, view.rank);
  CHECK_INT(NET_ROWS, view.shape[0]);
  CHECK_INT(NET_INPUTS, view.shape[1]);
  POISON(view);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "model", martlet_model_input_gradient(NULL, 0, &view));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out", martlet_model_input_gradient(model, 0, NULL));
  const int32_t outside[] = {-1, 1, INT32_MIN, INT32_MAX};
  for (int i = 0; i < CHECK_COUNT(outside); i++) {
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "index", martlet_model_input_gradient(model, outside[i], &view));
  }
  martlet_model_destroy(model);
}

/* sum(grad * output) of a training forward, the function whose gradients backward gives. */
static double objective(martlet_model *model, const net_batch *batch) {
  martlet_view view;
  CHECK_OK(martlet_model_forward(model, &batch->x_array, 1, 1));
  CHECK_OK(martlet_model_output(model, 0, &view));
  double sum = 0;
  for (int i = 0; i < NET_ROWS * NET_CLASSES; i++) sum += (double)batch->grad[i] * ((float *)view.data)[i];
  return sum;
}

static void test_gradients_by_differences(void) {
  martlet_model *model = make_model(7);
  net_batch batch;
  make_batch(&batch, 2);
  fill((float *)tensor_named(model, "norm1.weight").value.data, NET_HIDDEN, 11);
  fill((float *)tensor_named(model, "norm1.bias").value.data, NET_HIDDEN, 12);
  (void)objective(model, &batch);
  CHECK_OK(martlet_model_backward(model, &batch.grad_array, 1, 0));
  martlet_view view;
  float input_gradient[NET_ROWS * NET_INPUTS];
  CHECK_OK(martlet_model_input_gradient(model, 0, &view));
  memcpy(input_gradient, view.data, sizeof input_gradient);

  /* Central differences: step^2 times a third derivative (about 1) plus rounding of the sum (6 * 2^-24 * 3) over the step. */
  const float step = 1.0f / 128;
  const double tolerance = 1.5e-3;
  const char *const names[] = {"dense1.weight", "norm1.weight", "norm1.bias", "dense2.weight", "dense2.bias"};
  for (int n = 0; n < CHECK_COUNT(names); n++) {
    const martlet_tensor_info info = tensor_named(model, names[n]);
    float *value = (float *)info.value.data;
    const float *gradient = (const float *)info.gradient;
    for (int64_t i = 0; i < element_count(info.value.rank, info.value.shape); i++) {
      const float old = value[i];
      value[i] = old + step;
      const double after = objective(model, &batch);
      value[i] = old - step;
      const double before = objective(model, &batch);
      value[i] = old;
      CHECK_CLOSE((after - before) / (2 * step), gradient[i], tolerance);
    }
  }
  for (int i = 0; i < NET_ROWS * NET_INPUTS; i++) {
    const float old = batch.x[i];
    batch.x[i] = old + step;
    const double after = objective(model, &batch);
    batch.x[i] = old - step;
    const double before = objective(model, &batch);
    batch.x[i] = old;
    CHECK_CLOSE((after - before) / (2 * step), input_gradient[i], tolerance);
  }
  martlet_model_destroy(model);
}

static void test_accumulate(void) {
  martlet_model *model = make_model(7);
  net_batch batch;
  make_batch(&batch, 2);
  float once[NET_CLASSES];
  const float *gradient = (const float *)tensor_named(model, "dense2.bias").gradient;
  CHECK_OK(martlet_model_forward(model, &batch.x_array, 1, 1));
  CHECK_OK(martlet_model_backward(model, &batch.grad_array, 1, 0));
  memcpy(once, gradient, sizeof once);
  CHECK_OK(martlet_model_forward(model, &batch.x_array, 1, 1));
  CHECK_OK(martlet_model_backward(model, &batch.grad_array, 1, 1));
  for (int i = 0; i < NET_CLASSES; i++) CHECK_CLOSE(2 * once[i], gradient[i], 1e-6);
  CHECK_OK(martlet_model_forward(model, &batch.x_array, 1, 1));
  CHECK_OK(martlet_model_backward(model, &batch.grad_array, 1, 0));
  for (int i = 0; i < NET_CLASSES; i++) CHECK_CLOSE(once[i], gradient[i], 0);
  martlet_model_destroy(model);
}

/* A batch with a NaN: it shows, the moving statistics skip it and count it. An empty batch changes nothing. */
static void test_odd_batches(void) {
  martlet_model *model = make_model(7);
  net_batch batch;
  make_batch(&batch, 2);
  batch.x[0] = NAN;
  CHECK_OK(martlet_model_forward(model, &batch.x_array, 1, 1));
  martlet_view view;
  CHECK_OK(martlet_model_output(model, 0, &view));
  CHECK(isnan(((float *)view.data)[0]));
  CHECK_INT(1, *(int64_t *)tensor_named(model, "norm1.num_batches_skipped").value.data);
  CHECK_INT(0, *(int64_t *)tensor_named(model, "norm1.num_batches_tracked").value.data);
  CHECK_CLOSE(0, ((float *)tensor_named(model, "norm1.running_mean").value.data)[0], 0);
  CHECK_CLOSE(1, ((float *)tensor_named(model, "norm1.running_var").value.data)[0], 0);

  const uint64_t before = model_fingerprint(model);
  const int64_t empty[2] = {0, NET_INPUTS};
  const martlet_array nothing = floats_of(NULL, 2, empty);
  CHECK_OK(martlet_model_forward(model, &nothing, 1, 1));
  CHECK_OK(martlet_model_output(model, 0, &view));
  CHECK_INT(0, view.shape[0]);
  CHECK_INT(NET_CLASSES, view.shape[1]);
  CHECK(model_fingerprint(model) == before);
  martlet_model_destroy(model);
}

static const check_test tests[] = {
    TEST(test_predict_arguments), TEST(test_predict),    TEST(test_predict_rows),    TEST(test_inference_weights),
    TEST(test_changes_are_seen),  TEST(test_forward),    TEST(test_backward_states), TEST(test_gradients_by_differences),
    TEST(test_accumulate),        TEST(test_odd_batches)};

int main(int argc, char **argv) {
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
