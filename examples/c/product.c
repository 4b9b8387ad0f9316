/* Matrix products on the caller's own arrays: the direction in which handwritten digits differ most, by power iteration.
 *
 *   cc product.c -o product $(pkg-config --cflags --libs martlet) -lm && ./product ../data/digits.csv
 */
#include <martlet.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROWS = 599, PIXELS = 64, STEPS = 300 };

static float x[ROWS][PIXELS], direction[PIXELS], along[ROWS], next[PIXELS];

static void check(martlet_status status) {
  if (status == MARTLET_OK) return;
  fprintf(stderr, "%s: %s\n", martlet_status_name(status), martlet_last_error_message());
  exit(1);
}

/* A row: 64 numbers in 0 ... 16 and the digit, with commas between. Each pixel's mean is taken away. */
static void read_digits(const char *path) {
  FILE *file = fopen(path, "r");
  if (file == NULL) {
    perror(path);
    exit(1);
  }
  double mean[PIXELS] = {0};
  for (int row = 0; row < ROWS; row++) {
    int digit = -1, read = 0;
    for (int i = 0; i < PIXELS; i++) {
      read += fscanf(file, "%f,", &x[row][i]);
      mean[i] += x[row][i] / ROWS;
    }
    if (read != PIXELS || fscanf(file, "%d", &digit) != 1) {
      fprintf(stderr, "%s: row %d is not 64 numbers and a digit\n", path, row + 1);
      exit(1);
    }
  }
  fclose(file);
  for (int row = 0; row < ROWS; row++) {
    for (int i = 0; i < PIXELS; i++) x[row][i] -= (float)mean[i];
  }
}

static double dot(const float *a, const float *b, int count) {
  double sum = 0;
  for (int i = 0; i < count; i++) sum += (double)a[i] * b[i];
  return sum;
}

int main(int argc, char **argv) {
  read_digits(argc > 1 ? argv[1] : "digits.csv");
  const int64_t data_shape[2] = {ROWS, PIXELS}, turned_shape[2] = {PIXELS, ROWS}, turned_strides[2] = {1, PIXELS};
  const int64_t pixel_column[2] = {PIXELS, 1}, row_column[2] = {ROWS, 1};
  const martlet_array data = {x, data_shape, NULL, 2, MARTLET_FLOAT32};
  const martlet_array turned = {x, turned_shape, turned_strides, 2, MARTLET_FLOAT32}; /* its transpose: nothing is copied */
  const martlet_array v = {direction, pixel_column, NULL, 2, MARTLET_FLOAT32};
  const martlet_array xv = {along, row_column, NULL, 2, MARTLET_FLOAT32}, xxv = {next, pixel_column, NULL, 2, MARTLET_FLOAT32};

  for (int i = 0; i < PIXELS; i++) direction[i] = 0.125f;
  double variance = 0;
  for (int step = 0; step < STEPS; step++) {
    check(martlet_matmul(&data, &v, &xv));
    check(martlet_matmul(&turned, &xv, &xxv));
    variance = sqrt(dot(next, next, PIXELS));
    for (int i = 0; i < PIXELS; i++) direction[i] = (float)(next[i] / variance);
  }

  double off = 0;
  check(martlet_matmul(&data, &v, &xv));
  check(martlet_matmul(&turned, &xv, &xxv));
  for (int i = 0; i < PIXELS; i++) off = fmax(off, fabs(next[i] - variance * direction[i]) / variance);
  printf("one direction of %d holds %.1f %% of the variance; eigenvector off by %.1e\n", PIXELS,
         100 * variance / dot(&x[0][0], &x[0][0], ROWS * PIXELS), off);
  return off < 1e-4 ? 0 : 1;
}
