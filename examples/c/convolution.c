/* Convolution as a plain function: finds the edges of handwritten digits, then learns the same filters from the edges alone.
 *
 *   cc convolution.c -o convolution $(pkg-config --cflags --libs martlet) -lm && ./convolution ../data/digits.csv
 */
#include <martlet.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROWS = 599, SIDE = 8, FILTERS = 2, KERNEL = 3, STEPS = 1000 };
enum { EDGE_COUNT = ROWS * SIDE * SIDE * FILTERS };

static float images[ROWS][SIDE][SIDE], edges[ROWS][SIDE][SIDE][FILTERS], found[ROWS][SIDE][SIDE][FILTERS];

static void check(martlet_status status) {
  if (status == MARTLET_OK) return;
  fprintf(stderr, "%s: %s\n", martlet_status_name(status), martlet_last_error_message());
  exit(1);
}

/* A row: 64 numbers in 0 ... 16 and the digit, with commas between. */
static void read_digits(const char *path) {
  FILE *file = fopen(path, "r");
  if (file == NULL) {
    perror(path);
    exit(1);
  }
  for (int row = 0; row < ROWS; row++) {
    int digit = -1, read = 0;
    for (int place = 0; place < SIDE * SIDE; place++) {
      read += fscanf(file, "%f,", &images[row][place / SIDE][place % SIDE]);
      images[row][place / SIDE][place % SIDE] /= 16;
    }
    if (read != SIDE * SIDE || fscanf(file, "%d", &digit) != 1) {
      fprintf(stderr, "%s: row %d is not 64 numbers and a digit\n", path, row + 1);
      exit(1);
    }
  }
  fclose(file);
}

/* The first digit, and beside it how steep its edges are. */
static void print_edges(void) {
  static const char marks[] = " .:*#";
  for (int i = 0; i < SIDE; i++) {
    for (int j = 0; j < SIDE; j++) putchar(marks[(int)(4 * images[0][i][j])]);
    printf(" | ");
    for (int j = 0; j < SIDE; j++) {
      const double steepness = sqrt(edges[0][i][j][0] * edges[0][i][j][0] + edges[0][i][j][1] * edges[0][i][j][1]);
      putchar(marks[steepness < 4 ? (int)steepness : 4]);
    }
    putchar('\n');
  }
}

int main(int argc, char **argv) {
  read_digits(argc > 1 ? argv[1] : "digits.csv");
  const int64_t image_shape[4] = {ROWS, SIDE, SIDE, 1}, edge_shape[4] = {ROWS, SIDE, SIDE, FILTERS};
  const int64_t weight_shape[4] = {FILTERS, 1, KERNEL, KERNEL}; /* filters, channels, height, width */
  const martlet_array x = {images, image_shape, NULL, 4, MARTLET_FLOAT32};
  const martlet_array y = {edges, edge_shape, NULL, 4, MARTLET_FLOAT32};
  martlet_convolution_options options = MARTLET_CONVOLUTION_OPTIONS_INIT;
  options.padding = MARTLET_PADDING_SAME;

  /* Sobel's filters: what rises from left to right, and what rises downwards. */
  float sobel[FILTERS][KERNEL][KERNEL] = {{{-1, 0, 1}, {-2, 0, 2}, {-1, 0, 1}}, {{-1, -2, -1}, {0, 0, 0}, {1, 2, 1}}};
  const martlet_array filters = {sobel, weight_shape, NULL, 4, MARTLET_FLOAT32};
  int64_t shape[4];
  check(martlet_convolution_shape(shape, image_shape, weight_shape, &options));
  printf("edges [%d, %d, %d, %d]\n", (int)shape[0], (int)shape[1], (int)shape[2], (int)shape[3]);
  check(martlet_convolution(&x, &filters, NULL, &options, &y));
  print_edges();

  /* Filters that start at nothing, and descend along the gradient of the mean squared difference from those edges. */
  float weight[FILTERS][KERNEL][KERNEL] = {{{0}}}, bias[FILTERS] = {0.5f, 0.5f};
  float grad_weight[FILTERS][KERNEL][KERNEL], grad_bias[FILTERS];
  const martlet_array w = {weight, weight_shape, NULL, 4, MARTLET_FLOAT32}, b = {bias, weight_shape, NULL, 1, MARTLET_FLOAT32};
  const martlet_array dw = {grad_weight, weight_shape, NULL, 4, MARTLET_FLOAT32};
  const martlet_array db = {grad_bias, weight_shape, NULL, 1, MARTLET_FLOAT32};
  const martlet_array difference = {found, edge_shape, NULL, 4, MARTLET_FLOAT32};
  for (int step = 0; step < STEPS; step++) {
    check(martlet_convolution(&x, &w, &b, &options, &difference));
    float *d = &found[0][0][0][0];
    const float *wanted = &edges[0][0][0][0];
    for (int i = 0; i < EDGE_COUNT; i++) d[i] = 2 * (d[i] - wanted[i]) / (ROWS * SIDE * SIDE);
    check(martlet_convolution_gradients(&x, &w, &options, &difference, NULL, &dw, &db));
    for (int f = 0; f < FILTERS; f++) {
      for (int place = 0; place < KERNEL * KERNEL; place++) {
        weight[f][place / KERNEL][place % KERNEL] -= 0.4f * grad_weight[f][place / KERNEL][place % KERNEL];
      }
      bias[f] -= 0.4f * grad_bias[f];
    }
  }
  double error = 0;
  for (int f = 0; f < FILTERS; f++) {
    error = fmax(error, fabs(bias[f]));
    for (int i = 0; i < KERNEL; i++) {
      for (int j = 0; j < KERNEL; j++) {
        error = fmax(error, fabs(weight[f][i][j] - sobel[f][i][j]));
        printf("%6.2f%s", weight[f][i][j], j == KERNEL - 1 ? "\n" : "");
      }
    }
  }
  printf("largest error of what was learned: %.1e\n", error);
  return error < 1e-3 ? 0 : 1;
}
