/* Optimizers in loops by hand. */
#include "models.h"

static const size_t bad_sizes[] = {0, 1, 4, (size_t)-1};

static void test_create(void) {
  martlet_model *model = make_model(0);
  martlet_optimizer *out;
  const martlet_optimizer_options defaults = MARTLET_OPTIMIZER_OPTIONS_INIT;
  martlet_optimizer_options options = defaults;
  POISON(out);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out", martlet_optimizer_create(NULL, model, &options));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "model", martlet_optimizer_create(&out, NULL, &options));
  for (int i = 0; i < CHECK_COUNT(bad_sizes); i++) {
    options.struct_size = bad_sizes[i];
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "struct_size", martlet_optimizer_create(&out, model, &options));
  }
  const int32_t kinds[] = {-1, 3, INT32_MIN, INT32_MAX};
  for (int i = 0; i < CHECK_COUNT(kinds); i++) {
    options = defaults;
    options.kind = kinds[i];
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "kind", martlet_optimizer_create(&out, model, &options));
  }
  const double nan = (double)NAN, infinity = (double)INFINITY;
  const double bad[] = {-1, nan, infinity, -infinity};
  for (int i = 0; i < CHECK_COUNT(bad); i++) {
    options = defaults;
    options.learning_rate = bad[i];
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "learning_rate", martlet_optimizer_create(&out, model, &options));
    options = defaults;
    options.momentum = bad[i];
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "momentum", martlet_optimizer_create(&out, model, &options));
    options = defaults;
    options.weight_decay = bad[i];
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "weight_decay", martlet_optimizer_create(&out, model, &options));
    options = defaults;
    options.kind = MARTLET_ADAM;
    options.beta1 = bad[i];
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "beta1", martlet_optimizer_create(&out, model, &options));
    options.beta1 = 0.9;
    options.beta2 = bad[i];
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "beta2", martlet_optimizer_create(&out, model, &options));
    options.beta2 = 0.999;
    options.epsilon = bad[i];
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "epsilon", martlet_optimizer_create(&out, model, &options));
  }
  options = defaults;
  options.momentum = 1;
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "momentum", martlet_optimizer_create(&out, model, &options));
  options = defaults;
  options.nesterov = 1;
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "nesterov", martlet_optimizer_create(&out, model, &options));
  options = defaults;
  options.kind = MARTLET_ADAMW;
  options.beta1 = 1;
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "beta1", martlet_optimizer_create(&out, model, &options));
  options.beta1 = 0.9;
  options.epsilon = 0;
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "epsilon", martlet_optimizer_create(&out, model, &options));
  martlet_optimizer_destroy(NULL);
  martlet_model_destroy(model);
}

static void test_step(void) {
  martlet_model *model = make_model(0);
  net_batch batch;
  make_batch(&batch, 1);
  martlet_optimizer *optimizer = NULL;
  martlet_optimizer_options options = MARTLET_OPTIMIZER_OPTIONS_INIT;
  options.learning_rate = 0.25;
  options.weight_decay = 0.5; /* weights only */
  CHECK_OK(martlet_optimizer_create(&optimizer, model, &options));
  CHECK_OK(martlet_model_set_trainable(model, "dense2.weight", 0));
  CHECK_OK(martlet_model_forward(model, &batch.x_array, 1, 1));
  CHECK_OK(martlet_model_backward(model, &batch.grad_array, 1, 0));

  const martlet_tensor_info weight = tensor_named(model, "dense1.weight"), bias = tensor_named(model, "dense2.bias");
  const martlet_tensor_info kept = tensor_named(model, "dense2.weight");
  float old_weight[NET_HIDDEN * NET_INPUTS], old_bias[NET_CLASSES];
  memcpy(old_weight, weight.value.data, sizeof old_weight);
  memcpy(old_bias, bias.value.data, sizeof old_bias);
  float kept_before[NET_CLASSES * NET_HIDDEN];
  memcpy(kept_before, kept.value.data, sizeof kept_before);
  CHECK_OK(martlet_optimizer_step(optimizer));
  for (int i = 0; i < NET_HIDDEN * NET_INPUTS; i++) {
    const double gradient = ((float *)weight.gradient)[i] + 0.5 * old_weight[i];
    CHECK_CLOSE(old_weight[i] - 0.25 * gradient, ((float *)weight.value.data)[i], 4.0 / 16777216);
  }
  for (int i = 0; i < NET_CLASSES; i++) {
    CHECK_CLOSE(old_bias[i] - 0.25 * ((float *)bias.gradient)[i], ((float *)bias.value.data)[i], 4.0 / 16777216);
  }
  CHECK(memcmp(kept_before, kept.value.data, sizeof kept_before) == 0);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "optimizer", martlet_optimizer_step(NULL));
  martlet_model_destroy(model);
  CHECK_OK(martlet_optimizer_step(optimizer)); /* it holds on to the parameters */
  martlet_optimizer_destroy(optimizer);
}

static void test_learning_rate(void) {
  martlet_model *model = make_model(0);
  martlet_optimizer *optimizer = NULL;
  CHECK_OK(martlet_optimizer_create(&optimizer, model, NULL));
  CHECK_CLOSE(0.01, martlet_optimizer_learning_rate(optimizer), 0);
  CHECK_OK(martlet_optimizer_set_learning_rate(optimizer, 0.5));
  CHECK_CLOSE(0.5, martlet_optimizer_learning_rate(optimizer), 0);
  CHECK_OK(martlet_optimizer_set_learning_rate(optimizer, 0));
  const double bad[] = {-1, (double)NAN, (double)INFINITY, -(double)INFINITY};
  for (int i = 0; i < CHECK_COUNT(bad); i++) {
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "learning_rate", martlet_optimizer_set_learning_rate(optimizer, bad[i]));
    CHECK_CLOSE(0, martlet_optimizer_learning_rate(optimizer), 0);
  }
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "optimizer", martlet_optimizer_set_learning_rate(NULL, 0.5));
  CHECK(isnan(martlet_optimizer_learning_rate(NULL)));
  martlet_optimizer_destroy(optimizer);
  martlet_model_destroy(model);
}

static const check_test tests[] = {TEST(test_create), TEST(test_step), TEST(test_learning_rate)};

int main(int argc, char **argv) {
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
