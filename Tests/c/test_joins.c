/* Graphs that branch and join: sums, concatenations, layers in several places, reshaping, channels first. */
#include "arrays.h"

static const int64_t row3[1] = {3};

/* Inputs "a" and "b" of three numbers: nodes 0 and 1. */
static martlet_graph *graph_of_two(martlet_node in[2]) {
  martlet_graph *graph = NULL;
  CHECK_OK(martlet_graph_create(&graph));
  CHECK_OK(martlet_graph_input(graph, "a", 1, row3, &in[0]));
  CHECK_OK(martlet_graph_input(graph, "b", 1, row3, &in[1]));
  return graph;
}

static void test_joins_refuse(void) {
  martlet_node in[2] = {-1, -1}, out, image = -1;
  martlet_graph *graph = graph_of_two(in);
  const int64_t shape[2] = {2, 3};
  CHECK_OK(martlet_graph_input(graph, "image", 2, shape, &image));
  POISON(out);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "graph", martlet_graph_add(NULL, "x", in, 2, &out));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "graph", martlet_graph_concatenate(NULL, "x", in, 2, &out));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "inputs", martlet_graph_add(graph, "x", NULL, 2, &out));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "inputs", martlet_graph_concatenate(graph, "x", NULL, 2, &out));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out", martlet_graph_add(graph, "x", in, 2, NULL));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out", martlet_graph_concatenate(graph, "x", in, 2, NULL));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "name", martlet_graph_add(graph, "a", in, 2, &out));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "name", martlet_graph_concatenate(graph, "a/b", in, 2, &out));
  const int32_t counts[] = {-1, 0, 1, 4097, INT32_MIN, INT32_MAX};
  for (int i = 0; i < CHECK_COUNT(counts); i++) {
    CHECK_FAILS(BAD_SHAPE, "input", martlet_graph_add(graph, "x", in, counts[i], &out));
    CHECK_FAILS(BAD_SHAPE, "input", martlet_graph_concatenate(graph, "x", in, counts[i], &out));
  }
  const martlet_node bad[] = {-1, 3, INT32_MIN, INT32_MAX};
  for (int i = 0; i < CHECK_COUNT(bad); i++) {
    const martlet_node pair[2] = {in[0], bad[i]};
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "input", martlet_graph_add(graph, "x", pair, 2, &out));
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "input", martlet_graph_concatenate(graph, "x", pair, 2, &out));
  }
  const martlet_node unlike[2] = {in[0], image};
  CHECK_FAILS(STATUS(SHAPE_MISMATCH), "one shape", martlet_graph_add(graph, "x", unlike, 2, &out));
  CHECK_FAILS(STATUS(SHAPE_MISMATCH), "last axis", martlet_graph_concatenate(graph, "x", unlike, 2, &out));
  UNWATCH_ALL();
  CHECK_OK(martlet_graph_add(graph, "x", in, 2, &out));
  CHECK_INT(3, out); /* none of the refused calls added a node */
  martlet_graph_destroy(graph);
}

static void test_apply_refuses(void) {
  martlet_node in[2] = {-1, -1}, out, dense = -1, wide = -1;
  martlet_graph *graph = graph_of_two(in);
  const int64_t five[1] = {5};
  CHECK_OK(martlet_graph_dense(graph, "dense", in[0], 2, NULL, &dense));
  CHECK_OK(martlet_graph_input(graph, "wide", 1, five, &wide));
  POISON(out);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "graph", martlet_graph_apply(NULL, dense, &in[1], 1, &out));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "inputs", martlet_graph_apply(graph, dense, NULL, 1, &out));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out", martlet_graph_apply(graph, dense, &in[1], 1, NULL));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "is an input", martlet_graph_apply(graph, in[0], &in[1], 1, &out));
  const martlet_node bad[] = {-1, 4, INT32_MIN, INT32_MAX};
  for (int i = 0; i < CHECK_COUNT(bad); i++) {
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "layer", martlet_graph_apply(graph, bad[i], &in[1], 1, &out));
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "input", martlet_graph_apply(graph, dense, &bad[i], 1, &out));
  }
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "inputs", martlet_graph_apply(graph, dense, in, -1, &out));
  CHECK_FAILS(STATUS(SHAPE_MISMATCH), "one input", martlet_graph_apply(graph, dense, in, 0, &out));
  CHECK_FAILS(STATUS(SHAPE_MISMATCH), "one input", martlet_graph_apply(graph, dense, in, 2, &out));
  CHECK_FAILS(STATUS(SHAPE_MISMATCH), "weight", martlet_graph_apply(graph, dense, &wide, 1, &out));
  UNWATCH_ALL();
  CHECK_OK(martlet_graph_apply(graph, dense, &in[1], 1, &out));
  CHECK_INT(4, out);
  martlet_graph_destroy(graph);
}

/* One dense for both inputs; the sum and both results side by side. */
static void test_shared_layer(void) {
  martlet_node in[2] = {-1, -1}, towers[2] = {-1, -1}, out[2] = {-1, -1};
  martlet_graph *graph = graph_of_two(in);
  CHECK_OK(martlet_graph_dense(graph, "tower", in[0], 2, NULL, &towers[0]));
  CHECK_OK(martlet_graph_apply(graph, towers[0], &in[1], 1, &towers[1]));
  CHECK_OK(martlet_graph_add(graph, NULL, towers, 2, &out[0]));
  CHECK_OK(martlet_graph_concatenate(graph, NULL, towers, 2, &out[1]));
  martlet_model *model = NULL;
  CHECK_OK(martlet_model_create(&model, graph, in, 2, out, 2, 3));
  martlet_graph_destroy(graph);
  CHECK_INT(2, martlet_model_tensor_count(model)); /* one weight, one bias */

  float weight[6] = {1, 2, 3, -1, 0, 1}, bias[2] = {0.5f, -0.5f};
  const int64_t weight_shape[2] = {2, 3}, bias_shape[1] = {2}, batch[2] = {2, 3}, pairs[2] = {2, 2}, fours[2] = {2, 4};
  const char *const names[2] = {"tower.weight", "tower.bias"};
  martlet_array values[2];
  values[0] = floats_of(weight, 2, weight_shape);
  values[1] = floats_of(bias, 1, bias_shape);
  CHECK_OK(martlet_model_set_tensors(model, names, values, 2, 1));

  float a[6] = {1, 0, 0, 0, 1, 0}, b[6] = {0, 0, 1, 1, 1, 1};
  float sum[4], wide[8];
  martlet_array inputs[2], outputs[2];
  inputs[0] = floats_of(a, 2, batch);
  inputs[1] = floats_of(b, 2, batch);
  outputs[0] = floats_of(sum, 2, pairs);
  outputs[1] = floats_of(wide, 2, fours);
  CHECK_OK(martlet_model_predict(model, inputs, 2, 0, outputs, 2));
  const float want_wide[8] = {1.5f, -1.5f, 3.5f, 0.5f, 2.5f, -0.5f, 6.5f, -0.5f};
  for (int i = 0; i < 8; i++) CHECK_CLOSE(want_wide[i], wide[i], 0);
  for (int i = 0; i < 4; i++) CHECK_CLOSE(want_wide[i + 2 * (i / 2)] + want_wide[i + 2 * (i / 2) + 2], sum[i], 0);

  /* The gradients of both places add up: with dL/d(sum) = 1 and dL/d(wide) = 0, dL/db is twice the rows. */
  float ones[4] = {1, 1, 1, 1}, zeros[8] = {0};
  martlet_array gradients[2];
  gradients[0] = floats_of(ones, 2, pairs);
  gradients[1] = floats_of(zeros, 2, fours);
  CHECK_OK(martlet_model_forward(model, inputs, 2, 1));
  CHECK_OK(martlet_model_backward(model, gradients, 2, 0));
  martlet_tensor_info info;
  memset(&info, 0, sizeof info);
  info.struct_size = sizeof info;
  CHECK_OK(martlet_model_tensor_named(model, "tower.bias", &info));
  for (int i = 0; i < 2; i++) CHECK_CLOSE(4, ((const float *)info.gradient)[i], 0);
  CHECK_OK(martlet_model_tensor_named(model, "tower.weight", &info));
  const float columns[3] = {2, 2, 2}; /* of a and b together */
  for (int i = 0; i < 6; i++) CHECK_CLOSE(columns[i % 3], ((const float *)info.gradient)[i], 0);
  martlet_model_destroy(model);
}

static void test_reshape(void) {
  martlet_node in[2] = {-1, -1}, out;
  martlet_graph *graph = graph_of_two(in);
  POISON(out);
  const int64_t good[3] = {1, -1, 3}, two[1] = {2}, open_two[2] = {-1, 2}, twice[2] = {-1, -1}, negative[1] = {-3};
  const int64_t large[2] = {INT64_MAX, INT64_MAX};
  const int64_t ones[17] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "graph", martlet_graph_reshape(NULL, "x", in[0], 3, good, &out));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "shape", martlet_graph_reshape(graph, "x", in[0], 3, NULL, &out));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out", martlet_graph_reshape(graph, "x", in[0], 3, good, NULL));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "input", martlet_graph_reshape(graph, "x", 77, 3, good, &out));
  CHECK_FAILS(BAD_SHAPE, "rank", martlet_graph_reshape(graph, "x", in[0], -1, good, &out));
  CHECK_FAILS(BAD_SHAPE, "rank", martlet_graph_reshape(graph, "x", in[0], 17, ones, &out));
  CHECK_FAILS(BAD_SHAPE, "rank", martlet_graph_reshape(graph, "x", in[0], 16, ones, &out));
  CHECK_FAILS(BAD_SHAPE, "holds 2", martlet_graph_reshape(graph, "x", in[0], 1, two, &out));
  CHECK_FAILS(BAD_SHAPE, "whole number", martlet_graph_reshape(graph, "x", in[0], 2, open_two, &out));
  CHECK_FAILS(BAD_SHAPE, "-1", martlet_graph_reshape(graph, "x", in[0], 2, twice, &out));
  CHECK_FAILS(BAD_SHAPE, "0 or more", martlet_graph_reshape(graph, "x", in[0], 1, negative, &out));
  CHECK_FAILS(BAD_SHAPE, "shape", martlet_graph_reshape(graph, "x", in[0], 2, large, &out));
  UNWATCH_ALL();
  CHECK_OK(martlet_graph_reshape(graph, NULL, in[0], 3, good, &out));
  martlet_model *model = NULL;
  CHECK_OK(martlet_model_create(&model, graph, in, 1, &out, 1, 0));
  martlet_view view;
  CHECK_OK(martlet_model_output_shape(model, 0, &view));
  CHECK_INT(3, view.rank);
  for (int i = 0; i < 3; i++) CHECK_INT(i == 2 ? 3 : 1, view.shape[i]);
  martlet_model_destroy(model);
  martlet_graph_destroy(graph);
}

static void test_channels(void) {
  martlet_graph *graph = NULL;
  martlet_node in = -1, out[2] = {-1, -1}, refused;
  const int64_t image[3] = {2, 1, 3};
  CHECK_OK(martlet_graph_create(&graph));
  CHECK_OK(martlet_graph_input(graph, NULL, 3, image, &in));
  POISON(refused);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "graph", martlet_graph_channels_last(NULL, NULL, in, &refused));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "graph", martlet_graph_channels_first(NULL, NULL, in, &refused));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out", martlet_graph_channels_last(graph, NULL, in, NULL));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out", martlet_graph_channels_first(graph, NULL, in, NULL));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "input", martlet_graph_channels_last(graph, NULL, 9, &refused));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "input", martlet_graph_channels_first(graph, NULL, 9, &refused));
  UNWATCH_ALL();
  CHECK_OK(martlet_graph_channels_last(graph, NULL, in, &out[0]));
  CHECK_OK(martlet_graph_channels_first(graph, NULL, out[0], &out[1]));
  martlet_model *model = NULL;
  CHECK_OK(martlet_model_create(&model, graph, &in, 1, out, 2, 0));
  martlet_graph_destroy(graph);
  uint8_t bytes[6] = {1, 2, 3, 4, 5, 6}; /* images of bytes, as they are */
  float last[6], first[6];
  const int64_t batch[4] = {1, 2, 1, 3}, turned[4] = {1, 1, 3, 2};
  martlet_array input = array_of(bytes, MARTLET_UINT8, 4, batch), outputs[2];
  outputs[0] = floats_of(last, 4, turned);
  outputs[1] = floats_of(first, 4, batch);
  CHECK_OK(martlet_model_predict(model, &input, 1, 0, outputs, 2));
  const float want[6] = {1, 4, 2, 5, 3, 6};
  for (int i = 0; i < 6; i++) CHECK_CLOSE(want[i], last[i], 0);
  for (int i = 0; i < 6; i++) CHECK_CLOSE(bytes[i], first[i], 0);
  martlet_model_destroy(model);
}

/* x -> dense -> norm -> dense -> norm -> + x */
static void test_residual_recipe(void) {
  martlet_graph *graph = NULL;
  martlet_node in = -1, h = -1, sum = -1;
  const int64_t four[1] = {4};
  int32_t without_bias = -1, zero_scales = -1;
  CHECK_OK(martlet_graph_create(&graph));
  CHECK_OK(martlet_graph_input(graph, NULL, 1, four, &in));
  CHECK_OK(martlet_graph_dense(graph, NULL, in, 4, NULL, &h));
  CHECK_OK(martlet_graph_batch_norm(graph, NULL, h, NULL, &h));
  CHECK_OK(martlet_graph_dense(graph, NULL, h, 4, NULL, &h));
  CHECK_OK(martlet_graph_batch_norm(graph, NULL, h, NULL, &h));
  const martlet_node branches[2] = {h, in};
  CHECK_OK(martlet_graph_add(graph, NULL, branches, 2, &sum));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "graph", martlet_graph_apply_residual_recipe(NULL, &without_bias, &zero_scales));
  CHECK_INT(-1, without_bias);
  CHECK_OK(martlet_graph_apply_residual_recipe(graph, &without_bias, &zero_scales));
  CHECK_INT(2, without_bias);
  CHECK_INT(1, zero_scales);
  CHECK_OK(martlet_graph_apply_residual_recipe(graph, NULL, NULL));
  CHECK_OK(martlet_graph_apply_residual_recipe(graph, &without_bias, &zero_scales));
  CHECK(without_bias == 0 && zero_scales == 0);
  martlet_model *model = NULL;
  CHECK_OK(martlet_model_create(&model, graph, &in, 1, &sum, 1, 7));
  martlet_graph_destroy(graph);
  const float x[8] = {1, 2, 3, 4, -1, -2, -3, -4};
  float y[8];
  const int64_t batch[2] = {2, 4};
  const martlet_array input = array_of((void *)x, MARTLET_FLOAT32, 2, batch), output = floats_of(y, 2, batch);
  CHECK_OK(martlet_model_predict(model, &input, 1, 0, &output, 1));
  for (int i = 0; i < 8; i++) CHECK_CLOSE(x[i], y[i], 0); /* the block is its shortcut */
  martlet_model_destroy(model);
}

static const check_test tests[] = {TEST(test_joins_refuse), TEST(test_apply_refuses), TEST(test_shared_layer),
                                   TEST(test_reshape),      TEST(test_channels),      TEST(test_residual_recipe)};

int main(int argc, char **argv) {
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
