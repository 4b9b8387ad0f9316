/* Fits on images: augmentation, normalization, the thread that prepares batches ahead. */
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "models.h"

enum { SIDE = 6, CHANNELS = 3, LENGTH = SIDE * SIDE * CHANNELS, IMAGES = 40 };

static const int64_t image_shape[3] = {SIDE, SIDE, CHANNELS};
static const int64_t set_shape[4] = {IMAGES, SIDE, SIDE, CHANNELS};
static const int64_t labels_shape[1] = {IMAGES};
static const double mean[CHANNELS] = {0.5, 0.4, 0.3}, deviation[CHANNELS] = {0.25, 0.2, 0.3};

static uint8_t pixels[IMAGES * LENGTH];
static float normalized[IMAGES * LENGTH];
static int32_t labels[IMAGES];
static martlet_array x, y, floats;

static void make_images(void) {
  uint32_t state = 7;
  for (int i = 0; i < IMAGES * LENGTH; i++) {
    state = state * 1664525u + 1013904223u;
    pixels[i] = (uint8_t)(state >> 24);
    normalized[i] = (float)((pixels[i] / 255.0 - mean[i % CHANNELS]) / deviation[i % CHANNELS]);
  }
  for (int i = 0; i < IMAGES; i++) labels[i] = i % 3;
  x = array_of(pixels, MARTLET_UINT8, 4, set_shape);
  y = array_of(labels, MARTLET_INT32, 1, labels_shape);
  floats = floats_of(normalized, 4, set_shape);
}

/* 6x6x3 -> flatten -> dense (7) -> batch norm -> ReLU -> dense (3), and its trainer. */
static martlet_trainer *make_image_trainer(martlet_model **model) {
  martlet_graph *graph = NULL;
  martlet_node input = -1, node = -1;
  martlet_trainer *trainer = NULL;
  CHECK_OK(martlet_graph_create(&graph));
  CHECK_OK(martlet_graph_input(graph, "in", 3, image_shape, &input));
  CHECK_OK(martlet_graph_flatten(graph, "flat", input, &node));
  CHECK_OK(martlet_graph_dense(graph, "dense1", node, 7, NULL, &node));
  CHECK_OK(martlet_graph_batch_norm(graph, "norm1", node, NULL, &node));
  CHECK_OK(martlet_graph_activation(graph, "relu1", node, MARTLET_RELU, &node));
  CHECK_OK(martlet_graph_dense(graph, "dense2", node, 3, NULL, &node));
  CHECK_OK(martlet_model_create(model, graph, &input, 1, &node, 1, 3));
  martlet_graph_destroy(graph);
  CHECK_OK(martlet_trainer_create(&trainer, *model, MARTLET_LOSS_CROSS_ENTROPY, NULL, 1));
  return trainer;
}

static martlet_image_normalization make_normalization(void) {
  martlet_image_normalization normalization = MARTLET_IMAGE_NORMALIZATION_INIT;
  normalization.count = CHANNELS;
  normalization.mean = mean;
  normalization.standard_deviation = deviation;
  return normalization;
}

/* Without an augmentation, a fit on bytes under a normalization is a fit on normalised floats. */
static void test_normalization(void) {
  make_images();
  const martlet_image_normalization normalization = make_normalization();
  martlet_result results[2];
  uint64_t fingerprints[2];
  for (int i = 0; i < 2; i++) {
    martlet_model *model = NULL;
    martlet_trainer *trainer = make_image_trainer(&model);
    martlet_fit_options options = MARTLET_FIT_OPTIONS_INIT;
    options.epochs = 3;
    options.batch_size = 16;
    if (i == 0) options.normalization = &normalization;
    CHECK_OK(martlet_trainer_fit(trainer, i == 0 ? &x : &floats, 1, &y, 1, &options, NULL));
    CHECK_OK(
        martlet_trainer_evaluate_normalized(trainer, i == 0 ? &x : &floats, 1, &y, 1, 0, options.normalization, &results[i]));
    fingerprints[i] = model_fingerprint(model);
    martlet_trainer_destroy(trainer);
    martlet_model_destroy(model);
  }
  CHECK(fingerprints[0] == fingerprints[1]);
  CHECK(results[0].loss == results[1].loss && results[0].correct == results[1].correct);
  CHECK_INT(IMAGES, results[0].rows);
}

static void test_errors(void) {
  make_images();
  martlet_model *model = NULL;
  martlet_trainer *trainer = make_image_trainer(&model);
  martlet_image_normalization normalization = make_normalization();
  martlet_augmentation_options augmentation = MARTLET_AUGMENTATION_OPTIONS_INIT;
  martlet_fit_options options = MARTLET_FIT_OPTIONS_INIT;
  options.augmentation = &augmentation;
  options.normalization = &normalization;
  martlet_result result;
  watch_model(model);
  POISON(result);
#define FIT() martlet_trainer_fit(trainer, &x, 1, &y, 1, &options, &result)
  augmentation.crop_padding = SIDE;
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "crop_padding", FIT());
  augmentation.crop_padding = INT64_MIN;
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "crop_padding", FIT());
  augmentation.crop_padding = 0;
  augmentation.cutout = INT64_MAX;
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "cutout", FIT());
  augmentation.cutout = 0;
  augmentation.flip = 2;
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "options.augmentation.flip", FIT());
  augmentation.flip = 1;
  augmentation.struct_size = 8;
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "struct_size", FIT());
  augmentation.struct_size = sizeof augmentation;
  const int64_t counts[] = {0, -1, INT64_MAX, 2};
  for (int i = 0; i < CHECK_COUNT(counts); i++) {
    normalization.count = counts[i];
    CHECK_FAILS(i == 3 ? STATUS(SHAPE_MISMATCH) : STATUS(INVALID_ARGUMENT), "normalization", FIT());
    CHECK_FAILS(i == 3 ? STATUS(SHAPE_MISMATCH) : STATUS(INVALID_ARGUMENT), "normalization",
                martlet_trainer_evaluate_normalized(trainer, &x, 1, &y, 1, 0, &normalization, &result));
  }
  normalization = make_normalization();
  normalization.standard_deviation = NULL;
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "standard_deviation", FIT());
  const double zero = 0;
  normalization.count = 1;
  normalization.standard_deviation = &zero;
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "standard_deviation", FIT());
  normalization = make_normalization();
  const martlet_array wide = array_of(normalized, MARTLET_INT32, 4, set_shape);
  CHECK_FAILS(STATUS(UNSUPPORTED), "uint8 or float32", martlet_trainer_fit(trainer, &wide, 1, &y, 1, &options, &result));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out", martlet_trainer_evaluate_normalized(trainer, &x, 1, &y, 1, 0, NULL, NULL));
  UNWATCH_ALL();
  CHECK_OK(FIT());
  CHECK_INT(IMAGES, result.rows);
#undef FIT
  martlet_trainer_destroy(trainer);
  martlet_model_destroy(model);
}

/* ---- the thread ---- */

typedef struct watch {
  int64_t stop_at, fork_at, sleep_at;
  double idle_cpu; /* seconds of CPU in a pause of the callback's */
  int is_child;
} watch;

static double cpu_seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void pause_for(long milliseconds) {
  struct timespec t;
  t.tv_sec = milliseconds / 1000;
  t.tv_nsec = milliseconds % 1000 * 1000000;
  nanosleep(&t, NULL);
}

static int32_t on_event(const martlet_training_event *event, void *payload) {
  watch *w = (watch *)payload;
  if (event->kind != MARTLET_EVENT_STEP) return 0;
  if (event->step == w->sleep_at) {
    pause_for(50); /* the batch ahead is done, the workers asleep */
    const double before = cpu_seconds();
    pause_for(300);
    w->idle_cpu = cpu_seconds() - before;
  }
  if (event->step == w->fork_at) {
    fflush(NULL);
    w->is_child = fork() == 0;
    if (w->is_child) alarm(60); /* ends a child that waits for a thread it does not have */
  }
  return event->step == w->stop_at;
}

/* One fit of ten epochs; its model's fingerprint. */
static uint64_t fit(watch *w, martlet_status expected) {
  make_images();
  martlet_model *model = NULL;
  martlet_trainer *trainer = make_image_trainer(&model);
  const martlet_image_normalization normalization = make_normalization();
  martlet_augmentation_options augmentation = MARTLET_AUGMENTATION_OPTIONS_INIT;
  augmentation.crop_padding = 2;
  augmentation.flip = 1;
  augmentation.cutout = 3;
  martlet_fit_options options = MARTLET_FIT_OPTIONS_INIT;
  options.epochs = 10;
  options.batch_size = 8;
  options.augmentation = &augmentation;
  options.normalization = &normalization;
  options.callback = on_event;
  options.payload = w;
  CHECK_INT(expected, martlet_trainer_fit(trainer, &x, 1, &y, 1, &options, NULL));
  const uint64_t result = model_fingerprint(model);
  martlet_trainer_destroy(trainer);
  martlet_model_destroy(model);
  return result;
}

static void test_cancelled(void) {
  watch whole = {0, 0, 0, 0, 0}, stopped = {7, 0, 0, 0, 0};
  const uint64_t first = fit(&whole, MARTLET_OK);
  for (int i = 0; i < 20; i++) CHECK(fit(&stopped, MARTLET_CANCELLED) != first);
  CHECK(fit(&whole, MARTLET_OK) == first);
}

static void test_idle(void) {
  watch w = {0, 0, 3, 0, 0};
  w.idle_cpu = 1;
  fit(&w, MARTLET_OK);
  CHECK(w.idle_cpu < 0.1);
}

/* A child of fork in mid-fit has no such thread, and goes on alone: the same network. */
static void test_fork_in_a_fit(void) {
  watch whole = {0, 0, 0, 0, 0};
  const uint64_t expected = fit(&whole, MARTLET_OK);
  for (int64_t step = 1; step <= 11; step += 2) {
    watch w = {0, 0, 0, 0, 0};
    w.fork_at = step;
    const uint64_t found = fit(&w, MARTLET_OK);
    if (w.is_child) _exit(found == expected ? 0 : 1);
    CHECK(found == expected);
    int status = 0;
    CHECK(wait(&status) > 0);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
}

/* A model keeps the normalization of its fit: every call applies it to what it is given, files and clones too. */
static void test_kept_normalization(void) {
  make_images();
  martlet_model *model = NULL;
  martlet_trainer *trainer = make_image_trainer(&model);
  const martlet_image_normalization normalization = make_normalization();
  martlet_fit_options options = MARTLET_FIT_OPTIONS_INIT;
  options.batch_size = 8;
  options.normalization = &normalization;
  CHECK_OK(martlet_trainer_fit(trainer, &x, 1, &y, 1, &options, NULL));
  martlet_result kept, given, by_hand;
  CHECK_OK(martlet_trainer_evaluate(trainer, &x, 1, &y, 1, 0, &kept));
  CHECK_OK(martlet_trainer_evaluate_normalized(trainer, &x, 1, &y, 1, 0, &normalization, &given));
  CHECK_CLOSE(given.loss, kept.loss, 0);
  char text[8192];
  size_t length = 0;
  CHECK_OK(martlet_model_architecture(model, text, sizeof text, &length));
  CHECK(strstr(text, "image_normalization") != NULL);
  martlet_model *clone = NULL;
  CHECK_OK(martlet_model_clone(&clone, model));
  CHECK_OK(martlet_model_architecture(clone, text, sizeof text, &length));
  CHECK(strstr(text, "image_normalization") != NULL);
  martlet_model_destroy(clone);
  double other[CHANNELS];
  for (int c = 0; c < CHANNELS; c++) other[c] = mean[c] + 0.125;
  martlet_image_normalization wrong = normalization;
  wrong.mean = other;
  martlet_result result;
  POISON(result);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "normalization",
              martlet_trainer_evaluate_normalized(trainer, &x, 1, &y, 1, 0, &wrong, &result));
  options.normalization = &wrong;
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "normalization", martlet_trainer_fit(trainer, &x, 1, &y, 1, &options, &result));
  UNWATCH_ALL();
  CHECK_OK(martlet_model_set_image_normalization(model, NULL));
  CHECK_OK(martlet_trainer_evaluate(trainer, &floats, 1, &y, 1, 0, &by_hand));
  CHECK_CLOSE(kept.loss, by_hand.loss, 0);
  martlet_trainer_destroy(trainer);
  martlet_model_destroy(model);
  model = make_model(1);
  CHECK_FAILS(STATUS(SHAPE_MISMATCH), "images", martlet_model_set_image_normalization(model, &normalization));
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "model", martlet_model_set_image_normalization(NULL, &normalization));
  martlet_model_destroy(model);
}

static const check_test tests[] = {TEST(test_normalization), TEST(test_kept_normalization),
                                   TEST(test_errors),        TEST(test_cancelled),
                                   TEST(test_idle),          TEST(test_fork_in_a_fit)};

int main(int argc, char **argv) {
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
