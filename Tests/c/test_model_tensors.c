/* Parameters and state, batch norm's switches, statistics over data sets. */
#include "models.h"

static void test_tensor_at_and_named(void) {
  static const char *const names[] = {"dense1.weight",
                                      "dense1.bias",
                                      "norm1.weight",
                                      "norm1.bias",
                                      "norm1.running_mean",
                                      "norm1.running_var",
                                      "norm1.num_batches_tracked",
                                      "dense2.weight",
                                      "dense2.bias"};
  martlet_model *model = make_model(0);
  for (int i = 0; i < CHECK_COUNT(names); i++) {
    const martlet_tensor_info info = tensor_named(model, names[i]);
    CHECK_TEXT(names[i], info.name);
    const int is_state = i >= 4 && i <= 6;
    CHECK_INT(is_state ? MARTLET_STATE : MARTLET_PARAMETER, info.kind);
    CHECK_INT(!is_state, info.trainable);
    CHECK((info.gradient == NULL) == is_state);
    CHECK(info.value.data != NULL);
    CHECK_INT(i == 6 ? MARTLET_INT64 : MARTLET_FLOAT32, info.value.dtype);
    CHECK_INT(i == 0 || i == 7 ? 2 : i == 6 ? 0 : 1, info.value.rank);
  }
  const martlet_tensor_info weight = tensor_named(model, "dense1.weight");
  CHECK_INT(NET_HIDDEN, weight.value.shape[0]); /* [out, in] */
  CHECK_INT(NET_INPUTS, weight.value.shape[1]);
  CHECK_CLOSE(1, ((float *)tensor_named(model, "norm1.weight").value.data)[0], 0);
  CHECK_CLOSE(1, ((float *)tensor_named(model, "norm1.running_var").value.data)[0], 0);

  /* By index and by name is the same. */
  const int32_t count = martlet_model_tensor_count(model);
  CHECK(count >= CHECK_COUNT(names));
  for (int32_t i = 0; i < count; i++) {
    martlet_tensor_info info;
    info.struct_size = sizeof info;
    CHECK_OK(martlet_model_tensor_at(model, i, &info));
    CHECK(tensor_named(model, info.name).value.data == info.value.data);
  }

  martlet_tensor_info info;
  POISON(info);
  info.struct_size = sizeof info;
  WATCH(&info, sizeof info);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "model", martlet_model_tensor_at(NULL, 0, &info));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "info", martlet_model_tensor_at(model, 0, NULL));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "model", martlet_model_tensor_named(NULL, "dense1.bias", &info));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "name", martlet_model_tensor_named(model, NULL, &info));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "info", martlet_model_tensor_named(model, "dense1.bias", NULL));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "nobody", martlet_model_tensor_named(model, "nobody.bias", &info));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), NULL, martlet_model_tensor_named(model, "", &info));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), NULL, martlet_model_tensor_named(model, "\xff\xfe", &info)); /* not UTF-8 */
  const int32_t outside[] = {-1, count, INT32_MIN, INT32_MAX};
  for (int i = 0; i < CHECK_COUNT(outside); i++) {
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "index", martlet_model_tensor_at(model, outside[i], &info));
  }
  const size_t sizes[] = {0, 1, 7};
  for (int i = 0; i < CHECK_COUNT(sizes); i++) {
    info.struct_size = sizes[i];
    WATCH(&info, sizeof info);
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "struct_size", martlet_model_tensor_at(model, 0, &info));
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "struct_size", martlet_model_tensor_named(model, "dense1.bias", &info));
  }
  martlet_model_destroy(model);
}

static void test_tensor_spec_at(void) {
  martlet_model *model = make_model(0);
  const int32_t count = martlet_model_tensor_count(model);
  martlet_tensor_info spec, info;
  spec.struct_size = info.struct_size = sizeof info;
  for (int32_t i = 0; i < count; i++) {
    CHECK_OK(martlet_model_tensor_spec_at(model, i, &spec));
    CHECK_OK(martlet_model_tensor_at(model, i, &info));
    CHECK(spec.value.data == NULL);
    CHECK(info.value.data != NULL);
    info.value.data = NULL; /* all else is the same */
    CHECK(spec.name == info.name && spec.kind == info.kind && spec.trainable == info.trainable);
    CHECK(spec.gradient == info.gradient);
    CHECK(memcmp(&spec.value, &info.value, sizeof spec.value) == 0);
  }
  POISON(info);
  info.struct_size = sizeof info;
  WATCH(&info, sizeof info);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "model", martlet_model_tensor_spec_at(NULL, 0, &info));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "info", martlet_model_tensor_spec_at(model, 0, NULL));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "index", martlet_model_tensor_spec_at(model, -1, &info));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "index", martlet_model_tensor_spec_at(model, count, &info));
  martlet_model_destroy(model);
}

static martlet_status read_bias(const martlet_array *argument, void *context) {
  return martlet_model_read_tensor((martlet_model *)context, "dense1.bias", argument);
}

static void test_read_tensor(void) {
  martlet_model *model = make_model(4);
  const int64_t shape[2] = {NET_HIDDEN, NET_INPUTS};
  float narrow[NET_HIDDEN * NET_INPUTS];
  double wide[NET_HIDDEN * NET_INPUTS];
  const martlet_array floats = floats_of(narrow, 2, shape), doubles = array_of(wide, MARTLET_FLOAT64, 2, shape);
  CHECK_OK(martlet_model_read_tensor(model, "dense1.weight", &floats));
  CHECK_OK(martlet_model_read_tensor(model, "dense1.weight", &doubles));
  const float *values = (const float *)tensor_named(model, "dense1.weight").value.data;
  CHECK(memcmp(values, narrow, sizeof narrow) == 0);
  for (int i = 0; i < NET_HIDDEN * NET_INPUTS; i++) CHECK_CLOSE(values[i], wide[i], 0);
  int64_t counter = -1;
  const martlet_array number = array_of(&counter, MARTLET_INT64, 0, NULL);
  CHECK_OK(martlet_model_read_tensor(model, "norm1.num_batches_tracked", &number));
  CHECK_INT(0, counter);

  WATCH(narrow, sizeof narrow);
  const int64_t bias_shape[1] = {NET_HIDDEN};
  const martlet_array bias = floats_of(narrow, 1, bias_shape);
  check_array_argument(read_bias, model, &bias, "out", ARRAY_OUTPUT | ARRAY_FLOAT64_TOO);
  CHECK_FAILS(STATUS(SHAPE_MISMATCH), "dense1.bias", martlet_model_read_tensor(model, "dense1.bias", &floats));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "model", martlet_model_read_tensor(NULL, "dense1.bias", &bias));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "name", martlet_model_read_tensor(model, NULL, &bias));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "nobody", martlet_model_read_tensor(model, "nobody.bias", &bias));
  martlet_model_destroy(model);
}

static martlet_status set_bias(const martlet_array *argument, void *context) {
  const char *const name = "dense1.bias";
  martlet_array value;
  memset(&value, 0, sizeof value);
  if (argument != NULL) value = *argument;
  return martlet_model_set_tensors((martlet_model *)context, &name, argument == NULL ? NULL : &value, 1, 0);
}

static void test_set_tensors(void) {
  martlet_model *model = make_model(0);
  double bias[NET_HIDDEN] = {1, 2, 3, 4, 5};
  int32_t tracked = 7;
  const int64_t hidden[1] = {NET_HIDDEN}, longer[1] = {NET_HIDDEN + 1};
  const char *const names[2] = {"dense1.bias", "norm1.num_batches_tracked"};
  const martlet_array values[2] = {array_of(bias, MARTLET_FLOAT64, 1, hidden), array_of(&tracked, MARTLET_INT32, 0, NULL)};
  CHECK_OK(martlet_model_set_tensors(model, names, values, 2, 0));
  for (int i = 0; i < NET_HIDDEN; i++) CHECK_CLOSE(bias[i], ((float *)tensor_named(model, names[0]).value.data)[i], 0);
  CHECK_INT(7, ((int64_t *)tensor_named(model, names[1]).value.data)[0]);
  CHECK_OK(martlet_model_set_tensors(model, NULL, NULL, 0, 0)); /* nothing to write */

  watch_model(model);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "model", martlet_model_set_tensors(NULL, names, values, 2, 0));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "names", martlet_model_set_tensors(model, NULL, values, 2, 0));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "values", martlet_model_set_tensors(model, names, NULL, 2, 0));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "count", martlet_model_set_tensors(model, names, values, -1, 0));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "count", martlet_model_set_tensors(model, names, values, INT32_MIN, 0));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT) | STATUS(SHAPE_MISMATCH), NULL, martlet_model_set_tensors(model, names, values, 2, 1));
  check_array_argument(set_bias, model, &values[0], NULL, ARRAY_INPUT);

  /* All are checked before the first is written: a right value first, a wrong one second. */
  bias[0] = 99;
  const char *const unknown[2] = {"dense1.bias", "nobody"}, *const missing[2] = {"dense1.bias", NULL};
  const char *const twice[2] = {"dense1.bias", "dense1.bias"};
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "nobody", martlet_model_set_tensors(model, unknown, values, 2, 0));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "names", martlet_model_set_tensors(model, missing, values, 2, 0));
  martlet_array wrong[2];
  wrong[0] = wrong[1] = values[0];
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), NULL, martlet_model_set_tensors(model, twice, wrong, 2, 0));
  const char *const two[2] = {"dense1.bias", "norm1.bias"};
  double more[NET_HIDDEN + 1] = {0};
  wrong[1] = array_of(more, MARTLET_FLOAT64, 1, longer);
  CHECK_FAILS(STATUS(SHAPE_MISMATCH), "norm1.bias", martlet_model_set_tensors(model, two, wrong, 2, 0));
  double half = 0.5;
  wrong[1] = array_of(&half, MARTLET_FLOAT64, 0, NULL); /* a counter takes whole numbers */
  CHECK_FAILS(STATUS(INVALID_ARGUMENT) | STATUS(UNSUPPORTED), "num_batches_tracked",
              martlet_model_set_tensors(model, names, wrong, 2, 0));
  martlet_model_destroy(model);
}

/* A whole model's tensors into another, strictly; counters may be missing. */
static void test_set_all_strictly(void) {
  martlet_model *source = make_model(1), *target = make_model(2);
  const int32_t count = martlet_model_tensor_count(source);
  const char *names[32];
  martlet_array values[32];
  int64_t shapes[32][2];
  int32_t used = 0;
  if (count > 32) exit(2);
  for (int32_t i = 0; i < count; i++) {
    martlet_tensor_info info;
    info.struct_size = sizeof info;
    CHECK_OK(martlet_model_tensor_at(source, i, &info));
    if (info.value.rank == 0) continue; /* the counters */
    memcpy(shapes[used], info.value.shape, (size_t)info.value.rank * sizeof(int64_t));
    names[used] = info.name;
    values[used] = array_of(info.value.data, info.value.dtype, info.value.rank, shapes[used]);
    used++;
  }
  *(int64_t *)tensor_named(target, "norm1.num_batches_tracked").value.data = 5;
  CHECK_OK(martlet_model_set_tensors(target, names, values, used, 1));
  CHECK_INT(0, *(int64_t *)tensor_named(target, "norm1.num_batches_tracked").value.data);
  CHECK(model_fingerprint(source) == model_fingerprint(target));
  watch_model(target);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), names[used - 1], martlet_model_set_tensors(target, names, values, used - 1, 1));
  martlet_model_destroy(source);
  martlet_model_destroy(target);
}

static void test_trainable(void) {
  martlet_model *model = make_model(0);
  CHECK_OK(martlet_model_set_trainable(model, "dense1.weight", 0));
  CHECK_INT(0, tensor_named(model, "dense1.weight").trainable);
  CHECK_OK(martlet_model_set_trainable(model, "dense1.weight", 1));
  CHECK_INT(1, tensor_named(model, "dense1.weight").trainable);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "model", martlet_model_set_trainable(NULL, "dense1.weight", 0));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "tensor_name", martlet_model_set_trainable(model, NULL, 0));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "nobody", martlet_model_set_trainable(model, "nobody", 0));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "running_mean", martlet_model_set_trainable(model, "norm1.running_mean", 1));
  martlet_model_destroy(model);
}

static void test_switches(void) {
  martlet_model *model = make_model(0);
  martlet_batch_norm_switches switches;
  memset(&switches, 0, sizeof switches);
  switches.struct_size = sizeof switches;
  CHECK_OK(martlet_model_batch_norm_switches(model, "norm1", &switches));
  CHECK_INT(MARTLET_NORMALIZE_WITH_BATCH, switches.normalize_with);
  CHECK_INT(1, switches.updates_moving);
  CHECK_INT(1, switches.trains_scale_shift);

  switches.normalize_with = MARTLET_NORMALIZE_WITH_MOVING;
  switches.updates_moving = switches.trains_scale_shift = 0;
  CHECK_OK(martlet_model_set_batch_norm_switches(model, NULL, &switches));
  martlet_batch_norm_switches read = switches;
  read.normalize_with = read.updates_moving = read.trains_scale_shift = -1;
  CHECK_OK(martlet_model_batch_norm_switches(model, "norm1", &read));
  CHECK_INT(MARTLET_NORMALIZE_WITH_MOVING, read.normalize_with);
  CHECK_INT(0, read.updates_moving);
  CHECK_INT(0, read.trains_scale_shift);

  POISON(read);
  read.struct_size = sizeof read;
  WATCH(&read, sizeof read);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "model", martlet_model_batch_norm_switches(NULL, "norm1", &read));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "layer_name", martlet_model_batch_norm_switches(model, NULL, &read));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out", martlet_model_batch_norm_switches(model, "norm1", NULL));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "nobody", martlet_model_batch_norm_switches(model, "nobody", &read));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "dense1", martlet_model_batch_norm_switches(model, "dense1", &read));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "model", martlet_model_set_batch_norm_switches(NULL, "norm1", &switches));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "switches", martlet_model_set_batch_norm_switches(model, "norm1", NULL));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "nobody", martlet_model_set_batch_norm_switches(model, "nobody", &switches));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "dense1", martlet_model_set_batch_norm_switches(model, "dense1", &switches));
  const int32_t normalizers[] = {-1, 2, INT32_MIN, INT32_MAX};
  for (int i = 0; i < CHECK_COUNT(normalizers); i++) {
    switches.normalize_with = normalizers[i];
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "normalize_with", martlet_model_set_batch_norm_switches(model, "norm1", &switches));
  }
  switches.normalize_with = 0;
  const size_t sizes[] = {0, 1, 7, (size_t)-1};
  for (int i = 0; i < CHECK_COUNT(sizes); i++) {
    switches.struct_size = sizes[i];
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "struct_size", martlet_model_set_batch_norm_switches(model, "norm1", &switches));
    if (i == CHECK_COUNT(sizes) - 1) break; /* a reader may have a larger struct than the library knows */
    read.struct_size = sizes[i];
    WATCH(&read, sizeof read);
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "struct_size", martlet_model_batch_norm_switches(model, "norm1", &read));
  }
  martlet_model_destroy(model);
}

typedef martlet_status (*data_function)(martlet_model *, const martlet_array *, int32_t, int64_t);
typedef struct data_call {
  data_function function;
  martlet_model *model;
} data_call;

static martlet_status call_with(const martlet_array *argument, void *context) {
  const data_call *call = (const data_call *)context;
  return call->function(call->model, argument, 1, 4);
}

/* The two functions that read a whole data set refuse the same things. */
static void check_data_function(data_function function, martlet_model *model) {
  net_batch batch;
  make_batch(&batch, 1);
  watch_model(model);
  data_call call;
  call.function = function;
  call.model = model;
  check_array_argument(call_with, &call, &batch.x_array, "inputs", ARRAY_INPUT);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "model", function(NULL, &batch.x_array, 1, 4));
  const int32_t counts[] = {0, -1, 2, INT32_MIN, INT32_MAX};
  for (int i = 0; i < CHECK_COUNT(counts); i++) {
    CHECK_FAILS(STATUS(INVALID_ARGUMENT) | STATUS(SHAPE_MISMATCH), NULL, function(model, &batch.x_array, counts[i], 4));
  }
  const int64_t sizes[] = {-1, INT64_MIN};
  for (int i = 0; i < CHECK_COUNT(sizes); i++) {
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "batch_size", function(model, &batch.x_array, 1, sizes[i]));
  }
  const martlet_array wide = floats_of(batch.out, 2, net_output_shape);
  CHECK_FAILS(STATUS(SHAPE_MISMATCH), "inputs", function(model, &wide, 1, 4));
  UNWATCH_ALL();
}

static void test_population_statistics(void) {
  martlet_model *model = make_model(0), *other = NULL;
  check_data_function(martlet_model_update_population_statistics, model);
  net_batch batch;
  make_batch(&batch, 2);
  CHECK_OK(martlet_model_clone(&other, model));
  CHECK_OK(martlet_model_update_population_statistics(model, &batch.x_array, 1, 2));
  CHECK_OK(martlet_model_update_population_statistics(other, &batch.x_array, 1, 5));
  const float *mean = (const float *)tensor_named(model, "norm1.running_mean").value.data;
  const float *other_mean = (const float *)tensor_named(other, "norm1.running_mean").value.data;
  const float *weight = (const float *)tensor_named(model, "dense1.weight").value.data;
  for (int k = 0; k < NET_HIDDEN; k++) {
    double expected = 0; /* the mean of x W^T, whose bias is 0 */
    for (int row = 0; row < NET_ROWS; row++) {
      for (int i = 0; i < NET_INPUTS; i++)
        expected += (double)batch.x[row * NET_INPUTS + i] * weight[k * NET_INPUTS + i] / NET_ROWS;
    }
    CHECK_CLOSE(expected, mean[k], 16.0 / 16777216);
    CHECK_CLOSE(mean[k], other_mean[k], 2.0 / 16777216);
  }
  martlet_model_destroy(model);
  martlet_model_destroy(other);
}

static void test_fit_input_normalization(void) {
  martlet_graph *graph = NULL;
  martlet_node input = -1, output = -1;
  martlet_model *model = NULL;
  CHECK_OK(martlet_graph_create(&graph));
  CHECK_OK(martlet_graph_input(graph, "in", 1, net_input_shape, &input));
  CHECK_OK(martlet_graph_input_normalization(graph, "raw", input, 0, &output));
  CHECK_OK(martlet_model_create(&model, graph, &input, 1, &output, 1, 0));
  martlet_graph_destroy(graph);
  float x[NET_ROWS * NET_INPUTS], y[NET_ROWS * NET_INPUTS];
  fill(x, NET_ROWS * NET_INPUTS, 3);
  for (int row = 0; row < NET_ROWS; row++) {
    x[row * NET_INPUTS] = x[row * NET_INPUTS] * 500 + 101325;
    x[row * NET_INPUTS + 1] = 42.1f; /* never varies */
  }
  const martlet_array x_array = floats_of(x, 2, net_batch_shape), y_array = floats_of(y, 2, net_batch_shape);
  CHECK_FAILS(STATUS(INVALID_STATE), "fit_input_normalization", martlet_model_predict(model, &x_array, 1, 0, &y_array, 1));

  check_data_function(martlet_model_fit_input_normalization, model);
  CHECK_OK(martlet_model_fit_input_normalization(model, &x_array, 1, 4));
  CHECK_OK(martlet_model_predict(model, &x_array, 1, 0, &y_array, 1));
  for (int k = 0; k < NET_INPUTS; k++) {
    double sum = 0, squares = 0;
    for (int row = 0; row < NET_ROWS; row++) sum += y[row * NET_INPUTS + k];
    for (int row = 0; row < NET_ROWS; row++) squares += (double)y[row * NET_INPUTS + k] * y[row * NET_INPUTS + k];
    CHECK_CLOSE(0, sum / NET_ROWS, 1e-5); /* the mean 101325 itself has 24 bits: 0.004 of 500 */
    CHECK_CLOSE(k == 1 ? 0 : 1, squares / NET_ROWS, 1e-5);
  }
  martlet_model_destroy(model);
}

static const check_test tests[] = {
    TEST(test_tensor_at_and_named),    TEST(test_tensor_spec_at), TEST(test_read_tensor), TEST(test_set_tensors),
    TEST(test_set_all_strictly),       TEST(test_trainable),      TEST(test_switches),    TEST(test_population_statistics),
    TEST(test_fit_input_normalization)};

int main(int argc, char **argv) {
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
