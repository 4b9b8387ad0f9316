/* A process that has used the library forks: worker threads do not exist in the child, which must still compute, not wait for
 * them. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "models.h"

enum { WIDE = 256 };

/* Work that is shared out over threads: a product of WIDE x WIDE matrices. 0 if all is well. */
static int compute(void) {
  const int64_t shape[2] = {WIDE, WIDE}, last[2] = {WIDE - 1, WIDE - 1};
  martlet_tensor *a = NULL, *b = NULL, *c = NULL;
  float value = 0;
  int failures = martlet_tensor_create_filled(&a, 2, shape, 1) != MARTLET_OK;
  failures += martlet_tensor_create_filled(&b, 2, shape, 2) != MARTLET_OK;
  failures += martlet_tensor_matmul(&c, a, b, 0, 0) != MARTLET_OK;
  failures += martlet_tensor_get(c, last, &value) != MARTLET_OK;
  failures += value != 2 * WIDE;
  martlet_tensor_destroy(a);
  martlet_tensor_destroy(b);
  martlet_tensor_destroy(c);
  return failures;
}

/* What the child does; 0 if all is well. */
static int in_the_child(const martlet_model *model, const net_batch *expected) {
  net_batch batch;
  make_batch(&batch, 2);
  int failures = martlet_model_predict(model, &batch.x_array, 1, 0, &batch.out_array, 1) != MARTLET_OK;
  failures += memcmp(batch.out, expected->out, sizeof batch.out) != 0;
  failures += compute();
  failures += martlet_set_num_threads(3) != MARTLET_OK;
  failures += compute();
  return failures;
}

static void test_fork(void) {
  martlet_model *model = make_model(5);
  net_batch batch;
  make_batch(&batch, 2);
  CHECK_OK(martlet_set_num_threads(4));
  CHECK_INT(0, compute());
  CHECK_OK(martlet_model_predict(model, &batch.x_array, 1, 0, &batch.out_array, 1));
  for (int round = 0; round < 5; round++) {
    fflush(NULL);
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
      alarm(60); /* a child that waits for threads it does not have is ended by this, which the parent reports */
      _exit(in_the_child(model, &batch) == 0 ? 0 : 1);
    }
    int status = 0;
    CHECK_INT(child, waitpid(child, &status, 0));
    CHECK(!WIFSIGNALED(status));
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK_INT(0, compute()); /* and the parent goes on */
  }
  martlet_model_destroy(model);
}

static const check_test tests[] = {TEST(test_fork)};

int main(int argc, char **argv) {
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
