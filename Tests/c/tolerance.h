/* tolerance.h: how far float32 results may be from the goldens, which are right to the last bit (Tests/goldens/README.md).
 *
 * u is the unit roundoff. A sum of n products in float32, in any order and with or without fused multiply-add, is off by at
 * most n u / (1 - n u) times the sum of the products' magnitudes (Higham 2002, section 3.1); every further operation adds one
 * u.
 */
#ifndef TOLERANCE_H
#define TOLERANCE_H

#define UNIT_ROUNDOFF (1.0 / 16777216) /* 2^-24 */

/* A sum of n terms whose magnitudes add up to `magnitude`, rounded to float32. */
static inline double sum_tolerance(double n, double magnitude) {
  const double bound = (n + 2) * UNIT_ROUNDOFF;
  return bound / (1 - bound) * magnitude;
}

/* A few operations, each rounded, on numbers up to `magnitude`. */
static inline double rounding_tolerance(double operations, double magnitude) {
  return operations * UNIT_ROUNDOFF * magnitude;
}

#endif /* TOLERANCE_H */
