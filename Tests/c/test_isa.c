/* The instruction set: forced by MARTLET_ISA, refused where it is unknown. Each case runs in a child, for the variable is read
 * once. */
#include <sys/wait.h>
#include <unistd.h>

#include "models.h"

/* Runs `function` in a child with MARTLET_ISA set; its failed checks become this process's. */
static void in_child(const char *isa, void (*function)(const char *)) {
  fflush(NULL);
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    check_state.failures = 0;
    if (setenv("MARTLET_ISA", isa, 1) != 0) _exit(2);
    function(isa);
    fflush(NULL);
    _exit(check_state.failures == 0 ? 0 : 1);
  }
  int status = 0;
  CHECK_INT(child, waitpid(child, &status, 0));
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void computes(const char *isa) {
  const char *name = NULL;
  CHECK_OK(martlet_isa(&name));
  CHECK_TEXT(isa, name);
  martlet_model *model = make_model(1);
  net_batch batch;
  make_batch(&batch, 1);
  CHECK_OK(martlet_model_predict(model, &batch.x_array, 1, 0, &batch.out_array, 1));
  CHECK_OK(martlet_model_forward(model, &batch.x_array, 1, 1));
  CHECK_OK(martlet_model_backward(model, &batch.grad_array, 1, 0));
  martlet_model_destroy(model);
}

static void test_each_set_computes(void) {
  for (int32_t i = 0; i < martlet_available_isa_count(); i++) in_child(martlet_available_isa(i), computes);
}

static void refuses(const char *isa) {
  const char *name;
  martlet_tensor *tensor = NULL, *out;
  POISON(name);
  POISON(out);
  CHECK_FAILS(STATUS(UNSUPPORTED), isa, martlet_isa(&name));
  CHECK_FAILS(STATUS(UNSUPPORTED), "MARTLET_ISA", martlet_isa(&name));
  CHECK_OK(martlet_tensor_create_filled(&tensor, 0, NULL, 1));
  CHECK_FAILS(STATUS(UNSUPPORTED), isa, martlet_tensor_unary(&out, MARTLET_SQUARE, tensor)); /* as does whatever computes */
  martlet_tensor_destroy(tensor);
}

static void test_unknown_set_is_refused(void) {
  in_child("nonsense", refuses);
  in_child("AVX2 ", refuses); /* exact names only */
}

static const check_test tests[] = {TEST(test_each_set_computes), TEST(test_unknown_set_is_refused)};

int main(int argc, char **argv) {
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
