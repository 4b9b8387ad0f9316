/* The most multiply-adds this core can do: the measuring stick of the kernel benchmarks, independent of the kernels. */
#ifndef MARTLET_PEAK_H
#define MARTLET_PEAK_H

/* Runs `rounds` rounds of independent multiply-adds in registers and returns how many floating-point operations that was.
   lanes: 4 (multiply and add apart on x86-64), 8 (AVX2 with FMA) or 16 (AVX-512); the machine must have the set. */
double peak_operations(int lanes, long rounds);

#endif
