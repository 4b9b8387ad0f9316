/* Two threads train one network, each on its part of every batch: batch norms normalise with the statistics of both parts.
 *
 *   cc shards.c -o shards $(pkg-config --cflags --libs martlet) -lpthread && ./shards
 *
 * The sums go through memory that the threads share. Between machines, all_reduce would call MPI_Allreduce or the like.
 */
#define _POSIX_C_SOURCE 200809L
#include <martlet.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHARDS = 2, ROWS = 60, INPUTS = 2, STEPS = 200 };

static float points[ROWS * INPUTS];
static int32_t classes[ROWS];

static void check(martlet_status status) {
  if (status == MARTLET_OK) return;
  fprintf(stderr, "%s: %s\n", martlet_status_name(status), martlet_last_error_message());
  exit(1);
}

/* ---- what the threads share ---- */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static double *parts[SHARDS];
static int arrived = 0, left = 0, round_number = 0;

/* All threads wait for the last one; each then adds up all parts in the same order, so all have the same bits. */
static void wait_for_all(int *counter) {
  const int round = round_number;
  if (++*counter == SHARDS) {
    *counter = 0;
    round_number++;
    pthread_cond_broadcast(&condition);
  } else {
    while (round == round_number) pthread_cond_wait(&condition, &mutex);
  }
}

static int32_t all_reduce(double *sums, int64_t count, void *payload) {
  const int shard = *(const int *)payload;
  double *own = (double *)malloc((size_t)count * sizeof *own);
  if (own == NULL) return 1; /* a real one would tell the other shards, which wait */
  memcpy(own, sums, (size_t)count * sizeof *own);
  pthread_mutex_lock(&mutex);
  parts[shard] = own;
  wait_for_all(&arrived);
  for (int64_t i = 0; i < count; i++) {
    sums[i] = 0;
    for (int s = 0; s < SHARDS; s++) sums[i] += parts[s][i];
  }
  wait_for_all(&left); /* nobody reads this part any more */
  pthread_mutex_unlock(&mutex);
  free(own);
  return 0;
}

/* ---- the training ---- */

static martlet_model *make_network(void) {
  const int64_t shape[1] = {INPUTS};
  martlet_graph *graph = NULL;
  martlet_node x = 0, h = 0;
  martlet_model *network = NULL;
  check(martlet_graph_create(&graph));
  check(martlet_graph_input(graph, "point", 1, shape, &x));
  check(martlet_graph_dense(graph, NULL, x, 16, NULL, &h));
  check(martlet_graph_batch_norm(graph, NULL, h, NULL, &h));
  check(martlet_graph_activation(graph, NULL, h, MARTLET_RELU, &h));
  check(martlet_graph_dense(graph, NULL, h, 2, NULL, &h));
  check(martlet_model_create(&network, graph, &x, 1, &h, 1, 1));
  martlet_graph_destroy(graph);
  return network;
}

/* The rows first..first + rows at every step; all shards make the same number of steps. */
static martlet_result train(martlet_model *network, int first, int rows) {
  const int64_t shape[2] = {rows, INPUTS};
  const martlet_array x = {points + first * INPUTS, shape, NULL, 2, MARTLET_FLOAT32};
  const martlet_array y = {classes + first, shape, NULL, 1, MARTLET_INT32};
  martlet_trainer *trainer = NULL;
  martlet_result result = {0, 0, 0};
  check(martlet_trainer_create(&trainer, network, MARTLET_LOSS_CROSS_ENTROPY, NULL, 1));
  check(martlet_trainer_set_learning_rate(trainer, 0.3));
  for (int step = 0; step < STEPS; step++) check(martlet_trainer_step(trainer, &x, 1, &y, 1, &result));
  martlet_trainer_destroy(trainer);
  return result;
}

typedef struct shard {
  martlet_model *network;
  int number, first, rows;
  martlet_result result;
} shard;

static void *run_shard(void *argument) {
  shard *self = (shard *)argument;
  check(martlet_model_set_all_reduce(self->network, all_reduce, &self->number));
  self->result = train(self->network, self->first, self->rows);
  return NULL;
}

/* The largest difference of any number of two networks. */
static double difference(const martlet_model *a, const martlet_model *b) {
  double largest = 0;
  for (int32_t i = 0; i < martlet_model_tensor_count(a); i++) {
    martlet_tensor_info one, two;
    one.struct_size = two.struct_size = sizeof one;
    check(martlet_model_tensor_at(a, i, &one));
    check(martlet_model_tensor_at(b, i, &two));
    if (one.value.dtype != MARTLET_FLOAT32) continue;
    int64_t count = 1;
    for (int32_t axis = 0; axis < one.value.rank; axis++) count *= one.value.shape[axis];
    const float *x = (const float *)one.value.data, *y = (const float *)two.value.data;
    for (int64_t k = 0; k < count; k++) largest = fmax(largest, fabs((double)x[k] - (double)y[k]));
  }
  return largest;
}

int main(void) {
  uint32_t state = 1; /* points inside and outside a circle */
  for (int i = 0; i < ROWS * INPUTS; i++) {
    state = state * 1664525u + 1013904223u;
    points[i] = (float)(state >> 8) / 8388608.0f - 1;
  }
  for (int i = 0; i < ROWS; i++) classes[i] = hypot(points[2 * i], points[2 * i + 1]) < 0.7;

  /* Shards need not be equal. */
  shard shards[SHARDS] = {{NULL, 0, 0, 20, {0, 0, 0}}, {NULL, 1, 20, ROWS - 20, {0, 0, 0}}};
  pthread_t threads[SHARDS];
  for (int s = 0; s < SHARDS; s++) shards[s].network = make_network();
  for (int s = 0; s < SHARDS; s++) {
    if (pthread_create(&threads[s], NULL, run_shard, &shards[s]) != 0) return 1;
  }
  for (int s = 0; s < SHARDS; s++) pthread_join(threads[s], NULL);

  martlet_model *whole = make_network();
  const martlet_result result = train(whole, 0, ROWS);
  const double apart = difference(shards[0].network, shards[1].network), from_whole = difference(shards[0].network, whole);
  printf("one batch of %d rows: loss %.6f, %d right\n", ROWS, result.loss, (int)result.correct);
  printf("two shards of it:     loss %.6f, %d of %d right\n", shards[0].result.loss, (int)shards[0].result.correct,
         (int)shards[0].result.rows);
  printf("after %d steps the shards differ by %g, and from the one batch by %g at most\n", STEPS, apart, from_whole);
  for (int s = 0; s < SHARDS; s++) martlet_model_destroy(shards[s].network);
  martlet_model_destroy(whole);
  return !(apart == 0 && from_whole < 1e-3 && shards[0].result.rows == ROWS);
}
