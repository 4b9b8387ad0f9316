/* Exact statistics of a data set, batch by batch. */
#include "arrays.h"

enum { ROWS = 12, CHANNELS = 3 };
static const int64_t vector[1] = {CHANNELS};

/* Squares are gathered in short float32 runs: a few units of 2^-24 of the variance (below 1 here). Joining two batches squares
 * the difference of their means, which carries the rounding of numbers as large as the mean: at most three joins, each
 * 2 * |difference| * 2^-53 * |mean| with differences below 2. */
static double variance_tolerance(double mean) {
  return 2 / 16777216.0 + 3 * 4 * 2 * fabs(mean) / 9007199254740992.0;
}

static float data[ROWS * CHANNELS];
static double expected_mean[CHANNELS], expected_variance[CHANNELS]; /* biased */

/* Far from zero in channel 1: what a sum of squares in float32 would lose. */
static void make_data(void) {
  for (int k = 0; k < CHANNELS; k++) {
    const double offset = k == 1 ? 1e6 : -k;
    double sum = 0, squares = 0;
    for (int row = 0; row < ROWS; row++) {
      data[row * CHANNELS + k] = (float)(offset + (row * 5 + k) % 7 * 0.25);
      sum += data[row * CHANNELS + k];
    }
    expected_mean[k] = sum / ROWS;
    for (int row = 0; row < ROWS; row++) {
      const double d = data[row * CHANNELS + k] - expected_mean[k];
      squares += d * d;
    }
    expected_variance[k] = squares / ROWS;
  }
}

static void test_any_cut_gives_the_same(void) {
  make_data();
  const int64_t cuts[][4] = {{12, 0, 0, 0}, {6, 6, 0, 0}, {1, 1, 4, 6}, {11, 0, 1, 0}};
  for (int cut = 0; cut < CHECK_COUNT(cuts); cut++) {
    martlet_statistics *statistics = NULL;
    CHECK_OK(martlet_statistics_create(&statistics, CHANNELS));
    int64_t row = 0;
    for (int i = 0; i < 4; i++) {
      const int64_t shape[2] = {cuts[cut][i], CHANNELS};
      const martlet_array batch = floats_of(data + row * CHANNELS, 2, shape);
      CHECK_OK(martlet_statistics_add(statistics, &batch, -1));
      row += cuts[cut][i];
    }
    for (int unbiased = 0; unbiased <= 1; unbiased++) {
      double mean[CHANNELS], variance[CHANNELS];
      int64_t count = 0;
      const martlet_array mean_array = array_of(mean, MARTLET_FLOAT64, 1, vector);
      const martlet_array variance_array = array_of(variance, MARTLET_FLOAT64, 1, vector);
      CHECK_OK(martlet_statistics_read(statistics, unbiased, &mean_array, &variance_array, &count));
      CHECK_INT(ROWS, count);
      for (int k = 0; k < CHANNELS; k++) {
        const double factor = unbiased ? (double)ROWS / (ROWS - 1) : 1;
        CHECK_CLOSE(expected_mean[k], mean[k], 1e-14 * fabs(expected_mean[k]) + 1e-15);
        CHECK_CLOSE(expected_variance[k] * factor, variance[k], variance_tolerance(expected_mean[k]));
      }
      CHECK_OK(martlet_statistics_read(statistics, unbiased, &mean_array, &variance_array, NULL));
    }
    martlet_statistics_destroy(statistics);
  }
}

static void test_channels_first(void) {
  make_data();
  const int64_t first[3] = {2, CHANNELS, 6};
  float moved[ROWS * CHANNELS];
  for (int n = 0; n < 2; n++) {
    for (int k = 0; k < CHANNELS; k++) {
      for (int l = 0; l < 6; l++) moved[(n * CHANNELS + k) * 6 + l] = data[(n * 6 + l) * CHANNELS + k];
    }
  }
  martlet_statistics *statistics = NULL;
  CHECK_OK(martlet_statistics_create(&statistics, CHANNELS));
  const martlet_array batch = floats_of(moved, 3, first);
  CHECK_OK(martlet_statistics_add(statistics, &batch, 1));
  double mean[CHANNELS], variance[CHANNELS];
  const martlet_array mean_array = array_of(mean, MARTLET_FLOAT64, 1, vector);
  const martlet_array variance_array = array_of(variance, MARTLET_FLOAT64, 1, vector);
  CHECK_OK(martlet_statistics_read(statistics, 0, &mean_array, &variance_array, NULL));
  for (int k = 0; k < CHANNELS; k++) {
    CHECK_CLOSE(expected_mean[k], mean[k], 1e-14 * fabs(expected_mean[k]) + 1e-15);
    CHECK_CLOSE(expected_variance[k], variance[k], variance_tolerance(expected_mean[k]));
  }
  martlet_statistics_destroy(statistics);
}

static void test_create(void) {
  martlet_statistics *out;
  POISON(out);
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "out", martlet_statistics_create(NULL, 3));
  const int64_t bad[] = {0, -1, INT64_MIN, INT64_MAX, (int64_t)1 << 61};
  for (int i = 0; i < CHECK_COUNT(bad); i++) {
    CHECK_FAILS(BAD_SHAPE | STATUS(OUT_OF_MEMORY), "channels", martlet_statistics_create(&out, bad[i]));
  }
  martlet_statistics_destroy(NULL);
}

static martlet_status add(const martlet_array *argument, void *context) {
  return martlet_statistics_add((martlet_statistics *)context, argument, -1);
}

static martlet_status read_mean(const martlet_array *argument, void *context) {
  double variance[CHANNELS];
  const martlet_array variance_array = array_of(variance, MARTLET_FLOAT64, 1, vector);
  return martlet_statistics_read((martlet_statistics *)context, 0, argument, &variance_array, NULL);
}

static martlet_status read_variance(const martlet_array *argument, void *context) {
  double mean[CHANNELS];
  const martlet_array mean_array = array_of(mean, MARTLET_FLOAT64, 1, vector);
  return martlet_statistics_read((martlet_statistics *)context, 0, &mean_array, argument, NULL);
}

static void test_add_and_read_arguments(void) {
  make_data();
  double mean[CHANNELS], variance[CHANNELS];
  int64_t count;
  POISON(mean);
  POISON(variance);
  POISON(count);
  const martlet_array mean_array = array_of(mean, MARTLET_FLOAT64, 1, vector);
  const martlet_array variance_array = array_of(variance, MARTLET_FLOAT64, 1, vector);
  const int64_t all[2] = {ROWS, CHANNELS}, one[2] = {1, CHANNELS}, other[2] = {CHANNELS, ROWS};
  const martlet_array batch = floats_of(data, 2, all), row = floats_of(data, 2, one), wide = floats_of(data, 2, other);
  martlet_statistics *statistics = NULL;
  CHECK_OK(martlet_statistics_create(&statistics, CHANNELS));

  for (int unbiased = 0; unbiased <= 1; unbiased++) {
    CHECK_FAILS(STATUS(INVALID_STATE), NULL,
                martlet_statistics_read(statistics, unbiased, &mean_array, &variance_array, &count));
  }
  CHECK_OK(martlet_statistics_add(statistics, &row, -1));
  CHECK_FAILS(STATUS(INVALID_STATE), NULL, martlet_statistics_read(statistics, 1, &mean_array, &variance_array, &count));
  CHECK_OK(martlet_statistics_add(statistics, &batch, -1));

  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "statistics", martlet_statistics_add(NULL, &batch, -1));
  check_array_argument(add, statistics, &batch, "x", ARRAY_INPUT);
  CHECK_FAILS(STATUS(SHAPE_MISMATCH), "x", martlet_statistics_add(statistics, &wide, -1));
  const int32_t axes[] = {0, 2, -2, INT32_MIN, INT32_MAX};
  for (int i = 0; i < CHECK_COUNT(axes); i++) {
    CHECK_FAILS(BAD_SHAPE, "channel_axis", martlet_statistics_add(statistics, &batch, axes[i]));
  }
  CHECK_FAILS(STATUS(INVALID_ARGUMENT), "statistics", martlet_statistics_read(NULL, 0, &mean_array, &variance_array, &count));
  const int flags = ARRAY_OUTPUT | ARRAY_FLOAT64_TOO;
  check_array_argument(read_mean, statistics, &mean_array, "mean", flags);
  check_array_argument(read_variance, statistics, &variance_array, "variance", flags);
  UNWATCH_ALL();
  CHECK_OK(martlet_statistics_read(statistics, 0, &mean_array, &variance_array, &count));
  CHECK_INT(ROWS + 1, count); /* the refused batches left no trace */
  martlet_statistics_destroy(statistics);
}

static const check_test tests[] = {TEST(test_any_cut_gives_the_same), TEST(test_channels_first), TEST(test_create),
                                   TEST(test_add_and_read_arguments)};

int main(int argc, char **argv) {
  return check_main(argc, argv, tests, CHECK_COUNT(tests));
}
