/* models.h: the small networks that the tests run. */
#ifndef MODELS_H
#define MODELS_H

#include "arrays.h"

enum { NET_INPUTS = 4, NET_HIDDEN = 5, NET_CLASSES = 3, NET_ROWS = 6 };

static const int64_t net_input_shape[1] = {NET_INPUTS};
static const int64_t net_batch_shape[2] = {NET_ROWS, NET_INPUTS};
static const int64_t net_output_shape[2] = {NET_ROWS, NET_CLASSES};
static const int64_t net_label_shape[1] = {NET_ROWS};

/* 4 -> dense1 (5) -> norm1 -> sigmoid1 -> [dropout1] -> dense2 (3), in a graph of its own. */
static inline martlet_graph *make_graph(martlet_node *input, martlet_node *output, double dropout) {
  martlet_graph *graph = NULL;
  martlet_node node = -1;
  CHECK_OK(martlet_graph_create(&graph));
  CHECK_OK(martlet_graph_input(graph, "in", 1, net_input_shape, input));
  CHECK_OK(martlet_graph_dense(graph, "dense1", *input, NET_HIDDEN, NULL, &node));
  CHECK_OK(martlet_graph_batch_norm(graph, "norm1", node, NULL, &node));
  CHECK_OK(martlet_graph_activation(graph, "sigmoid1", node, MARTLET_SIGMOID, &node));
  if (dropout >= 0) CHECK_OK(martlet_graph_dropout(graph, "dropout1", node, dropout, &node));
  CHECK_OK(martlet_graph_dense(graph, "dense2", node, NET_CLASSES, NULL, &node));
  *output = node;
  return graph;
}

static inline martlet_model *make_model(uint64_t seed) {
  martlet_node input = -1, output = -1;
  martlet_graph *graph = make_graph(&input, &output, -1);
  martlet_model *model = NULL;
  CHECK_OK(martlet_model_create(&model, graph, &input, 1, &output, 1, seed));
  martlet_graph_destroy(graph);
  return model;
}

/* Numbers in -1 ... 1 that look random and are the same everywhere. */
static inline void fill(float *values, int64_t count, uint32_t seed) {
  uint32_t state = seed * 2654435761u + 12345u;
  for (int64_t i = 0; i < count; i++) {
    state = state * 1664525u + 1013904223u;
    values[i] = (float)(state >> 8) / 8388608.0f - 1;
  }
}

/* One batch for make_model's network, as arrays. Fill before use; do not copy (the arrays point into it). */
typedef struct net_batch {
  float x[NET_ROWS * NET_INPUTS], out[NET_ROWS * NET_CLASSES], grad[NET_ROWS * NET_CLASSES];
  int64_t labels[NET_ROWS];
  martlet_array x_array, out_array, grad_array, label_array;
} net_batch;

static inline void make_batch(net_batch *batch, uint32_t seed) {
  memset(batch, 0, sizeof *batch);
  fill(batch->x, NET_ROWS * NET_INPUTS, seed);
  fill(batch->grad, NET_ROWS * NET_CLASSES, seed + 1);
  for (int i = 0; i < NET_ROWS; i++) batch->labels[i] = (i + (int)seed) % NET_CLASSES;
  batch->x_array = floats_of(batch->x, 2, net_batch_shape);
  batch->out_array = floats_of(batch->out, 2, net_output_shape);
  batch->grad_array = floats_of(batch->grad, 2, net_output_shape);
  batch->label_array = array_of(batch->labels, MARTLET_INT64, 1, net_label_shape);
}

/* The named tensor; fails a check and returns zeros if there is none. */
static inline martlet_tensor_info tensor_named(const martlet_model *model, const char *name) {
  martlet_tensor_info info;
  memset(&info, 0, sizeof info);
  info.struct_size = sizeof info;
  CHECK_OK(martlet_model_tensor_named(model, name, &info));
  return info;
}

static inline size_t view_bytes(const martlet_view *view) {
  const size_t size = view->dtype == MARTLET_FLOAT64 || view->dtype == MARTLET_INT64 ? 8 : view->dtype == MARTLET_UINT8 ? 1 : 4;
  return size * (size_t)element_count(view->rank, view->shape);
}

/* Watches every parameter and state tensor: after a failing call the model is as it was. */
static inline void watch_model(const martlet_model *model) {
  const int32_t count = martlet_model_tensor_count(model);
  for (int32_t i = 0; i < count; i++) {
    martlet_tensor_info info;
    info.struct_size = sizeof info;
    CHECK_OK(martlet_model_tensor_at(model, i, &info));
    WATCH(info.value.data, view_bytes(&info.value));
  }
}

/* All parameters and state of a model in one line, to compare models bit by bit. */
static inline uint64_t model_fingerprint(const martlet_model *model) {
  uint64_t hash = 1469598103934665603u; /* FNV-1a */
  const int32_t count = martlet_model_tensor_count(model);
  for (int32_t i = 0; i < count; i++) {
    martlet_tensor_info info;
    info.struct_size = sizeof info;
    if (martlet_model_tensor_at(model, i, &info) != MARTLET_OK) return 0;
    const unsigned char *bytes = (const unsigned char *)info.value.data;
    for (size_t b = 0; b < view_bytes(&info.value); b++) hash = (hash ^ bytes[b]) * 1099511628211u;
  }
  return hash;
}

#endif /* MODELS_H */
