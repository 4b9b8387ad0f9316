/* Folding: the folded model, what became of each layer, the differences on data. */
#include "models.h"

/* make_model's network with a dropout, its norm moved away from 0 and 1. */
static martlet_model *model_to_fold(void) {
  static const char *const names[] = {"norm1.weight", "norm1.bias", "norm1.running_mean", "norm1.running_var"};
  float values[4][NET_HIDDEN];
  static const int64_t shape[1] = {NET_HIDDEN};
  martlet_array arrays[4];
  martlet_node input = -1, output = -1;
  martlet_graph *graph = make_graph(&input, &output, 0.5);
  martlet_model *model = NULL;
  CHECK_OK(martlet_model_create(&model, graph, &input, 1, &output, 1, 3));
  martlet_graph_destroy(graph);
  for (int i = 0; i < 4; i++) {
    fill(values[i], NET_HIDDEN, (uint32_t)i + 5);
    arrays[i] = floats_of(values[i], 1, shape);
  }
  for (int c = 0; c < NET_HIDDEN; c++) values[3][c] = values[3][c] * values[3][c] + 0.5f;
  CHECK_OK(martlet_model_set_tensors(model, names, arrays, 4, 0));
  return model;
}

static void test_folds(void) {
  martlet_model *model = model_to_fold(), *folded = NULL;
  martlet_folding *folding = NULL;
  net_batch batch;
  float want[NET_ROWS * NET_CLASSES], largest = 0, value = 0;
  make_batch(&batch, 1);
  CHECK_OK(martlet_model_predict(model, &batch.x_array, 1, 0, &batch.out_array, 1));
  memcpy(want, batch.out, sizeof want);
  const uint64_t before = model_fingerprint(model);
  CHECK_OK(martlet_model_fold(&folded, &folding, model, &batch.x_array, 1));
  CHECK(model_fingerprint(model) == before);
  martlet_model_destroy(model); /* nothing is shared */
  CHECK_INT(3, martlet_model_layer_count(folded));
  CHECK_OK(martlet_model_predict(folded, &batch.x_array, 1, 0, &batch.out_array, 1));

  static const char *const names[] = {"dense1", "norm1", "sigmoid1", "dropout1", "dense2"};
  static const char *const details[] = {"took in \"norm1\"", "folded into \"dense1\" (dense)", "as it was",
                                        "gone: at inference it does nothing", "as it was"};
  static const int32_t outcomes[] = {MARTLET_LAYER_CHANGED, MARTLET_LAYER_FOLDED, MARTLET_LAYER_UNCHANGED,
                                     MARTLET_LAYER_REMOVED, MARTLET_LAYER_UNCHANGED};
  CHECK_INT(5, martlet_folding_layer_count(folding));
  for (int i = 0; i < 5; i++) {
    martlet_folding_layer layer;
    memset(&layer, 0, sizeof layer);
    layer.struct_size = sizeof layer;
    CHECK_OK(martlet_folding_layer_at(folding, i, &layer));
    CHECK_TEXT(names[i], layer.name);
    CHECK_TEXT(details[i], layer.detail);
    CHECK_INT(outcomes[i], layer.outcome);
    CHECK_INT(1, layer.difference.is_within_bound);
    /* The sigmoid's value is in memory in both; the first product only with its norm and sigmoid applied. */
    if (i < 2) CHECK_INT(0, layer.difference.is_measured);
    if (i == 2 || i == 4) CHECK(layer.difference.is_measured == 1 && layer.difference.bound > 0);
  }

  martlet_folding_difference difference;
  double found = 0;
  for (int i = 0; i < NET_ROWS * NET_CLASSES; i++) {
    value = want[i] < 0 ? -want[i] : want[i];
    largest = value > largest ? value : largest;
    const double distance = (double)batch.out[i] - want[i];
    found = distance > found ? distance : -distance > found ? -distance : found;
  }
  CHECK_INT(1, martlet_folding_output_count(folding));
  CHECK_OK(martlet_folding_output_at(folding, 0, &difference));
  CHECK(difference.absolute == found && difference.relative == found / largest);
  CHECK(difference.bound >= found && difference.bound < 1e-5);
  CHECK_INT(1, difference.is_measured);
  CHECK_INT(1, difference.is_within_bound);

  char text[1024];
  size_t length = 0, again = 0;
  CHECK_OK(martlet_folding_text(folding, NULL, 0, &length));
  CHECK_OK(martlet_folding_text(folding, text, sizeof text, &again));
  CHECK(length == again && length == strlen(text));
  CHECK(strstr(text, "1 of 1 batch norms folded") != NULL && strstr(text, "output 0 on 6 rows") != NULL);
  martlet_folding_destroy(folding);
  martlet_model_destroy(folded);
}

/* Without data nothing is measured; without a certificate it is still folded. */
static void test_folds_without_data(void) {
  martlet_model *model = model_to_fold(), *folded = NULL, *other = NULL;
  martlet_folding *folding = NULL;
  martlet_folding_difference difference;
  CHECK_OK(martlet_model_fold(&folded, &folding, model, NULL, 0));
  CHECK_INT(1, martlet_folding_output_count(folding));
  CHECK_OK(martlet_folding_output_at(folding, 0, &difference));
  CHECK(difference.absolute == 0 && difference.relative == 0 && difference.bound == 0);
  CHECK_INT(0, difference.is_measured);
  CHECK_INT(1, difference.is_within_bound);
  CHECK_OK(martlet_model_fold(&other, NULL, model, NULL, 0));
  CHECK(model_fingerprint(folded) == model_fingerprint(other));
  martlet_folding_destroy(folding);
  martlet_model_destroy(other);
  martlet_model_destroy(folded);
  martlet_model_destroy(model);
}

typedef struct fold_call {
  martlet_model *model, *out;
  martlet_folding *folding;
} fold_call;

static martlet_status fold_with(const martlet_array *data, void *context) {
  fold_call *call = (fold_call *)context;
  return martlet_model_fold(&call->out, &call->folding, call->model, data, 1);
}

static void test_refuses(void) {
  fold_call call = {model_to_fold(), NULL, NULL};
  net_batch batch;
  make_batch(&batch, 1);
  check_array_argument(fold_with, &call, &batch.x_array, "data", ARRAY_INPUT);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "model", martlet_model_fold(&call.out, NULL, NULL, NULL, 0));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out", martlet_model_fold(NULL, &call.folding, call.model, NULL, 0));
  const int32_t counts[] = {-1, 0, 2, INT32_MIN, INT32_MAX};
  for (int i = 0; i < CHECK_COUNT(counts); i++)
    CHECK_FAILS(STATUS(SHAPE_MISMATCH), "data",
                martlet_model_fold(&call.out, &call.folding, call.model, &batch.x_array, counts[i]));
  const int64_t none[2] = {0, NET_INPUTS}, wide[2] = {2, NET_INPUTS + 1};
  martlet_array empty = floats_of(batch.x, 2, none), other = floats_of(batch.x, 2, wide);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "rows", fold_with(&empty, &call));
  CHECK_FAILS(STATUS(SHAPE_MISMATCH), "data", fold_with(&other, &call));
  batch.x[5] = (float)HUGE_VAL;
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "finite", fold_with(&batch.x_array, &call));
  CHECK(call.out == NULL && call.folding == NULL);

  CHECK_OK(martlet_model_fold(&call.out, &call.folding, call.model, NULL, 0));
  martlet_folding_layer layer;
  martlet_folding_difference difference;
  size_t length = 0;
  POISON(difference);
  memset(&layer, 0xA5, sizeof layer);
  layer.struct_size = sizeof layer - 1;
  WATCH(&layer, sizeof layer);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "struct_size", martlet_folding_layer_at(call.folding, 0, &layer));
  layer.struct_size = sizeof layer;
  WATCH(&layer, sizeof layer);
  const int32_t indices[] = {-1, 5, INT32_MIN, INT32_MAX};
  for (int i = 0; i < CHECK_COUNT(indices); i++) {
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "index", martlet_folding_layer_at(call.folding, indices[i], &layer));
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "index", martlet_folding_output_at(call.folding, indices[i], &difference));
  }
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "folding", martlet_folding_layer_at(NULL, 0, &layer));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "folding", martlet_folding_output_at(NULL, 0, &difference));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "folding", martlet_folding_text(NULL, NULL, 0, &length));
  UNWATCH_ALL();
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "info", martlet_folding_layer_at(call.folding, 0, NULL));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out", martlet_folding_output_at(call.folding, 0, NULL));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out_length", martlet_folding_text(call.folding, NULL, 0, NULL));
  CHECK_INT(0, martlet_folding_layer_count(NULL));
  CHECK_INT(0, martlet_folding_output_count(NULL));
  martlet_folding_destroy(NULL);
  martlet_folding_destroy(call.folding);
  martlet_model_destroy(call.out);
  martlet_model_destroy(call.model);
}

static const check_test tests[] = {TEST(test_folds), TEST(test_folds_without_data), TEST(test_refuses)};

int main(int argc, char **argv) {
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
