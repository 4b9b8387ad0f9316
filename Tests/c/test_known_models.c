/* Well-known networks by name. */
#include "arrays.h"

static const int64_t image[3] = {16, 16, 3};

static int64_t parameters(const martlet_model *model) {
  int64_t total = 0;
  for (int32_t i = 0; i < martlet_model_layer_count(model); i++) {
    martlet_layer_info info;
    info.struct_size = sizeof info;
    CHECK_OK(martlet_model_layer_at(model, i, &info));
    total += info.parameter_count;
  }
  return total;
}

static void test_names(void) {
  static const char *const names[] = {"mlp",      "cnn",      "lenet_bn", "resnet20",     "resnet32",
                                      "resnet56", "resnet18", "vgg_bn",   "bn_inception", "mobilenet_v1"};
  CHECK_INT(CHECK_COUNT(names), martlet_known_model_count());
  for (int i = 0; i < CHECK_COUNT(names); i++) CHECK(strcmp(names[i], martlet_known_model_name(i)) == 0);
  const int32_t bad[] = {-1, CHECK_COUNT(names), INT32_MIN, INT32_MAX};
  for (int i = 0; i < CHECK_COUNT(bad); i++) CHECK(martlet_known_model_name(bad[i]) == NULL);
}

static void test_each(void) {
  const int64_t shape[3] = {64, 64, 3};
  float x[2 * 64 * 64 * 3], y[2 * 5];
  for (int i = 0; i < CHECK_COUNT(x); i++) x[i] = (float)(i % 17) / 8 - 1;
  const int64_t x_shape[4] = {2, 64, 64, 3}, y_shape[2] = {2, 5};
  const martlet_array in = {x, x_shape, NULL, 4, MARTLET_FLOAT32}, out = {y, y_shape, NULL, 2, MARTLET_FLOAT32};
  for (int32_t i = 0; i < martlet_known_model_count(); i++) {
    martlet_known_model_options options = MARTLET_KNOWN_MODEL_OPTIONS_INIT;
    if (i > 0) options.width = 0.125;
    martlet_model *model = NULL;
    CHECK_OK(martlet_model_build(&model, martlet_known_model_name(i), 3, shape, 5, &options, 1));
    CHECK_OK(martlet_model_predict(model, &in, 1, 0, &out, 1));
    for (int k = 0; k < CHECK_COUNT(y); k++) CHECK(y[k] - y[k] == 0); /* finite */
    martlet_model_destroy(model);
  }
}

static void test_options(void) {
  const int64_t hidden[2] = {7, 5}, four[1] = {4};
  martlet_known_model_options options = MARTLET_KNOWN_MODEL_OPTIONS_INIT;
  martlet_model *model = NULL;
  options.hidden = hidden;
  options.hidden_count = 2;
  CHECK_OK(martlet_model_build(&model, "mlp", 1, four, 3, &options, 1));
  CHECK_INT(4 * 7 + 14 + 7 * 5 + 10 + 6 * 3, parameters(model));
  martlet_model_destroy(model);
  options.hidden_count = 0; /* none, and not the default three */
  CHECK_OK(martlet_model_build(&model, "mlp", 1, four, 3, &options, 1));
  CHECK_INT(5 * 3, parameters(model));
  martlet_model_destroy(model);

  const martlet_known_model_options plain = MARTLET_KNOWN_MODEL_OPTIONS_INIT;
  options = plain;
  CHECK_OK(martlet_model_build(&model, "resnet20", 3, image, 10, NULL, 1));
  CHECK_INT(269722, parameters(model));
  martlet_model_destroy(model);
  options.shortcut = MARTLET_SHORTCUT_PROJECTION;
  options.zero_last_scale = 1;
  CHECK_OK(martlet_model_build(&model, "resnet20", 3, image, 10, &options, 1));
  CHECK_INT(272474, parameters(model));
  float scale[16];
  const int64_t sixteen[1] = {16};
  const martlet_array out = {scale, sixteen, NULL, 1, MARTLET_FLOAT32};
  CHECK_OK(martlet_model_read_tensor(model, "layer1.0.bn2.weight", &out));
  CHECK(scale[0] == 0 && scale[15] == 0);
  CHECK_OK(martlet_model_read_tensor(model, "layer1.0.bn1.weight", &out));
  CHECK(scale[0] == 1 && scale[15] == 1);
  martlet_model_destroy(model);
  options = plain;
  options.residual_recipe = 1;
  CHECK_OK(martlet_model_build(&model, "resnet20", 3, image, 10, &options, 1));
  CHECK_OK(martlet_model_read_tensor(model, "layer1.0.bn2.weight", &out));
  CHECK(scale[0] == 0 && scale[15] == 0);
  martlet_model_destroy(model);
}

static void test_wrong_arguments(void) {
  martlet_model *out;
  POISON(out);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out", martlet_model_build(NULL, "mlp", 3, image, 2, NULL, 0));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "name", martlet_model_build(&out, NULL, 3, image, 2, NULL, 0));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "name", martlet_model_build(&out, "", 3, image, 2, NULL, 0));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "name", martlet_model_build(&out, "resnet21", 3, image, 2, NULL, 0));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "name", martlet_model_build(&out, "\xff", 3, image, 2, NULL, 0));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "input_shape", martlet_model_build(&out, "cnn", 3, NULL, 2, NULL, 0));
  const int32_t ranks[] = {-1, 16, INT32_MIN, INT32_MAX};
  for (int i = 0; i < CHECK_COUNT(ranks); i++) {
    CHECK_FAILS(BAD_SHAPE, "rank", martlet_model_build(&out, "mlp", ranks[i], image, 2, NULL, 0));
  }
  for (int32_t rank = 0; rank < 3; rank++) {
    CHECK_FAILS(BAD_SHAPE, "images", martlet_model_build(&out, "cnn", rank, image, 2, NULL, 0));
  }
  const int64_t extents[] = {0, -1, INT64_MIN, INT64_MAX, (int64_t)1 << 40};
  for (int32_t network = 0; network < martlet_known_model_count(); network++) {
    const char *name = martlet_known_model_name(network);
    for (int i = 0; i < CHECK_COUNT(extents); i++) {
      const int64_t all[3] = {extents[i], extents[i], extents[i]}, channels[3] = {16, 16, extents[i]};
      CHECK(martlet_model_build(&out, name, 3, all, 2, NULL, 0) != MARTLET_OK);
      CHECK(martlet_model_build(&out, name, 3, channels, 2, NULL, 0) != MARTLET_OK);
      if (extents[i] <= 0) {
        CHECK_FAILS(STATUS(INVALID_ARGUMENT), "classes", martlet_model_build(&out, name, 3, image, extents[i], NULL, 0));
      } else {
        CHECK(martlet_model_build(&out, name, 3, image, extents[i], NULL, 0) != MARTLET_OK);
      }
    }
  }
}

static void test_wrong_options(void) {
  martlet_model *out;
  const martlet_known_model_options plain = MARTLET_KNOWN_MODEL_OPTIONS_INIT;
  const int64_t bad_units[] = {0, -1, INT64_MIN, INT64_MAX};
  POISON(out);
  martlet_known_model_options options = plain;
  options.struct_size = 8;
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "struct_size", martlet_model_build(&out, "cnn", 3, image, 2, &options, 0));
  const double widths[] = {0, -1, 65, HUGE_VAL, NAN};
  for (int i = 0; i < CHECK_COUNT(widths); i++) {
    options = plain;
    options.width = widths[i];
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "width", martlet_model_build(&out, "cnn", 3, image, 2, &options, 0));
  }
  const double rates[] = {1, HUGE_VAL, NAN};
  for (int i = 0; i < CHECK_COUNT(rates); i++) {
    options = plain;
    options.dropout = rates[i];
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "dropout", martlet_model_build(&out, "cnn", 3, image, 2, &options, 0));
  }
  const int32_t numbers[] = {-1, 3, INT32_MIN, INT32_MAX};
  for (int i = 0; i < CHECK_COUNT(numbers); i++) {
    options = plain;
    options.shortcut = numbers[i];
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "shortcut", martlet_model_build(&out, "resnet20", 3, image, 2, &options, 0));
    options = plain;
    options.zero_last_scale = numbers[i];
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "zero_last_scale", martlet_model_build(&out, "resnet20", 3, image, 2, &options, 0));
    options = plain;
    options.residual_recipe = numbers[i];
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "residual_recipe", martlet_model_build(&out, "resnet20", 3, image, 2, &options, 0));
    options = plain;
    options.hidden_count = numbers[i]; /* with hidden NULL */
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "hidden", martlet_model_build(&out, "mlp", 3, image, 2, &options, 0));
  }
  for (int i = 0; i < CHECK_COUNT(bad_units); i++) {
    options = plain;
    options.hidden = &bad_units[i];
    options.hidden_count = 1;
    CHECK(martlet_model_build(&out, "mlp", 3, image, 2, &options, 0) != MARTLET_OK);
  }
  options = plain;
  options.dropout = 0.5;
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "resnet20", martlet_model_build(&out, "resnet20", 3, image, 2, &options, 0));
  UNWATCH_ALL();
}

static const check_test tests[] = {TEST(test_names), TEST(test_each), TEST(test_options), TEST(test_wrong_arguments),
                                   TEST(test_wrong_options)};
int main(int argc, char **argv) {
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
