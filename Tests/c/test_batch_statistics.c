/* Which statistics batch norms normalise with, and what becomes of the moving ones: population statistics by either method, from arrays
 * and from batches as they come. */
#include "models.h"

/* ---- population statistics ---- */

/* The rows of a batch, two at a time. */
typedef struct source {
  net_batch batch;
  int64_t shape[2];
  martlet_array part;
  int calls, passes, fails_at; /* fails_at: the call that fails, from 1; 0: none */
} source;

static int32_t next_batch(int32_t pass, int64_t index, const martlet_array **out_inputs, void *payload) {
  source *from = (source *)payload;
  from->calls++;
  if (pass + 1 > from->passes) from->passes = pass + 1;
  if (from->calls == from->fails_at) return 7;
  if (2 * index >= NET_ROWS) return 0;
  from->shape[0] = 2;
  from->shape[1] = NET_INPUTS;
  from->part = floats_of(from->batch.x + 2 * index * NET_INPUTS, 2, from->shape);
  *out_inputs = &from->part;
  return 0;
}

static void test_population_methods(void) {
  static source from;
  memset(&from, 0, sizeof from);
  make_batch(&from.batch, 3);
  const int32_t methods[] = {MARTLET_POPULATION_SEQUENTIAL, MARTLET_POPULATION_ONE_PASS};
  for (int i = 0; i < CHECK_COUNT(methods); i++) {
    martlet_model *whole = make_model(1), *model = NULL, *plain = NULL;
    CHECK_OK(martlet_model_clone(&model, whole));
    CHECK_OK(martlet_model_clone(&plain, whole));
    const uint64_t before = model_fingerprint(model);
    CHECK_OK(martlet_model_update_population_statistics_by(whole, &from.batch.x_array, 1, 2, methods[i]));
    CHECK(model_fingerprint(whole) != before);
    CHECK_INT(3, *(int64_t *)tensor_named(whole, "norm1.num_batches_tracked").value.data);

    /* A source that fails at any of its calls changes nothing. */
    for (int call = 1; call <= 4; call++) {
      from.calls = 0;
      from.fails_at = call;
      CHECK_FAILS(STATUS(CANCELLED), "callback", martlet_model_update_population_statistics_from(model, methods[i], next_batch, &from));
      CHECK(model_fingerprint(model) == before);
    }
    from.calls = from.passes = from.fails_at = 0;
    CHECK_OK(martlet_model_update_population_statistics_from(model, methods[i], next_batch, &from));
    CHECK(model_fingerprint(model) == model_fingerprint(whole));
    CHECK_INT(4, from.calls);
    CHECK_INT(1, from.passes);

    if (methods[i] == MARTLET_POPULATION_SEQUENTIAL) {
      CHECK_OK(martlet_model_update_population_statistics(plain, &from.batch.x_array, 1, 2));
      CHECK(model_fingerprint(plain) == model_fingerprint(whole));
    }
    martlet_model_destroy(whole);
    martlet_model_destroy(model);
    martlet_model_destroy(plain);
  }
}

static int32_t no_batch(int32_t pass, int64_t index, const martlet_array **out_inputs, void *payload) {
  (void)pass, (void)index, (void)out_inputs, (void)payload;
  return 0;
}

static int32_t wrong_batch(int32_t pass, int64_t index, const martlet_array **out_inputs, void *payload) {
  (void)pass, (void)index;
  *out_inputs = &((net_batch *)payload)->out_array;
  return 0;
}

static void test_population_refuses(void) {
  martlet_model *model = make_model(1);
  net_batch batch;
  make_batch(&batch, 1);
  watch_model(model);
  const int32_t methods[] = {-1, 2, INT32_MIN, INT32_MAX};
  for (int i = 0; i < CHECK_COUNT(methods); i++) {
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "method",
                martlet_model_update_population_statistics_by(model, &batch.x_array, 1, 2, methods[i]));
    CHECK_FAILS(STATUS(INVALID_ARGUMENT), "method",
                martlet_model_update_population_statistics_from(model, methods[i], no_batch, NULL));
  }
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "model", martlet_model_update_population_statistics_by(NULL, &batch.x_array, 1, 2, 1));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "inputs", martlet_model_update_population_statistics_by(model, NULL, 1, 2, 1));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "batch_size",
              martlet_model_update_population_statistics_by(model, &batch.x_array, 1, -1, 1));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "first batch has one value",
              martlet_model_update_population_statistics_by(model, &batch.x_array, 1, 1, 1));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "model", martlet_model_update_population_statistics_from(NULL, 1, no_batch, NULL));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "next", martlet_model_update_population_statistics_from(model, 1, NULL, NULL));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "0 rows", martlet_model_update_population_statistics_from(model, 1, no_batch, NULL));
  CHECK_FAILS(STATUS(SHAPE_MISMATCH), "batch", martlet_model_update_population_statistics_from(model, 1, wrong_batch, &batch));
  martlet_model_destroy(model);
}

/* ---- transactions ---- */

static void test_transactions(void) {
  martlet_model *model = make_model(2);
  net_batch batch;
  make_batch(&batch, 1);
  const uint64_t first = model_fingerprint(model);
  CHECK_OK(martlet_model_begin_statistics(model));
  CHECK_OK(martlet_model_forward(model, &batch.x_array, 1, 1));
  const uint64_t second = model_fingerprint(model);
  CHECK(first != second);
  CHECK_OK(martlet_model_begin_statistics(model));
  CHECK_OK(martlet_model_forward(model, &batch.x_array, 1, 1));
  CHECK(model_fingerprint(model) != second);
  CHECK_OK(martlet_model_rollback_statistics(model));
  CHECK(model_fingerprint(model) == second);
  CHECK_OK(martlet_model_begin_statistics(model));
  CHECK_OK(martlet_model_commit_statistics(model));
  CHECK_OK(martlet_model_rollback_statistics(model));
  CHECK(model_fingerprint(model) == first);

  watch_model(model);
  CHECK_FAILS(STATUS(INVALID_STATE), "begin one first", martlet_model_commit_statistics(model));
  CHECK_FAILS(STATUS(INVALID_STATE), "begin one first", martlet_model_rollback_statistics(model));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "model", martlet_model_begin_statistics(NULL));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "model", martlet_model_commit_statistics(NULL));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "model", martlet_model_rollback_statistics(NULL));
  /* One that is open when the model goes leaves nothing behind. */
  CHECK_OK(martlet_model_begin_statistics(model));
  martlet_model_destroy(model);
}

static const check_test tests[] = {TEST(test_population_methods), TEST(test_population_refuses), TEST(test_transactions)};

int main(int argc, char **argv) {
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
